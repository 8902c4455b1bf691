//! What people read, word for word: templates, groups, JSON that no response can break.

use health_model::{Channel, ChannelKind, SlackWebhook, Texts};
use health_notifications::{Message, Telling};
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

#[tokio::test]
async fn what_a_target_says_calls_nobody_in_a_chat() {
    let provider = Provider::start().await;
    let mut loud = message(Telling::Firing, &["web"]);
    loud.members[0].snapshot = None;
    loud.members[0].response = "<!channel> <users/all> @all @room".to_owned();
    for channel in http_channels(&provider.url) {
        let kind = channel.kind();
        let sent = payload(channel, &provider, &loud).await.json();
        match kind {
            ChannelKind::Slack => {
                let text = sent["text"].as_str().unwrap();
                assert!(text.contains("&lt;!channel&gt;") && !text.contains("@all"), "{text}");
            }
            ChannelKind::GoogleChat => assert!(!sent["text"].as_str().unwrap().contains("<users/all>"), "{sent}"),
            ChannelKind::Discord => assert_eq!(sent["allowed_mentions"], json!({"parse": []})),
            ChannelKind::Matrix => assert_eq!(sent["m.mentions"], json!({})),
            _ => {}
        }
    }
    // A template may call people: its author is the one who is on call.
    let called = slack(texts("<!channel> %check%"), Telling::Firing, &["web"]).await;
    assert_eq!(called["text"], "<!channel> web");
}

/// Three checks that began and ended at different times, and failed in different ways.
fn differing(telling: Telling) -> Message {
    let mut message = message(telling, &["api", "db", "web"]);
    for (index, member) in message.members.iter_mut().enumerate() {
        let later = jiff::SignedDuration::from_mins(i64::try_from(index).unwrap());
        member.since += later;
        member.ended = member.ended.map(|ended| ended + later + later);
        member.snapshot = None;
        member.response = format!("error {index}");
    }
    message
}

async fn said(texts: Texts, message: &Message) -> String {
    let provider = Provider::start().await;
    let webhooks = vec![SlackWebhook { label: "url".to_owned(), url: provider.url.as_str().into() }];
    let channel = Channel::Slack { webhooks, username: None, channel: None, texts };
    payload(channel, &provider, message).await.json()["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_defaults_read_well_for_several_checks_that_have_little_in_common() {
    let of = async |telling| said(Texts::default(), &differing(telling)).await;
    let failing = of(Telling::Firing).await;
    assert_eq!(
        failing,
        "*api, db, web* are failing (the first since 2027-01-15T08:00:00Z) (3 checks; all ConnectionRefused)"
    );
    assert_eq!(of(Telling::Resolved).await, "*api, db, web* have recovered after 4m 10s to 6m 10s (3 checks)");
    let expected = "*api, db, web* have recovered after 4m 10s to 6m 10s (3 checks; they were failing the first since \
                    2027-01-15T08:00:00Z)";
    assert_eq!(of(Telling::Summary).await, expected);
    let expected = "*api, db, web* are no longer watched (they were failing the first since 2027-01-15T08:00:00Z) \
                    (3 checks)";
    assert_eq!(of(Telling::Unwatched).await, expected);
}

#[tokio::test]
async fn in_a_template_of_ones_own_what_differs_is_several() {
    let told = said(texts("%check%: %response%, %duration%, %reason%"), &differing(Telling::Firing)).await;
    assert_eq!(told, "api, db, web: several, several, ConnectionRefused (3 checks; all ConnectionRefused)");
}
