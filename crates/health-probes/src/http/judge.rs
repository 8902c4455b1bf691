//! What the answer is held against: status, headers, body, JSON. Pure; the first miss speaks.

use std::{fmt::Display, time::Duration};

use health_model::{HeaderRule, HttpProbe, JsonExpectation, JsonRule, Reason, Search, SearchMatcher, TlsOptions};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::{body::Body, status_line, steps};
use crate::{failure::Failure, retry_after};

/// Characters of what came that are shown.
const SHOWN: usize = 80;
/// From here on the exact number of seconds tells nobody anything.
const A_YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

/// Whether the body has to be read and understood to judge this check.
pub(super) fn looks_at_body(http: &HttpProbe) -> bool {
    http.search.is_some()
        || !http.expected_json.is_empty()
        || http.assertions.iter().any(|assertion| {
            let source = assertion.expression.as_str();
            source.contains("body") || source.contains("json")
        })
}

/// Judges status and headers, which are known before the body. `place` says who answered.
pub(super) fn head(
    http: &HttpProbe,
    status: StatusCode,
    headers: &HeaderMap,
    place: &dyn Display,
    now: Timestamp,
) -> Result<(), Failure> {
    let line = status_line(status);
    let expected = &http.expected_status;
    if !expected.contains(status.as_u16()) {
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(limited(&line, retry_after::read(headers, now)));
        }
        let remedy = remedy(status, http);
        return Err(Failure::new(
            Reason::UnexpectedStatus,
            format!("{line}: expected {expected} from {place}{remedy}"),
        ));
    }
    http.expected_headers.iter().try_for_each(|expected| {
        let came = headers.get_all(expected.name.as_str()).iter();
        let values: Vec<_> = came.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        header(&expected.name, &expected.rule, &values).map_err(|miss| {
            Failure::new(Reason::HeaderMismatch, format!("{line}: {miss} (expectedHeaders), from {place}"))
        })
    })
}

fn limited(line: &str, retry_after: Option<Duration>) -> Failure {
    let message = match retry_after {
        Some(wait) if wait > A_YEAR => format!("{line}: the target asks to be left alone for more than a year"),
        Some(wait) => format!("{line}: the target asks to be left alone for {} s", wait.as_secs()),
        None => format!("{line}: the target asks to be left alone"),
    };
    Failure { retry_after, ..Failure::new(Reason::RateLimited, message) }
}

fn remedy(status: StatusCode, http: &HttpProbe) -> &'static str {
    match status.as_u16() {
        401 if http.auth.is_none() => ": it wants credentials (basicAuth, bearerToken or oauth2)",
        401 | 403 => ": it refuses these credentials",
        407 if http.proxy.as_ref().is_some_and(|proxy| proxy.credentials.is_none()) => {
            ": the proxy wants credentials (user info in proxyUrl)"
        }
        407 => ": the proxy refuses these credentials (proxyUrl)",
        301 | 302 | 303 | 307 | 308 if !http.follow_redirects => ": set followRedirects, or expect this status",
        _ => "",
    }
}

/// What the body says about a status that was not expected: nginx asks for a client certificate by a page, not in TLS.
pub(super) fn in_hindsight(failure: Failure, status: StatusCode, body: &Body, tls: &TlsOptions) -> Failure {
    if status != StatusCode::BAD_REQUEST || memchr::memmem::find(&body.bytes, b"SSL certificate").is_none() {
        return failure;
    }
    let remedy = match tls.client_certificate {
        None => ": it wants a client certificate (tls.clientCertificate)",
        Some(_) => ": it refuses our client certificate (tls.clientCertificate)",
    };
    Failure { message: format!("{}{remedy}", failure.message), ..failure }
}

fn header(name: &str, rule: &HeaderRule, values: &[String]) -> Result<(), String> {
    let came = || match values {
        [] => "it is missing".to_owned(),
        values => format!("came {:?}", shown(&values.join(", "))),
    };
    let (held, expected) = match rule {
        HeaderRule::Value(value) => (
            values.iter().any(|came| came == value) || values.join(", ") == *value,
            format!("the header {name} to be {value:?}"),
        ),
        HeaderRule::Expression(pattern) => (
            values.iter().any(|came| pattern.is_match(came.as_bytes())),
            format!("the header {name} to match {pattern:?}"),
        ),
        HeaderRule::Present => (!values.is_empty(), format!("the header {name}")),
        HeaderRule::Absent => (values.is_empty(), format!("no header {name}")),
    };
    if held { Ok(()) } else { Err(format!("expected {expected}, {}", came())) }
}

