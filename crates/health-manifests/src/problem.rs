//! What is wrong with a manifest, where, and what to do about it.
//!
//! A problem never quotes a line of the file and never holds a value that may be secret: whoever builds one decides
//! whether the value may be shown.

use std::fmt;

/// One thing that is wrong in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file (or `cluster`, or `command line`) it was read from.
    pub source: String,
    /// The line in that file, from 1; absent where there are no lines.
    pub line: Option<u32>,
    /// The object it concerns (`HealthCheck default/web`), as far as it could be read.
    pub object: Option<String>,
    /// The field, as a path: `spec.http.searchFor`. Absent when the document as a whole is meant.
    pub field: Option<String>,
    /// The value as written, where it is a plain value that cannot be secret.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    /// Field, fault, remedy and value in one line, without the place: what a status shows.
    pub fn sentence(&self) -> String {
        let field = self.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
        let value = self.value.as_ref().map(|value| format!(" (value: {value})")).unwrap_or_default();
        format!("{field}{}; {}{value}", self.message, self.remedy)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ": {object}")?;
        }
        write!(f, ": {}", self.sentence())
    }
}

impl std::error::Error for Problem {}

/// A problem that does not know its file yet: what a check of one document finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The field's path; empty for the document as a whole.
    pub(crate) field: String,
    /// The value, where it may be shown.
    pub(crate) value: Option<String>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) remedy: String,
}

impl Fault {
    /// A fault at a field.
    pub(crate) fn new(field: impl fmt::Display, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: field.to_string(), value: None, message: message.into(), remedy: remedy.into() }
    }

    /// Shows a value that cannot be secret, shortened.
    pub(crate) fn showing(mut self, value: impl fmt::Display) -> Self {
        self.value = Some(shortened(&value.to_string()));
        self
    }
}

/// Longest value shown, in characters.
const SHOWN_VALUE_LIMIT: usize = 80;

/// Longest field path or message shown, in characters.
const SHOWN_TEXT_LIMIT: usize = 500;

fn shortened(value: &str) -> String {
    cut(value, SHOWN_VALUE_LIMIT)
}

/// A text in one line, as short as a line should be.
pub(crate) fn one_line(text: &str) -> String {
    cut(text, SHOWN_TEXT_LIMIT)
}

fn cut(text: &str, limit: usize) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match one_line.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &one_line[..end]),
        None => one_line,
    }
}
