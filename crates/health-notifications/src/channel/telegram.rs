//! Telegram Bot API `sendMessage`: plain text of at most 4096 characters, no link previews.

use health_model::{Sensitive, Texts};
use serde_json::json;
use url::Url;

use super::{
    Call,
    payload::{clip, under},
};
use crate::{message::Message, text};

const LONGEST: usize = 4096;

pub(super) fn call(
    api_url: &Url,
    bot_token: &Sensitive,
    chat_id: &Sensitive,
    texts: &Texts,
    message: &Message,
) -> Call {
    let url = under(api_url, &format!("bot{}/sendMessage", bot_token.expose()));
    let body = json!({
        "chat_id": chat_id.expose(),
        "text": clip(&text::render(texts, message).plain, LONGEST),
        "link_preview_options": {"is_disabled": true},
    });
    Call::json(url.into(), &body)
}
