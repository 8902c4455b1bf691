//! What a response makes too long is cut to what the provider takes, and stays a payload that it takes.

use health_model::{Channel, ChannelKind, Severity, Texts};
use health_notifications::{Message, Telling};
use serde_json::{Value, json};

use crate::{
    channels::{http_channels, message, payload},
    provider::Provider,
};

/// The longest texts that providers publish, in characters, and the largest payloads, in bytes.
fn published(kind: ChannelKind) -> (&'static [(&'static str, usize)], usize) {
    match kind {
        ChannelKind::Slack => (&[("/text", 40_000)], usize::MAX),
        ChannelKind::Discord => (&[("/content", 2000)], usize::MAX),
        ChannelKind::Teams => (&[], 28 * 1024),
        ChannelKind::GoogleChat => (&[("/text", 4096)], 32_000),
        ChannelKind::Telegram => (&[("/text", 4096)], usize::MAX),
        ChannelKind::Pagerduty => (&[("/payload/summary", 1024)], 512 * 1024),
        ChannelKind::Opsgenie => (&[("/message", 130), ("/description", 15_000), ("/entity", 512)], usize::MAX),
        ChannelKind::Ntfy => (&[("/title", 250)], 8192),
        ChannelKind::Matrix => (&[("/body", 16_000)], 65_536),
        ChannelKind::Alertmanager | ChannelKind::Webhook | ChannelKind::Email => (&[], usize::MAX),
    }
}

fn saying(response: &str) -> Message {
    let mut message = message(Telling::Firing, &["web"]);
    let member = &mut message.members[0];
    member.snapshot = None;
    member.severity = Severity::Critical;
    member.response = response.to_owned();
    message
}

fn text<'a>(payload: &'a Value, pointer: &str) -> &'a str {
    payload.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {payload}"))
}

#[tokio::test]
async fn no_response_makes_a_message_too_long_for_its_provider() {
    let provider = Provider::start().await;
    // Characters of two UTF-16 units and four bytes, and characters that JSON writes as six bytes.
    for character in ["🔥", "\u{1}", "\"", "x"] {
        let long = saying(&character.repeat(60_000));
        for channel in http_channels(&provider.url) {
            let kind = channel.kind();
            let (texts, largest) = published(kind);
            let received = payload(channel, &provider, &long).await;
            assert!(received.body.len() <= largest, "{}: {} bytes", kind.as_str(), received.body.len());
            let sent = received.json();
            for (pointer, longest) in texts {
                let text = text(&sent, pointer);
                let units = text.encode_utf16().count();
                assert!(units <= *longest, "{} {pointer}: {units}", kind.as_str());
                assert!(!text.contains('\u{fffd}'), "{} {pointer}: a character was cut in two", kind.as_str());
            }
        }
    }
}

#[tokio::test]
async fn a_text_is_cut_at_the_bound_and_not_before() {
    let provider = Provider::start().await;
    let own = Texts { message: Some("%response%".to_owned()), resolve_message: None };
    let cases = [
        (ChannelKind::Slack, "/text", 40_000),
        (ChannelKind::Discord, "/content", 2000),
        (ChannelKind::GoogleChat, "/text", 4096),
        (ChannelKind::Telegram, "/text", 4096),
        (ChannelKind::Pagerduty, "/payload/summary", 1024),
        (ChannelKind::Opsgenie, "/message", 130),
        (ChannelKind::Opsgenie, "/description", 15_000),
    ];
    for (kind, pointer, longest) in cases {
        let channel = || {
            let mut channel = http_channels(&provider.url).into_iter().find(|channel| channel.kind() == kind).unwrap();
            *texts_of(&mut channel) = own.clone();
            channel
        };
        // A fire is two units: one before it makes the bound odd, so that it would have to be cut in two.
        let fits = format!("x{}", "y".repeat(longest - 1));
        let sent = payload(channel(), &provider, &saying(&fits)).await.json();
        assert_eq!(text(&sent, pointer), fits, "{}", kind.as_str());
        for over in [format!("{fits}z"), format!("x{}", "🔥".repeat(longest / 2))] {
            let sent = payload(channel(), &provider, &saying(&over)).await.json();
            let cut = text(&sent, pointer);
            let units = cut.encode_utf16().count();
            assert!(units <= longest && units >= longest - 1, "{}: {units}", kind.as_str());
            let kept = cut.strip_suffix('…').unwrap_or_else(|| panic!("{}: {cut:.40} does not say so", kind.as_str()));
            assert!(over.starts_with(kept), "{}: {kept:.40}", kind.as_str());
        }
    }
}

