//! A webhook of one's own: a template, or JSON with every check in the shape of `/api/v1/checks`; signed when asked.
//!
//! `X-Signature-256: sha256=<hex>` is the HMAC-SHA256 of the body; `Idempotency-Key` is the message's id.

use health_model::{NamedValue, Sensitive, Texts};
use hmac::{Hmac, Mac};
use http::{HeaderName, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Call;
use crate::{
    message::{Member, Message},
    text,
};

/// What a webhook's section says.
pub(super) struct Section<'a> {
    pub(super) url: &'a Sensitive,
    pub(super) method: &'a str,
    pub(super) headers: &'a [NamedValue],
    pub(super) body: Option<&'a str>,
    pub(super) hmac_secret: Option<&'a Sensitive>,
    pub(super) texts: &'a Texts,
}

pub(super) fn call(section: &Section<'_>, message: &Message) -> Result<Call, String> {
    let (kind, body) = body(section, message);
    let method = Method::from_bytes(section.method.as_bytes()).map_err(|_| "method is no HTTP method".to_owned())?;
    let mut headers = vec![
        (CONTENT_TYPE, Sensitive::from(kind)),
        (HeaderName::from_static("idempotency-key"), Sensitive::from(&*message.id)),
    ];
    for NamedValue { name, value } in section.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header name"))?;
        headers.retain(|(earlier, _)| *earlier != name);
        headers.push((name, value.clone()));
    }
    if let Some(secret) = section.hmac_secret {
        let signature = signature(secret, body.as_bytes());
        headers.push((HeaderName::from_static("x-signature-256"), signature.into()));
    }
    Ok(Call { method, url: section.url.clone(), headers, body: body.into_bytes() })
}

fn body(section: &Section<'_>, message: &Message) -> (&'static str, String) {
    let own = section.body.map(|body| Texts { message: Some(body.to_owned()), resolve_message: Some(body.to_owned()) });
    let texts = own.as_ref().or((*section.texts != Texts::default()).then_some(section.texts));
    let Some(texts) = texts else {
        return ("application/json", documented(message).to_string());
    };
    let rendered = text::render(texts, message);
    let kind = if rendered.json.is_some() { "application/json" } else { "text/plain; charset=utf-8" };
    (kind, rendered.plain)
}

fn documented(message: &Message) -> Value {
    let checks: Vec<Value> = message.members.iter().map(check).collect();
    let mut body = json!({
        "status": message.telling.status(),
        "namespace": message.rule.namespace(),
        "rule": message.rule.name(),
        "count": checks.len(),
        "checks": checks,
    });
    if let (true, Some(body)) = (message.test, body.as_object_mut()) {
        body.insert("test".to_owned(), true.into());
    }
    body
}

/// The published shape; of a check that is gone, what is remembered.
fn check(member: &Member) -> Value {
    let known = member.snapshot.as_ref().and_then(|check| serde_json::to_value(check.view()).ok());
    known.unwrap_or_else(|| {
        json!({
            "namespace": member.check.namespace(),
            "name": member.check.name(),
            "healthy": false,
            "state": member.reason.state(),
            "reason": member.reason,
            "response": member.response,
            "target": member.target,
            "failingSince": member.since,
            "stale": true,
        })
    })
}

fn signature(secret: &Sensitive, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return String::new() };
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    format!("sha256={}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
