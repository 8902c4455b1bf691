//! Compiled expressions that compare by their source: regular expressions, CEL, JSONPath.
//!
//! Compiling happens once, when a manifest is parsed; a check holds the compiled form.

use std::{fmt, sync::Arc};

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr};
use jsonpath_rust::parser::model::JpQuery;
use regex::bytes::{Regex, RegexBuilder};

/// Compiled size a regular expression may take, in bytes.
const REGEX_SIZE_LIMIT: usize = 1 << 20;
/// Longest CEL source accepted, in bytes.
const CEL_SOURCE_LIMIT: usize = 4096;

/// How many of `( [ { ! - ?` a CEL source may hold: its parser recurses at each of them, about 150 KiB deep.
const CEL_MOST_SIGNS: usize = 200;
/// How deep a CEL expression may nest: its evaluation recurses, on a stack of 2 MiB. A chain (`a + b + c`) nests, too.
const CEL_MOST_DEPTH: usize = 100;
/// How many parentheses and brackets of a JSONPath may be open at once: with each of them its parser takes several times as
/// long.
const PATH_MOST_OPEN: usize = 5;
/// The stack on which such sources are parsed, in bytes; only what is touched is ever taken.
const DEEP_STACK: usize = 128 << 20;

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
    depth: usize,
}

impl CelExpression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When the syntax is wrong, the source is longer than 4 KiB, or it nests too deep.
    pub fn new(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > CEL_SOURCE_LIMIT {
            return Err(ExpressionError(format!("is longer than {CEL_SOURCE_LIMIT} bytes")));
        }
        let (program, depth) = compile(source)?;
        Ok(Self { source: source.into(), program: Arc::new(program), depth })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// How deep it nests: so deep does its evaluation recurse.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// The compiled program.
    pub fn program(&self) -> &cel::Program {
        &self.program
    }
}

fn compile(source: &str) -> Result<(cel::Program, usize), ExpressionError> {
    if source.matches(['(', '[', '{', '!', '-', '?']).count() > CEL_MOST_SIGNS {
        return Err(ExpressionError(format!("holds more than {CEL_MOST_SIGNS} of the signs ( [ {{ ! - ?")));
    }
    let owned = source.to_owned();
    let compiled = move || {
        let program = cel::Program::compile(&owned).map_err(|error| ExpressionError(error.to_string()))?;
        // Here, too, is the stack on which one that is too deep can be dropped.
        match depth(program.expression()) {
            depth @ ..=CEL_MOST_DEPTH => Ok((program, depth)),
            _ => Err(ExpressionError(format!(
                "nests more than {CEL_MOST_DEPTH} deep (a chain such as a + b + c does, too): split it into several"
            ))),
        }
    };
    on_a_deep_stack(compiled)
}

/// Does this where there is stack enough for whatever the bounds let through: an overflow would end the process.
fn on_a_deep_stack<T: Send + 'static>(
    parse: impl FnOnce() -> Result<T, ExpressionError> + Send + 'static,
) -> Result<T, ExpressionError> {
    let parsing = std::thread::Builder::new().stack_size(DEEP_STACK).spawn(parse);
    parsing
        .map_err(|error| ExpressionError(format!("cannot be parsed now ({error})")))?
        .join()
        .unwrap_or_else(|_| Err(ExpressionError("breaks the parser".to_owned())))
}

/// How deep an expression nests; does not recurse itself.
fn depth(expression: &IdedExpr) -> usize {
    let mut waiting = vec![(expression, 1)];
    let mut deepest = 0;
    while let Some((expression, at)) = waiting.pop() {
        deepest = deepest.max(at);
        waiting.extend(inner(&expression.expr).into_iter().map(|inner| (inner, at + 1)));
    }
    deepest
}

fn inner(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(loops) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = &**loops;
            vec![iter_range, accu_init, loop_cond, loop_step, result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| parts(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(made) => made.entries.iter().flat_map(|entry| parts(&entry.expr)).collect(),
    }
}

/// How many parentheses and brackets are open at once, at most. Those within quotes count, too: a bound need not be exact.
fn open_at_once(path: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for sign in path.chars() {
        match sign {
            '(' | '[' => open += 1,
            ')' | ']' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

fn parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
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
    /// When the syntax is wrong, or it could nest too deep.
    pub fn new(source: &str) -> Result<Self, ExpressionError> {
        if open_at_once(source) > PATH_MOST_OPEN {
            return Err(ExpressionError(format!(
                "has more than {PATH_MOST_OPEN} parentheses or brackets inside each other"
            )));
        }
        let owned = source.to_owned();
        let parse =
            move || jsonpath_rust::parser::parse_json_path(&owned).map_err(|error| ExpressionError(error.to_string()));
        let query = on_a_deep_stack(parse)?;
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
    fn a_deeply_nested_path_does_not_end_the_process_nor_hold_it_up() {
        for (open, close) in [("(", ")"), ("!(", ")"), ("@[?", "]"), ("length(", ")")] {
            let nested = |depth: usize| format!("$[?{}@.a == 1{}]", open.repeat(depth), close.repeat(depth));
            for depth in 1..=PATH_MOST_OPEN {
                let _ = JsonPath::new(&nested(depth));
            }
            assert!(JsonPath::new(&nested(PATH_MOST_OPEN)).is_err() && JsonPath::new(&nested(400)).is_err(), "{open}");
        }
        assert!(JsonPath::new("$.store.book[?(@.price < 10 && !(@.sold == true))].title").is_ok());
        assert!(JsonPath::new("$.a[?@.b[?@.c == 1]].d[?length(@.e) > 2]").is_ok());
    }

    #[test]
    fn a_chain_nests_as_deep_as_it_is_long() {
        for (link, first) in [("+1", "1"), ("==1", "1"), (".a", "a"), ("[0]", "a"), (" in [1]", "1")] {
            assert!(CelExpression::new(&format!("{first}{}", link.repeat(40))).is_ok(), "{link}");
            let error = CelExpression::new(&format!("{first}{}", link.repeat(150))).unwrap_err();
            assert!(error.0.contains("nests more than 100 deep"), "{link}: {error}");
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
