//! Errors as users meet them: RFC 9457 problem details, on every port that speaks HTTP.
//!
//! A problem names what is wrong and what would be right. It never holds a secret, and never a value that could not be
//! shown back to whoever sent it.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong with a request (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the title is the status's own phrase, or says what the status means here.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "about:blank")]
    kind: &'static str,
    /// The kind of problem, in a few words.
    title: String,
    /// The HTTP status, once more.
    status: u16,
    /// What was wrong with this very request, and what to do about it.
    detail: String,
    /// What else is known: `parameter`, `value`, `allowed`, `checks`.
    #[serde(flatten)]
    #[schema(value_type = Object, additional_properties)]
    extensions: Map<String, Value>,
}

impl Problem {
    /// A problem with the status's own phrase as its title.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), extensions: Map::new() }
    }

    /// 404
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 400 for a parameter: its name, what was sent, and what may be sent.
    pub(crate) fn parameter(name: &str, value: &str, allowed: &str) -> Self {
        let shown = shortened(value);
        Self::new(StatusCode::BAD_REQUEST, format!("{name}={shown}: {name} must be {allowed}"))
            .with("parameter", name)
            .with("value", shown)
            .with("allowed", allowed)
    }

    /// 400 for a parameter nobody reads.
    pub(crate) fn unknown_parameter(name: &str, value: &str, allowed: &str) -> Self {
        let shown = shortened(name);
        Self::new(StatusCode::BAD_REQUEST, format!("{shown} is not a parameter here; allowed: {allowed}"))
            .with("parameter", shown)
            .with("value", shortened(value))
            .with("allowed", allowed)
    }

    /// Adds an extension member.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(member.to_owned(), value.into());
        self
    }

    /// Replaces the title.
    #[must_use]
    pub(crate) fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }
}

/// What of a sent value is shown back: enough to recognise it.
fn shortened(value: &str) -> String {
    const LONGEST: usize = 200;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))], body).into_response()
    }
}
