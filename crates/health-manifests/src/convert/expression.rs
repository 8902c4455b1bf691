//! Expressions: compiled once, and when they cannot be, the compiler's reason in one line.

use health_model::{CelExpression, ExpressionError, JsonPath, Pattern};

use super::Conversion;
use crate::path::FieldPath;

impl Conversion<'_> {
    /// Compiles a regular expression.
    pub(crate) fn pattern(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Pattern> {
        self.compiled(path, text, Pattern::new(text), "regular expression")
    }

    /// Compiles a regular expression that is searched line by line.
    pub(crate) fn multi_line_pattern(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Pattern> {
        self.compiled(path, text, Pattern::multi_line(text), "regular expression")
    }

    /// Compiles a JSONPath.
    pub(crate) fn json_path(&mut self, path: &FieldPath<'_>, text: &str) -> Option<JsonPath> {
        self.compiled(path, text, JsonPath::new(text), "JSONPath (RFC 9535)")
    }

    /// Compiles a CEL expression.
    pub(crate) fn cel(&mut self, path: &FieldPath<'_>, text: &str) -> Option<CelExpression> {
        self.compiled(path, text, CelExpression::new(text), "CEL expression")
    }

    fn compiled<T>(
        &mut self,
        path: &FieldPath<'_>,
        text: &str,
        compiled: Result<T, ExpressionError>,
        what: &str,
    ) -> Option<T> {
        match compiled {
            Ok(compiled) => Some(compiled),
            Err(error) => {
                let message = format!("is no valid {what} ({})", reason(&error.0));
                self.fault_showing(path, format_args!("{text:?}"), (message, "mend the expression"));
                None
            }
        }
    }
}

/// The line that says what is wrong: compilers draw a picture around it.
fn reason(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = lines().find_map(|line| {
        let regex = line.strip_prefix("error: ");
        let cel = || line.strip_prefix("ERROR: ").map(|rest| rest.splitn(2, ": ").last().unwrap_or(rest));
        let json_path = || line.strip_prefix("= ");
        regex.or_else(cel).or_else(json_path)
    });
    let reason = marked.or_else(|| lines().next_back()).unwrap_or_default();
    // The CEL parser goes on to list its tokens.
    reason.split(" expecting {").next().unwrap_or(reason).to_owned()
}
