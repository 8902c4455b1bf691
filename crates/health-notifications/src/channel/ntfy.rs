//! ntfy, published as JSON to the server's root, so that the topic (which whoever knows may read) is in no address.

use health_model::{Sensitive, Severity, Texts};
use serde_json::json;
use url::Url;

use super::{
    Call,
    payload::{clip, runbook, severity, title},
};
use crate::{message::Message, text};

/// ntfy turns longer messages (in bytes) into attachments; a character has at most four.
const LONGEST: usize = 1000;

pub(super) fn call(url: &Url, topic: &Sensitive, token: Option<&Sensitive>, texts: &Texts, message: &Message) -> Call {
    let firing = message.telling.is_firing();
    let priority = match (firing, severity(message)) {
        (true, Severity::Critical) => 5,
        (true, Severity::Warning) => 4,
        (true, Severity::Info) | (false, _) => 3,
    };
    let check = text::variable("check", message).unwrap_or_default();
    let mut body = json!({
        "topic": topic.expose(),
        "title": title(&format!("{check}: {}", message.telling.status()), 250),
        "message": clip(&text::render(texts, message).plain, LONGEST),
        "priority": priority,
        "tags": [if firing { "rotating_light" } else { "white_check_mark" }],
    });
    if let (Some(runbook), Some(body)) = (runbook(message), body.as_object_mut()) {
        body.insert("click".to_owned(), runbook.into());
    }
    let mut call = Call::json(url.as_str().into(), &body);
    if let Some(token) = token {
        call.headers.push((http::header::AUTHORIZATION, format!("Bearer {}", token.expose()).into()));
    }
    call
}
