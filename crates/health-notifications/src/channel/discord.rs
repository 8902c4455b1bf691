//! Discord webhooks: `{"content"}` of at most 2000 characters, without mentions; or the JSON that the template is.

use health_model::{SlackWebhook, Texts};
use serde_json::{Value, json};

use super::{
    Call,
    payload::{clip_field, fit, own_or_text},
};
use crate::{message::Message, text};

const LONGEST: usize = 2000;
/// `title` of an embed, and the name of one of its fields.
const LONGEST_TITLE: usize = 256;
/// `description` of an embed.
const LONGEST_DESCRIPTION: usize = 4096;
/// The value of a field of an embed.
const LONGEST_FIELD: usize = 1024;
/// All texts of the embeds of a message, in characters; kept in bytes for each.
const LARGEST_EMBED: usize = 6000;

pub(super) fn call(webhook: &SlackWebhook, texts: &Texts, message: &Message) -> Call {
    let mut payload = own_or_text(text::render(texts, message), "content", LONGEST);
    // A response that says "@everyone" must wake nobody.
    payload.entry("allowed_mentions").or_insert_with(|| json!({"parse": []}));
    let mut payload = Value::Object(payload);
    clip_field(&mut payload, "/content", LONGEST);
    for embed in payload.get_mut("embeds").and_then(Value::as_array_mut).into_iter().flatten() {
        embed_within_limits(embed);
    }
    Call::json(webhook.url.clone(), &payload)
}

fn embed_within_limits(embed: &mut Value) {
    clip_field(embed, "/title", LONGEST_TITLE);
    clip_field(embed, "/description", LONGEST_DESCRIPTION);
    for field in embed.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten() {
        clip_field(field, "/name", LONGEST_TITLE);
        clip_field(field, "/value", LONGEST_FIELD);
    }
    *embed = fit(embed.take(), LARGEST_EMBED);
}
