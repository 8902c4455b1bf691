//! Sets of HTTP status codes as manifests write them: `200`, `"4xx"`, `"200-204"`.

use std::{fmt, str::FromStr};

/// One element of a set was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no status: write a code (200), a class (\"2xx\") or a range (\"200-204\")")]
pub struct StatusSetError(pub String);

/// Inclusive ranges of status codes between 100 and 599.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// Parses every element.
    ///
    /// # Errors
    /// Names the first element that is no code, class or range.
    pub fn parse<S: AsRef<str>>(elements: &[S]) -> Result<Self, StatusSetError> {
        elements.iter().map(|element| parse_element(element.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a code is in the set.
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&code))
    }

    /// Whether no code at all is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for StatusSet {
    /// Any 2xx.
    fn default() -> Self {
        Self(vec![(200, 299)])
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (low, high)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match (low, high) {
                (low, high) if low == high => write!(f, "{separator}{low}")?,
                (low, high) if low % 100 == 0 && *high == low + 99 => write!(f, "{separator}{}xx", low / 100)?,
                (low, high) => write!(f, "{separator}{low}-{high}")?,
            }
        }
        Ok(())
    }
}

fn parse_element(element: &str) -> Result<(u16, u16), StatusSetError> {
    let text = element.trim();
    let refused = || StatusSetError(element.to_owned());
    let code = |text: &str| u16::from_str(text.trim()).ok().filter(|code| (100..=599).contains(code));
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let class = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class)).ok_or_else(refused)?;
        return Ok((class * 100, class * 100 + 99));
    }
    match text.split_once('-') {
        Some((low, high)) => match (code(low), code(high)) {
            (Some(low), Some(high)) if low <= high => Ok((low, high)),
            _ => Err(refused()),
        },
        None => code(text).map(|code| (code, code)).ok_or_else(refused),
    }
}
