//! Where in a document we are, without allocating until somebody asks.

use std::fmt;

/// A field's path as a chain of borrowed steps; `Display` writes `spec.http.headers[2].value`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> FieldPath<'a> {
    /// The start of a path.
    pub(crate) const fn root(key: &'a str) -> Self {
        Self { parent: None, step: Step::Key(key) }
    }

    /// A field of this object.
    pub(crate) const fn key(&'a self, key: &'a str) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Key(key) }
    }

    /// An element of this list, from 0.
    pub(crate) const fn index(&'a self, index: usize) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Index(index) }
    }

    /// Whether any step of the path is one of these keys.
    pub(crate) fn passes(&self, keys: &[&str]) -> bool {
        let here = matches!(self.step, Step::Key(key) if keys.contains(&key));
        here || self.parent.is_some_and(|parent| parent.passes(keys))
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key("") => Ok(()),
            Step::Key(key) if self.parent.is_some_and(|parent| !matches!(parent.step, Step::Key(""))) => {
                write!(f, ".{key}")
            }
            Step::Key(key) => f.write_str(key),
        }
    }
}
