//! Spans of time as flags take them: whole seconds, or `500ms`, `1m30s`, `1h`.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads a span.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const FORMS: &str = "write seconds (30) or a duration (500ms, 1m30s, 1h)";
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let signed: SignedDuration = text.parse().map_err(|_| FORMS.to_owned())?;
    Duration::try_from(signed).map_err(|_| format!("it is negative; {FORMS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_durations_are_read() {
        assert_eq!(parse("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
    }

    #[test]
    fn what_is_no_span_is_answered_with_the_forms() {
        for text in ["", "soon", "1 parsec", "1.5.2"] {
            assert!(parse(text).unwrap_err().contains("write seconds"), "{text}");
        }
        assert!(parse("-5s").unwrap_err().contains("negative"));
    }
}
