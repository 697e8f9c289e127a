//! Spans of time as people write them: `90`, `90s`, `15m`, `2h`, `1d`.

/// The longest span that is taken, in seconds: 31 days, as for timeouts.
pub const MAX_SPAN: u32 = super::Timeouts::MAX;

/// A span in whole seconds, 1 to [`MAX_SPAN`].
pub fn span(text: &str) -> Option<u32> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let span = number.parse::<u32>().ok()?.checked_mul(seconds)?;
    (1..=MAX_SPAN).contains(&span).then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, expected) in [
            ("60", Some(60)),
            ("60s", Some(60)),
            ("5m", Some(300)),
            ("2h", Some(7200)),
            ("31d", Some(MAX_SPAN)),
            ("32d", None),
            ("0", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5h", None),
            ("60 s", None),
            ("99999999999", None),
        ] {
            assert_eq!(span(text), expected, "{text}");
        }
    }
}
