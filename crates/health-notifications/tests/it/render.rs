//! What people read, word for word: templates, groups, JSON that no response can break.

use health_model::{Channel, SlackWebhook, Texts};
use health_notifications::Telling;
use serde_json::{Value, json};

use crate::{
    channels::{http_channels, message, payload},
    provider::Provider,
};

async fn slack(texts: Texts, telling: Telling, names: &[&str]) -> Value {
    let provider = Provider::start().await;
    let webhooks = vec![SlackWebhook { label: "url".to_owned(), url: provider.url.as_str().into() }];
    let channel = Channel::Slack { webhooks, username: None, channel: None, texts };
    payload(channel, &provider, &message(telling, names)).await.json()
}

fn texts(message: &str) -> Texts {
    Texts { message: Some(message.to_owned()), resolve_message: Some(message.to_owned()) }
}

#[tokio::test]
async fn the_defaults_say_what_fails_since_when_and_what_came_back_after_how_long() {
    let failing = slack(Texts::default(), Telling::Firing, &["web"]).await;
    assert_eq!(failing["text"], "*web* is failing: connection refused (since 2027-01-15T08:00:00Z)");
    let resolved = slack(Texts::default(), Telling::Resolved, &["web"]).await;
    assert_eq!(resolved["text"], "*web* has recovered after 4m 10s");
    let unwatched = slack(Texts::default(), Telling::Unwatched, &["web"]).await;
    assert_eq!(unwatched["text"], "*web* is no longer watched (it was failing since 2027-01-15T08:00:00Z)");
    let summary = slack(Texts::default(), Telling::Summary, &["web"]).await;
    let expected = "*web* has recovered after 4m 10s (it was failing since 2027-01-15T08:00:00Z: connection refused)";
    assert_eq!(summary["text"], expected);
    let flapping = slack(Texts::default(), Telling::Flapping, &["web"]).await;
    let text = flapping["text"].as_str().unwrap();
    assert!(text.ends_with("(flapping, 14 changes in 10 min)"), "{text}");
}

#[tokio::test]
async fn a_group_names_the_first_ten_the_number_and_the_common_cause() {
    let names: Vec<String> = (0..200).map(|number| format!("check-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let told = slack(texts("%check% down, %reason%"), Telling::Firing, &names).await;
    let expected = "check-0, check-1, check-2, check-3, check-4, check-5, check-6, check-7, check-8, check-9 and 190 more \
                    down, ConnectionRefused (200 checks; all ConnectionRefused at db.example.org)";
    assert_eq!(told["text"], expected);
    let counted = slack(texts("%count% down"), Telling::Firing, &names).await;
    assert_eq!(counted["text"], "200 down (all ConnectionRefused at db.example.org)");
}

#[tokio::test]
async fn every_variable_has_its_value_and_an_unknown_one_stands() {
    let template = "%check%|%namespace%|%target%|%reason%|%response%|%status%|%count%|%triggerTime%|%failing_since%|\
                    %duration%|%runbook%|%response_code%|%search_type%|%search_used%|%nothing%|100%";
    let told = slack(texts(template), Telling::Firing, &["web"]).await;
    let expected = "web|default|icmp://db.example.org|ConnectionRefused|connection refused|firing|1|2027-01-15T08:05:00Z|\
                    2027-01-15T08:00:00Z|5m 0s|https://example.org/runbook||||%nothing%|100%";
    assert_eq!(told["text"], expected);
}

#[tokio::test]
async fn templates_that_are_slack_json_are_sent_as_attachments_or_blocks() {
    let attachment =
        slack(texts(r##"[{"color": "#ff0000", "text": "%check%: %response%"}]"##), Telling::Firing, &["web"]).await;
    assert_eq!(attachment, json!({"attachments": [{"color": "#ff0000", "text": "web: connection refused"}]}));
    let template = r#"{"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*%check%*"}}]}"#;
    let blocks = slack(texts(template), Telling::Firing, &["a", "b"]).await;
    assert_eq!(blocks["blocks"][0]["text"]["text"], "*a, b* (2 checks; all ConnectionRefused at db.example.org)");
    let listed = slack(
        texts(r#"[{"type": "section", "text": {"type": "mrkdwn", "text": "%check%"}}]"#),
        Telling::Firing,
        &["a"],
    )
    .await;
    assert_eq!(listed["blocks"][0]["text"]["text"], "a");
}

#[tokio::test]
async fn a_response_can_neither_break_nor_forge_a_json_payload() {
    let provider = Provider::start().await;
    let mut hostile = message(Telling::Firing, &["web"]);
    hostile.members[0].snapshot = None;
    hostile.members[0].response = "\"}],\"channel\":\"#all\",\"x\":[{\"y\":\"\n\\".to_owned();
    let webhooks = vec![SlackWebhook { label: "url".to_owned(), url: provider.url.as_str().into() }];
    let texts = texts(r#"{"text": "%response%"}"#);
    let told = payload(Channel::Slack { webhooks, username: None, channel: None, texts }, &provider, &hostile).await;
    assert_eq!(told.json(), json!({"text": hostile.members[0].response}));
}

/// The gallery shows payloads as they are put on the wire; `UPDATE_DOCS=1` writes it anew.
#[tokio::test]
async fn the_gallery_in_the_documentation_shows_what_is_really_sent() {
    use std::fmt::Write as _;
    let provider = Provider::start().await;
    let mut gallery = String::from(
        "# What each channel shows\n\nMade from the payloads that are really sent, with the default texts: a check that \
         fails, three that fail\ntogether, and the end.\n",
    );
    for channel in http_channels(&provider.url) {
        let _ = write!(gallery, "\n## {}\n", channel.kind().as_str());
        for (telling, names) in
            [(Telling::Firing, &["web"][..]), (Telling::Firing, &["api", "db", "web"]), (Telling::Resolved, &["web"])]
        {
            let sent = payload(channel.clone(), &provider, &message(telling, names)).await.json();
            let _ = write!(gallery, "\n{}\n", picture(&sent));
        }
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/notifications-gallery.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &gallery).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(committed, gallery, "run the tests once with UPDATE_DOCS=1 and commit {}", file.display());
}

/// The parts of a payload that people see, as a quotation: titles bold, facts as a list.
fn picture(sent: &Value) -> String {
    let mut lines = Vec::new();
    see(sent, &mut lines);
    lines.iter().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n>\n")
}

fn see(value: &Value, lines: &mut Vec<String>) {
    const SHOWN: [&str; 12] = [
        "summary",
        "title",
        "text",
        "content",
        "message",
        "body",
        "note",
        "severity",
        "priority",
        "status",
        "description",
        "event_action",
    ];
    match value {
        Value::Object(fields) => {
            if let (Some(title), Some(fact)) = (fields.get("title"), fields.get("value")) {
                lines.push(format!("- {}: {}", title.as_str().unwrap_or_default(), fact.as_str().unwrap_or_default()));
                return;
            }
            for (name, field) in fields {
                match field {
                    Value::String(text) if SHOWN.contains(&name.as_str()) => {
                        let label = if matches!(name.as_str(), "text" | "content" | "body" | "message") {
                            String::new()
                        } else {
                            format!("**{name}**: ")
                        };
                        lines.push(format!("{label}{}", text.replace('\n', " ")));
                    }
                    Value::Number(number) if SHOWN.contains(&name.as_str()) => {
                        lines.push(format!("**{name}**: {number}"))
                    }
                    Value::Object(_) | Value::Array(_) => see(field, lines),
                    _ => {}
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| see(item, lines)),
        _ => {}
    }
}
