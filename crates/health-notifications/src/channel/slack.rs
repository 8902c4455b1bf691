//! Slack incoming webhooks, also Mattermost and Rocket.Chat: `{"text"}`, or the JSON that the template is.
//!
//! A template that is JSON with `text`, `attachments` or `blocks` is sent as that payload (an array is taken for
//! attachments, or for blocks when its elements have a `type`); everything else is plain text. A template may call people; a
//! target's response may not.

use health_model::{SlackWebhook, Texts};
use serde_json::{Map, Value};

use super::{Call, mentions, payload::clip_field};
use crate::{message::Message, text};

/// `text` of a message; Slack cuts what is longer.
const LONGEST_TEXT: usize = 40_000;
/// Blocks of a message; with more it is refused.
const MOST_BLOCKS: usize = 50;
/// The text of a text object; with a longer one the message is refused.
const LONGEST_BLOCK_TEXT: usize = 3000;
/// The text of a field of a section.
const LONGEST_FIELD: usize = 2000;
/// The text of a header.
const LONGEST_HEADER: usize = 150;

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
    let mut payload = Value::Object(payload);
    within_limits(&mut payload);
    Call::json(webhook.url.clone(), &payload)
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

/// Shortens what a long response has made too long: Slack would refuse the message for ever.
fn within_limits(payload: &mut Value) {
    clip_field(payload, "/text", LONGEST_TEXT);
    let attachments = payload.get_mut("attachments").and_then(Value::as_array_mut).into_iter().flatten();
    attachments.for_each(blocks_within_limits);
    blocks_within_limits(payload);
}

fn blocks_within_limits(holder: &mut Value) {
    let Some(blocks) = holder.get_mut("blocks").and_then(Value::as_array_mut) else { return };
    blocks.truncate(MOST_BLOCKS);
    for block in blocks {
        let is_header = block.get("type").and_then(Value::as_str) == Some("header");
        clip_field(block, "/text/text", if is_header { LONGEST_HEADER } else { LONGEST_BLOCK_TEXT });
        for (list, longest) in [("fields", LONGEST_FIELD), ("elements", LONGEST_BLOCK_TEXT)] {
            let parts = block.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
            parts.for_each(|part| clip_field(part, "/text", longest));
        }
    }
}
