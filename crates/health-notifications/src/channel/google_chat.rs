//! Google Chat webhooks: `{"text"}` of at most 4096 characters, or the JSON that the template is. A template may
//! call people; a target's response may not.

use health_model::{SlackWebhook, Texts};
use serde_json::Value;

use super::{
    Call, mentions,
    payload::{fit, own_or_text},
};
use crate::{message::Message, text};

const LONGEST: usize = 4096;
/// Bytes of a whole message, cards included.
const LARGEST: usize = 32_000;

pub(super) fn call(webhook: &SlackWebhook, texts: &Texts, message: &Message) -> Call {
    let payload =
        own_or_text(text::render_disarmed(texts, message, mentions::disarmed_for_google_chat), "text", LONGEST);
    Call::json(webhook.url.clone(), &fit(Value::Object(payload), LARGEST))
}
