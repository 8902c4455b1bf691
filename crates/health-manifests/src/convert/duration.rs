//! Durations as people write them: whole numbers of a field's unit, or `500ms`, `1m30s`, `1h`.

use std::time::Duration;

use super::Conversion;
use crate::resource::value::NumberOrText;

/// The longest duration accepted: a year of 366 days.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a whole number means in a field.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Seconds,
    Minutes,
}

/// What a field accepts.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) unit: Unit,
    pub(crate) least: Duration,
}

impl Bounds {
    /// Whole seconds; more than nothing.
    pub(crate) const POSITIVE: Self = Self { unit: Unit::Seconds, least: Duration::from_millis(1) };
    /// Whole seconds; nothing is accepted too.
    pub(crate) const ANY: Self = Self { unit: Unit::Seconds, least: Duration::ZERO };
    /// Whole seconds, at least 100 ms.
    pub(crate) const INTERVAL: Self = Self { unit: Unit::Seconds, least: Duration::from_millis(100) };
}

impl Conversion<'_> {
    /// Reads a duration and keeps it within its bounds.
    pub(crate) fn duration(
        &mut self,
        path: impl std::fmt::Display,
        value: &NumberOrText,
        bounds: Bounds,
    ) -> Option<Duration> {
        let duration = read(value, bounds.unit).filter(|duration| *duration >= bounds.least);
        if duration.is_none() {
            let unit = match bounds.unit {
                Unit::Seconds => "whole seconds (60)",
                Unit::Minutes => "whole minutes (5)",
            };
            let remedy = format!("write {unit} or a duration such as \"500ms\", \"1m30s\", \"1h\"");
            let short = bounds.least >= Bounds::INTERVAL.least;
            let message = if short { "is no duration of at least 100ms" } else { "is no duration" };
            self.fault_showing(path, value, (message, remedy));
            return None;
        }
        if duration.is_some_and(|duration| duration > LONGEST) {
            self.fault_showing(path, value, ("is too long", "write at most 366d"));
            return None;
        }
        duration
    }
}

fn read(value: &NumberOrText, unit: Unit) -> Option<Duration> {
    match value {
        NumberOrText::Number(number) => {
            let seconds = match unit {
                Unit::Seconds => 1,
                Unit::Minutes => 60,
            };
            u64::try_from(*number).ok()?.checked_mul(seconds).map(Duration::from_secs)
        }
        NumberOrText::Text(text) => parse(text),
    }
}

/// Reads `1h30m`, `500ms`, `1.5s`, `7d`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
            return None;
        }
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit_seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * unit_seconds;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    Some(total)
}
