//! Matrix client-server API: `m.room.message` by PUT. The message's id is the transaction id, so that the homeserver
//! itself drops a second copy.

use health_model::{Sensitive, Texts};
use serde_json::json;
use url::Url;

use super::{
    Call,
    payload::{clip, segment, under},
};
use crate::{message::Message, text};

/// An event has at most 64 KiB.
const LONGEST: usize = 10_000;

pub(super) fn call(homeserver: &Url, room: &str, token: &Sensitive, texts: &Texts, message: &Message) -> Call {
    let path = format!("_matrix/client/v3/rooms/{}/send/m.room.message/{}", segment(room), segment(&message.id));
    // Without m.mentions, a body that says "@room" would call everybody (client-server API, "User and room mentions").
    let body = json!({
        "msgtype": "m.text",
        "body": clip(&text::render(texts, message).plain, LONGEST),
        "m.mentions": {},
    });
    let mut call = Call::json(under(homeserver, &path).into(), &body);
    call.method = http::Method::PUT;
    call.headers.push((http::header::AUTHORIZATION, format!("Bearer {}", token.expose()).into()));
    call
}
