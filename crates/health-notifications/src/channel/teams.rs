//! Microsoft Teams workflows: an Adaptive Card 1.4 in a message, or the JSON that the template is (a card or a message).

use health_model::{SlackWebhook, Texts};
use serde_json::{Value, json};

use super::{
    Call,
    payload::{clip, facts, fit},
};
use crate::{message::Message, text};

/// Bytes of a whole message: Teams refuses more than 28 KB.
const LARGEST: usize = 28_000;
/// Characters of the text: more is nothing that anybody reads on a card.
const LONGEST: usize = 8000;

pub(super) fn call(webhook: &SlackWebhook, texts: &Texts, message: &Message) -> Call {
    let rendered = text::render(texts, message);
    let payload = match rendered.json {
        Some(own) if own.get("attachments").is_some() => own,
        Some(own) if own.get("type").and_then(Value::as_str) == Some("AdaptiveCard") => wrapped(own),
        _ => wrapped(card(&rendered.plain, message)),
    };
    Call::json(webhook.url.clone(), &fit(payload, LARGEST))
}

fn wrapped(card: Value) -> Value {
    json!({
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card}],
    })
}

fn card(text: &str, message: &Message) -> Value {
    let color = if message.telling.is_firing() { "Attention" } else { "Good" };
    let facts: Vec<Value> =
        facts(message).into_iter().map(|(title, value)| json!({"title": title, "value": clip(&value, 500)})).collect();
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": clip(text, LONGEST), "wrap": true, "color": color, "weight": "Bolder"},
            {"type": "FactSet", "facts": facts},
        ],
    })
}