fn texts_of(channel: &mut Channel) -> &mut Texts {
    match channel {
        Channel::Slack { texts, .. }
        | Channel::Discord { texts, .. }
        | Channel::Teams { texts, .. }
        | Channel::GoogleChat { texts, .. }
        | Channel::Telegram { texts, .. }
        | Channel::Pagerduty { texts, .. }
        | Channel::Opsgenie { texts, .. }
        | Channel::Ntfy { texts, .. }
        | Channel::Matrix { texts, .. }
        | Channel::Email { texts, .. }
        | Channel::Alertmanager { texts, .. }
        | Channel::Webhook { texts, .. } => texts,
    }
}

/// What a channel makes of a template that is a payload of its own.
async fn own_payload(kind: ChannelKind, template: &Value) -> (Value, usize) {
    let provider = Provider::start().await;
    let mut channel = http_channels(&provider.url).into_iter().find(|channel| channel.kind() == kind).unwrap();
    texts_of(&mut channel).message = Some(template.to_string());
    let received = payload(channel, &provider, &saying(&"🔥\"".repeat(30_000))).await;
    (received.json(), received.body.len())
}

#[tokio::test]
async fn a_payload_of_ones_own_is_cut_where_its_provider_would_refuse_it() {
    let words = |kind: &str| json!({"type": kind, "text": "%response%"});
    let blocks = json!([
        {"type": "header", "text": words("plain_text")},
        {"type": "section", "text": words("mrkdwn"), "fields": [words("mrkdwn")]},
        {"type": "context", "elements": [words("mrkdwn")]},
    ]);
    for template in [json!({"blocks": blocks}), json!({"attachments": [{"blocks": blocks}]}), blocks.clone()] {
        let (sent, _) = own_payload(ChannelKind::Slack, &template).await;
        let sent = sent.get("attachments").map_or(&sent, |attachments| &attachments[0]);
        let length = |pointer| text(sent, pointer).encode_utf16().count();
        let lengths =
            ["/blocks/0/text/text", "/blocks/1/text/text", "/blocks/1/fields/0/text", "/blocks/2/elements/0/text"]
                .map(length);
        assert!(lengths.iter().zip([150, 3000, 2000, 3000]).all(|(is, most)| *is <= most), "{lengths:?}");
    }
    let embed =
        json!({"title": "%response%", "description": "%response%", "fields": [{"name": "a", "value": "%response%"}]});
    let (sent, _) = own_payload(ChannelKind::Discord, &json!({"content": "%response%", "embeds": [embed]})).await;
    let length = |pointer| text(&sent, pointer).encode_utf16().count();
    assert!(
        length("/content") <= 2000 && length("/embeds/0/title") <= 256 && length("/embeds/0/fields/0/value") <= 1024
    );
    assert!(sent["embeds"][0].to_string().len() <= 6000);
    let card = json!({"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "text": "%response%"}]});
    let (sent, bytes) = own_payload(ChannelKind::Teams, &card).await;
    assert!(bytes <= 28 * 1024, "{bytes}");
    assert_eq!(sent["attachments"][0]["content"]["body"][0]["type"], "TextBlock", "still the card it was");
    let (_, bytes) =
        own_payload(ChannelKind::GoogleChat, &json!({"text": "x", "cardsV2": [{"card": "%response%"}]})).await;
    assert!(bytes <= 32_000, "{bytes}");
}
