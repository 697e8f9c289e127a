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

/// `ip_vs_bind_dest`: only a connection that comes finds the threshold reached.
#[test]
fn a_threshold_below_what_is_there_lets_one_more_in() {
    let before = limited(0, 0);
    assert_eq!(story(&before, "+++++"), ".....");
    let after = before.with(Settings {
        upper: 4,
        lower: 0,
        ..Settings::weight(1)
    });
    assert!(!after.is_overloaded());
    assert_eq!(story(&after, "+"), "O");
}

#[test]
fn a_larger_upper_threshold_ends_an_overload() {
    let before = limited(2, 0);
    assert_eq!(story(&before, "++"), ".O");
    let edit = |upper, lower| {
        before.load.set_overloaded(true);
        before.with(Settings {
            upper,
            lower,
            ..Settings::weight(1)
        })
    };
    assert!(edit(2, 0).is_overloaded());
    assert!(edit(1, 0).is_overloaded());
    assert!(edit(2, 1).is_overloaded());
    assert!(!edit(3, 0).is_overloaded());
    assert!(!edit(0, 0).is_overloaded());
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
