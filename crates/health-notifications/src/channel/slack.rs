//! Slack incoming webhooks, also Mattermost and Rocket.Chat: `{"text"}`, or the JSON that the template is.
//!
//! A template that is JSON with `text`, `attachments` or `blocks` is sent as that payload (an array is taken for
//! attachments, or for blocks when its elements have a `type`); everything else is plain text. A template may call people; a
//! target's response may not.

use health_model::{SlackWebhook, Texts};
use serde_json::{Map, Value};

use super::{Call, mentions};
use crate::{message::Message, text};

pub(super) fn call(
    webhook: &SlackWebhook,
    username: Option<&str>,
    channel: Option<&str>,
    texts: &Texts,
    message: &Message,
) -> Call {
    let mut payload = payload(texts, message);
    for (key, value) in [("username", username), ("channel", channel)] {
        if let Some(value) = value {
            payload.entry(key).or_insert_with(|| value.into());
        }
    }
    Call::json(webhook.url.clone(), &Value::Object(payload))
}

fn payload(texts: &Texts, message: &Message) -> Map<String, Value> {
    let rendered = text::render_disarmed(texts, message, mentions::disarmed_for_slack);
    match rendered.json {
        Some(Value::Object(payload)) => payload,
        Some(Value::Array(parts)) => {
            let blocks = parts.iter().all(|part| part.get("type").is_some());
            let key = if blocks { "blocks" } else { "attachments" };
            let mut payload = Map::from_iter([(key.to_owned(), Value::Array(parts))]);
            if let Some(note) = rendered.note {
                payload.insert("text".to_owned(), note.into());
            }
            payload
        }
        _ => Map::from_iter([("text".to_owned(), rendered.plain.into())]),
    }
}
