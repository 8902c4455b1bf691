//! Alertmanager `/api/v2/alerts`: one alert per check, refreshed while it fires, ended by `endsAt`.
//!
//! Labels identify an alert there, so they hold only what stays the same from its first message to its last.

use std::time::Duration;

use health_model::Texts;
use serde_json::{Value, json};
use url::Url;

use super::{
    Call,
    payload::{clip, under},
};
use crate::{
    destination::ALERTMANAGER_REFRESH,
    message::{Member, Message},
    step::later,
    text,
};

/// An alert that is not refreshed any more ends by itself after so many refreshes.
const REFRESHES_UNTIL_OVER: u32 = 5;

pub(super) fn call(url: &Url, texts: &Texts, message: &Message) -> Call {
    let alerts: Vec<Value> = message.members.iter().map(|member| alert(member, texts, message)).collect();
    Call::json(under(url, "api/v2/alerts").into(), &Value::Array(alerts))
}

fn alert(member: &Member, texts: &Texts, message: &Message) -> Value {
    let alone = message.about(member);
    let lasting: Duration = ALERTMANAGER_REFRESH * REFRESHES_UNTIL_OVER;
    let ends = if message.telling.is_firing() {
        later(message.now, lasting)
    } else {
        // An end that is not after the start would make it an alert that never was.
        member.ended.unwrap_or(message.now).max(later(member.since, Duration::from_millis(1)))
    };
    let summary = text::render(texts, &alone).plain.replace('*', "");
    let mut annotations = json!({
        "summary": clip(&summary, 1000),
        "response": clip(&text::response(member, message), 1000),
        "reason": text::reason(member, message),
        "target": text::target(member),
    });
    let runbook = text::runbook(member);
    if let (false, Some(annotations)) = (runbook.is_empty(), annotations.as_object_mut()) {
        annotations.insert("runbook_url".to_owned(), runbook.into());
    }
    json!({
        "labels": {
            "alertname": if message.test { "HealthCheckTest" } else { "HealthCheckFailing" },
            "namespace": member.check.namespace(),
            "healthcheck": member.check.name(),
            "rule": message.rule.name(),
            "severity": member.severity.as_str(),
        },
        "annotations": annotations,
        "startsAt": member.since.to_string(),
        "endsAt": ends.to_string(),
    })
}
