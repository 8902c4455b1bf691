//! Opsgenie Alert API: create by `alias`, close by `alias`.

use health_model::{Sensitive, Severity, Texts};
use serde_json::json;
use url::Url;

use super::{
    Call,
    payload::{clip, facts, segment, severity, title, under},
};
use crate::{message::Message, text};

/// `message`
const LONGEST_MESSAGE: usize = 130;
/// `description`
const LONGEST_DESCRIPTION: usize = 15_000;
/// `source` of what we create and close.
const SOURCE: &str = "health-check-operator";

pub(super) fn call(api_url: &Url, api_key: &Sensitive, texts: &Texts, message: &Message) -> Call {
    let rendered = text::render(texts, message).plain;
    let mut call = if message.telling.is_firing() {
        create(api_url, &rendered, message)
    } else {
        let path = format!("v2/alerts/{}/close?identifierType=alias", segment(&message.incident));
        Call::json(
            under(api_url, &path).into(),
            &json!({"source": SOURCE, "note": clip(&rendered, LONGEST_DESCRIPTION)}),
        )
    };
    call.headers.push((http::header::AUTHORIZATION, format!("GenieKey {}", api_key.expose()).into()));
    call
}

fn create(api_url: &Url, rendered: &str, message: &Message) -> Call {
    let priority = match severity(message) {
        Severity::Critical => "P1",
        Severity::Warning => "P3",
        Severity::Info => "P5",
    };
    let details: serde_json::Map<String, serde_json::Value> =
        facts(message).into_iter().map(|(name, value)| (name.to_owned(), clip(&value, 500).into())).collect();
    let body = json!({
        "message": title(rendered, LONGEST_MESSAGE),
        "alias": &*message.incident,
        "description": clip(rendered, LONGEST_DESCRIPTION),
        "priority": priority,
        "source": SOURCE,
        "entity": clip(&text::variable("check", message).unwrap_or_default(), 512),
        "details": details,
    });
    Call::json(under(api_url, "v2/alerts").into(), &body)
}
