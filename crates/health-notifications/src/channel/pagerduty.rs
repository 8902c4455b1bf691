//! PagerDuty Events API v2: `trigger` and `resolve` with the incident's `dedup_key`.

use health_model::{Sensitive, Severity, Texts};
use serde_json::{Value, json};
use url::Url;

use super::{
    Call,
    payload::{clip, runbook, severity, title, under},
};
use crate::{message::Message, text};

/// `payload.summary`
const LONGEST_SUMMARY: usize = 1024;
/// Names written into `custom_details` of an incident that many checks share.
const MOST_NAMES: usize = 100;

pub(super) fn call(api_url: &Url, routing_key: &Sensitive, texts: &Texts, message: &Message) -> Call {
    let firing = message.telling.is_firing();
    let mut event = json!({
        "routing_key": routing_key.expose(),
        "event_action": if firing { "trigger" } else { "resolve" },
        "dedup_key": &*message.incident,
    });
    if let (true, Some(event)) = (firing, event.as_object_mut()) {
        event.insert("client".to_owned(), "health-check-operator".into());
        event.insert("payload".to_owned(), payload(texts, message));
        if let Some(runbook) = runbook(message) {
            event.insert("links".to_owned(), json!([{"href": runbook, "text": "Runbook"}]));
        }
    }
    Call::json(under(api_url, "v2/enqueue").into(), &event)
}

fn payload(texts: &Texts, message: &Message) -> Value {
    let value = |name: &str| text::variable(name, message).unwrap_or_default();
    let severity = match severity(message) {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let names: Vec<&str> = message.members.iter().take(MOST_NAMES).map(|member| member.check.name()).collect();
    let source = Some(value("target")).filter(|target| !target.is_empty()).unwrap_or_else(|| value("check"));
    json!({
        "summary": title(&text::render(texts, message).plain, LONGEST_SUMMARY),
        "source": clip(&source, 255),
        "severity": severity,
        "timestamp": text::instant(message.members.iter().map(|member| member.since).min().unwrap_or(message.now)),
        "component": clip(&value("check"), 255),
        "group": value("namespace"),
        "class": value("reason"),
        "custom_details": {"response": clip(&value("response"), 1000), "checks": names, "count": message.members.len()},
    })
}
