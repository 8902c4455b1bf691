//! Compiled expressions that compare by their source: regular expressions, CEL, JSONPath.
//!
//! Compiling happens once, when a manifest is parsed; a check holds the compiled form.

use std::{fmt, sync::Arc};

use jsonpath_rust::parser::model::JpQuery;
use regex::bytes::{Regex, RegexBuilder};

/// Compiled size a regular expression may take, in bytes.
const REGEX_SIZE_LIMIT: usize = 1 << 20;
/// Longest CEL source accepted, in bytes.
const CEL_SOURCE_LIMIT: usize = 4096;

/// How many of `( [ { ! - ?` a CEL source may hold: its parser recurses at each of them, about 150 KiB deep.
const CEL_MOST_SIGNS: usize = 200;
/// The stack on which such a source is parsed, in bytes; only what is touched is ever taken.
const CEL_STACK: usize = 128 << 20;

/// Why an expression was refused; the text says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpressionError(pub String);

/// A regular expression (Rust `regex` syntax, matched on bytes, found anywhere unless anchored).
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When the syntax is wrong, or the compiled form would exceed 1 MiB.
    pub fn new(source: &str) -> Result<Self, ExpressionError> {
        Self::build(source, false)
    }

    /// Compiles an expression in which `^` and `$` also match at line ends, as dialogues need it.
    ///
    /// # Errors
    /// As [`Pattern::new`].
    pub fn multi_line(source: &str) -> Result<Self, ExpressionError> {
        Self::build(source, true)
    }

    fn build(source: &str, multi_line: bool) -> Result<Self, ExpressionError> {
        RegexBuilder::new(source)
            .multi_line(multi_line)
            .size_limit(REGEX_SIZE_LIMIT)
            .build()
            .map(Self)
            .map_err(|error| ExpressionError(error.to_string()))
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found anywhere in these bytes.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// Where the first match ends, as an offset into these bytes.
    pub fn match_end(&self, bytes: &[u8]) -> Option<usize> {
        self.0.find(bytes).map(|found| found.end())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.as_str())
    }
}

/// A CEL expression over `response`.
#[derive(Clone)]
pub struct CelExpression {
    source: Arc<str>,
    program: Arc<cel::Program>,
}

impl CelExpression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When the syntax is wrong, the source is longer than 4 KiB, or it could nest too deep.
    pub fn new(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > CEL_SOURCE_LIMIT {
            return Err(ExpressionError(format!("is longer than {CEL_SOURCE_LIMIT} bytes")));
        }
        let program = compile(source)?;
        Ok(Self { source: source.into(), program: Arc::new(program) })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The compiled program.
    pub fn program(&self) -> &cel::Program {
        &self.program
    }
}

/// Parses where there is stack enough for whatever the bounds let through: an overflow would end the process.
fn compile(source: &str) -> Result<cel::Program, ExpressionError> {
    if source.matches(['(', '[', '{', '!', '-', '?']).count() > CEL_MOST_SIGNS {
        return Err(ExpressionError(format!("holds more than {CEL_MOST_SIGNS} of the signs ( [ {{ ! - ?")));
    }
    let owned = source.to_owned();
    let parsing = std::thread::Builder::new()
        .stack_size(CEL_STACK)
        .spawn(move || cel::Program::compile(&owned).map_err(|error| ExpressionError(error.to_string())));
    parsing
        .map_err(|error| ExpressionError(format!("cannot be parsed now ({error})")))?
        .join()
        .unwrap_or_else(|_| Err(ExpressionError("breaks the parser".to_owned())))
}

impl PartialEq for CelExpression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for CelExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// A JSONPath query (RFC 9535).
#[derive(Clone)]
pub struct JsonPath {
    source: Arc<str>,
    query: Arc<JpQuery>,
}

impl JsonPath {
    /// Parses a query such as `$.status`.
    ///
    /// # Errors
    /// When the syntax is wrong.
    pub fn new(source: &str) -> Result<Self, ExpressionError> {
        let query =
            jsonpath_rust::parser::parse_json_path(source).map_err(|error| ExpressionError(error.to_string()))?;
        Ok(Self { source: source.into(), query: Arc::new(query) })
    }

    /// The query as written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Every node the query selects.
    ///
    /// # Errors
    /// When the query cannot be evaluated on this document.
    pub fn select<'a>(&self, document: &'a serde_json::Value) -> Result<Vec<&'a serde_json::Value>, ExpressionError> {
        jsonpath_rust::query::js_path_process(&self.query, document)
            .map(|nodes| nodes.into_iter().map(|node| node.val()).collect())
            .map_err(|error| ExpressionError(error.to_string()))
    }
}

impl PartialEq for JsonPath {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deeply_nested_cel_expression_does_not_end_the_process() {
        for (open, close) in [("(", ")"), ("[", "]"), ("{1: ", "}"), ("!", ""), ("'\\q((", "))")] {
            for depth in [50, 99] {
                let _ = CelExpression::new(&format!("{}true{}", open.repeat(depth), close.repeat(depth)));
            }
            assert!(CelExpression::new(&open.repeat(400)).is_err(), "{open}");
        }
    }

    #[test]
    fn what_people_write_is_accepted() {
        for source in ["((((((((1))))))))==1", "!(a && (b || !(c in [1, 2])))", "a.all(b, b.exists(c, c.d == 'x-y-z'))"]
        {
            assert!(CelExpression::new(source).is_ok(), "{source}");
        }
    }
}
