//! Pieces that several channels share: cutting to a provider's limit, the template's own payload, facts in a row.

use serde_json::{Map, Value};

use crate::{
    message::{Member, Message},
    text::{self, Rendered},
};

/// A text of so few bytes is not worth shortening to make a payload fit.
const SHORTEST_CUT: usize = 64;

/// A text no longer than its provider allows, which shows that it was cut. Counted in UTF-16 units, as some providers do:
/// never fewer than the characters that others count. No character is cut in two.
pub(super) fn clip(text: &str, most: usize) -> String {
    if text.encode_utf16().count() <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(1);
    let fits = |character: &char| {
        let units = character.len_utf16();
        let room = units <= left;
        left = left.saturating_sub(units);
        room
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Cuts a text inside a payload, where there is one.
pub(super) fn clip_field(payload: &mut Value, pointer: &str, most: usize) {
    if let Some(Value::String(text)) = payload.pointer_mut(pointer) {
        *text = clip(text, most);
    }
}

/// Makes a payload fit into so many bytes by shortening its longest texts, so that it stays what it is.
pub(super) fn fit(mut payload: Value, most: usize) -> Value {
    while payload.to_string().len() > most {
        let Some(text) = longest_text(&mut payload).filter(|text| text.len() > SHORTEST_CUT) else { break };
        *text = clip(text, text.encode_utf16().count() / 2);
    }
    payload
}

fn longest_text(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(values) => values.iter_mut().filter_map(longest_text).max_by_key(|text| text.len()),
        Value::Object(fields) => fields.values_mut().filter_map(longest_text).max_by_key(|text| text.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
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