/// Judges what was read of the body.
pub(super) fn body(http: &HttpProbe, status: StatusCode, body: &Body, place: &dyn Display) -> Result<(), Failure> {
    let line = status_line(status);
    if body.cut {
        return Err(Failure::new(
            Reason::BodyTooLarge,
            format!(
                "{line}: the body is larger than {} bytes (maxBodyBytes), from {place}: ask for less, or raise it",
                http.max_body_bytes
            ),
        ));
    }
    if let Some(search) = &http.search
        && found(search, &body.bytes) == search.absent
    {
        let expected = match (&search.matcher, search.absent) {
            (SearchMatcher::Text(text), false) => format!("expected the body to contain {text:?}"),
            (SearchMatcher::Text(text), true) => format!("expected the body not to contain {text:?}, but it does"),
            (SearchMatcher::Expression(pattern), false) => format!("expected the body to match {pattern:?}"),
            (SearchMatcher::Expression(pattern), true) => {
                format!("expected the body not to match {pattern:?}, but it does")
            }
        };
        let length = body.bytes.len();
        let message = format!("{line}: {expected} (searchFor), came {length} bytes from {place}");
        return Err(Failure::new(Reason::ContentMismatch, message));
    }
    Ok(())
}

fn found(search: &Search, bytes: &[u8]) -> bool {
    match &search.matcher {
        SearchMatcher::Text(text) => memchr::memmem::find(bytes, text.as_bytes()).is_some(),
        SearchMatcher::Expression(pattern) => pattern.is_match(bytes),
    }
}

/// Judges the JSON of the body.
pub(super) fn json(
    expectations: &[JsonExpectation],
    status: StatusCode,
    document: Result<&Value, &str>,
    place: &dyn Display,
) -> Result<(), Failure> {
    let line = status_line(status);
    let failed =
        |miss: String| Failure::new(Reason::AssertionFailed, format!("{line}: {miss} (expectedJson), from {place}"));
    if expectations.is_empty() {
        return Ok(());
    }
    let document = document.map_err(|problem| failed(format!("expected JSON, {problem}")))?;
    expectations.iter().try_for_each(|expected| selected(expected, document).map_err(&failed))
}

fn selected(expected: &JsonExpectation, document: &Value) -> Result<(), String> {
    let path = expected.path.as_str();
    if steps::at_worst(path, steps::Size::of(document)) > steps::MOST {
        return Err(format!("{path} would take too many steps over a document of this size: select more closely"));
    }
    let nodes = expected.path.select(document).map_err(|error| format!("{path} cannot be evaluated ({error})"))?;
    if nodes.is_empty() {
        return Err(format!("expected {path} to select something, it selects nothing"));
    }
    match &expected.rule {
        JsonRule::Present => Ok(()),
        JsonRule::Value(value) => match nodes.iter().find(|node| !same(node, value)) {
            Some(node) => Err(format!("expected {path} to be {value}, came {}", shown(&node.to_string()))),
            None => Ok(()),
        },
        JsonRule::Expression(pattern) => {
            let text = |node: &Value| node.as_str().map_or_else(|| node.to_string(), str::to_owned);
            match nodes.iter().map(|node| text(node)).find(|text| !pattern.is_match(text.as_bytes())) {
                Some(came) => Err(format!("expected {path} to match {pattern:?}, came {:?}", shown(&came))),
                None => Ok(()),
            }
        }
    }
}

/// Equality as people mean it: `1` and `1.0` are the same number.
fn same(came: &Value, expected: &Value) -> bool {
    match (came, expected) {
        (Value::Number(came), Value::Number(expected)) => {
            came == expected || came.as_f64().is_some_and(|came| Some(came) == expected.as_f64())
        }
        (Value::Array(came), Value::Array(expected)) => {
            came.len() == expected.len() && came.iter().zip(expected).all(|(came, expected)| same(came, expected))
        }
        (Value::Object(came), Value::Object(expected)) => {
            came.len() == expected.len()
                && came.iter().all(|(key, value)| expected.get(key).is_some_and(|expected| same(value, expected)))
        }
        _ => came == expected,
    }
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
