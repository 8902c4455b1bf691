//! Pieces that several channels share: cutting to a provider's limit, the template's own payload, facts in a row.

use serde_json::{Map, Value};

use crate::{
    message::{Member, Message},
    text::{self, Rendered},
};

/// Cuts a text to a provider's limit, in characters, and shows that it was cut.
pub(super) fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The template's own payload, or one with the text under this key.
pub(super) fn own_or_text(rendered: Rendered, key: &str, most: usize) -> Map<String, Value> {
    match rendered.json {
        Some(Value::Object(payload)) => payload,
        _ => Map::from_iter([(key.to_owned(), clip(&rendered.plain, most).into())]),
    }
}

/// One line without emphasis, for titles.
pub(super) fn title(text: &str, most: usize) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    clip(&line.replace('*', ""), most)
}

/// What people look for first, named, in a fixed order; what is not known is left out.
pub(super) fn facts(message: &Message) -> Vec<(&'static str, String)> {
    let value = |name: &str| text::variable(name, message).unwrap_or_default();
    let facts = [
        ("Check", value("check")),
        ("Namespace", value("namespace")),
        ("Target", value("target")),
        ("Reason", value("reason")),
        ("Failing since", value("failing_since")),
        ("Runbook", value("runbook")),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty() && value != "several").collect()
}

/// The first runbook among the members.
pub(super) fn runbook(message: &Message) -> Option<String> {
    message.members.iter().map(text::runbook).find(|runbook| !runbook.is_empty())
}

/// How bad it is: the worst among the members.
pub(super) fn severity(message: &Message) -> health_model::Severity {
    message.members.iter().map(|member: &Member| member.severity).max().unwrap_or_default()
}

/// An address with a path behind its own, whether or not it ends in a slash.
pub(super) fn under(base: &url::Url, path: &str) -> String {
    format!("{}/{path}", base.as_str().trim_end_matches('/'))
}

/// A path segment, percent-encoded.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
