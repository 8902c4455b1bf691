//! Discord webhooks: `{"content"}` of at most 2000 characters, without mentions; or the JSON that the template is.

use health_model::{SlackWebhook, Texts};
use serde_json::{Value, json};

use super::{Call, payload::own_or_text};
use crate::{message::Message, text};

const LONGEST: usize = 2000;

pub(super) fn call(webhook: &SlackWebhook, texts: &Texts, message: &Message) -> Call {
    let mut payload = own_or_text(text::render(texts, message), "content", LONGEST);
    // A response that says "@everyone" must wake nobody.
    payload.entry("allowed_mentions").or_insert_with(|| json!({"parse": []}));
    Call::json(webhook.url.clone(), &Value::Object(payload))
}
