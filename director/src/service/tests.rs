use super::*;
use crate::service::testing::real;

fn limited(upper: u32, lower: u32) -> Real {
    real(1, 1).with(Settings {
        upper,
        lower,
        ..Settings::weight(1)
    })
}

/// `+` a connection comes, `-` one goes; what is said of each moment: `.` willing, `O` overloaded.
fn story(real: &Real, steps: &str) -> String {
    let moment = |step| {
        match step {
            '+' => real.enter(Phase::Active),
            _ => real.load.leave(Phase::Active),
        }
        if real.is_overloaded() { 'O' } else { '.' }
    };
    steps.chars().map(moment).collect()
}

#[test]
fn overload_starts_at_the_upper_threshold_and_ends_below_the_lower() {
    for (upper, lower, steps, expected) in [
        (0, 0, "+++++", "....."),
        (1, 0, "+-+", "O.O"),
        (1, 1, "+-+", "O.O"),
        (4, 0, "++++-+--+", "...OOOO.."),
        (4, 2, "++++---++", "...OOO..."),
        (4, 4, "++++-+-", "...O.O."),
    ] {
        let told = story(&limited(upper, lower), steps);
        assert_eq!(told, expected, "{upper} {lower}");
    }
}

/// `ip_vs_dest_update_overload`, since July 2026: before, only a connection that came or ended moved it.
#[test]
fn new_thresholds_judge_what_is_there() {
    let after = |(upper, lower), steps: &str, edit: (u32, u32)| {
        let before = limited(upper, lower);
        story(&before, steps);
        let after = before.with(Settings {
            upper: edit.0,
            lower: edit.1,
            ..Settings::weight(1)
        });
        after.is_overloaded()
    };
    for (before, steps, edit, overloaded) in [
        ((0, 0), "+++++", (4, 0), true),
        ((0, 0), "++++", (4, 0), true),
        ((0, 0), "+++", (4, 0), false),
        ((5, 0), "+++", (1, 1), true),
        ((8, 0), "++++", (5, 1), false),
        ((2, 0), "++", (3, 1), true),
        ((2, 0), "++", (3, 0), false),
        ((4, 0), "++++", (5, 0), true),
        ((4, 0), "++++", (6, 0), false),
        ((3, 0), "+++", (10, 2), true),
        ((3, 0), "+++", (10, 4), false),
        ((2, 0), "++", (0, 0), false),
    ] {
        let told = after(before, steps, edit);
        assert_eq!(told, overloaded, "{before:?} {steps} {edit:?}");
    }
}

#[test]
fn the_last_weight_above_zero_is_kept() {
    let weights = [(3, 3), (0, 3), (2, 2), (0, 2)];
    weights
        .into_iter()
        .fold(limited(0, 0), |real, (weight, last)| {
            let real = real.with(Settings::weight(weight));
            assert_eq!(real.last_weight, last);
            real
        });
}
