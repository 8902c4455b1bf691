//! The gallery in the documentation: a picture of what each channel's readers see, made from what is really sent.
//!
//! `UPDATE_DOCS=1` draws it anew; without it, a picture that is not what is sent today fails the test.

use std::path::Path;

use health_model::ChannelKind;
use health_notifications::{Message, Telling};
use serde_json::Value;

use crate::{
    channels::{PLANTED, http_channels, message, payload},
    picture::{Emphasis, Line, picture},
    provider::Provider,
    real_mail::mail_of,
};

const HEAD: &str = "# What each channel shows\n\n\
    Drawn from the payloads that are really sent, with the default texts: a check that fails, three that fail together, \
    and the end of an outage.\nBelow each picture stands the first payload as it goes over the wire.\n";

/// The three messages of every picture.
fn tellings() -> [Message; 3] {
    [
        message(Telling::Firing, &["web"]),
        message(Telling::Firing, &["api", "db", "web"]),
        message(Telling::Resolved, &["web"]),
    ]
}

#[tokio::test]
async fn the_gallery_shows_what_is_really_sent() {
    let provider = Provider::start().await;
    let mut gallery = HEAD.to_owned();
    for channel in http_channels(&provider.url) {
        let kind = channel.kind();
        let mut sent = Vec::new();
        for message in tellings() {
            sent.push(payload(channel.clone(), &provider, &message).await.json());
        }
        let shown: Vec<Vec<Line>> = sent.iter().map(|payload| seen(kind, payload)).collect();
        let wire = serde_json::to_string_pretty(&sent[0]).unwrap().replace(PLANTED, "…");
        gallery += &exhibit(kind.as_str(), emphasis(kind), &shown, ("json", &wire));
    }
    let mails = mails().await;
    let shown: Vec<Vec<Line>> = mails.iter().map(|mail| mail_lines(mail)).collect();
    gallery += &exhibit("email", Emphasis::None, &shown, ("text", &mails[0]));
    committed("notifications-gallery.md", &gallery);
}

/// Commits the picture; returns the section that shows it, with what goes over the wire (a language and a text).
fn exhibit(name: &str, emphasis: Emphasis, shown: &[Vec<Line>], (language, wire): (&str, &str)) -> String {
    committed(&format!("gallery/{name}.svg"), &picture(name, emphasis, shown));
    format!(
        "\n## {name}\n\n![What {name} shows](gallery/{name}.svg)\n\n<details><summary>on the wire</summary>\n\n\
         ```{language}\n{}\n```\n\n</details>\n",
        wire.trim_end()
    )
}

fn committed(file: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "run the tests once with UPDATE_DOCS=1, look at {}, and commit it", path.display());
}

/// What `*one asterisk*` means to the provider's clients.
fn emphasis(kind: ChannelKind) -> Emphasis {
    match kind {
        ChannelKind::Slack | ChannelKind::GoogleChat => Emphasis::Bold,
        ChannelKind::Discord | ChannelKind::Teams => Emphasis::Italic,
        _ => Emphasis::None,
    }
}

/// What people see of a payload, by the provider's documentation.
fn seen(kind: ChannelKind, payload: &Value) -> Vec<Line> {
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind {
        ChannelKind::Slack | ChannelKind::GoogleChat | ChannelKind::Telegram => vec![Line::Text(text("/text"))],
        ChannelKind::Discord => vec![Line::Text(text("/content"))],
        ChannelKind::Matrix => vec![Line::Text(text("/body"))],
        ChannelKind::Teams => card(payload),
        ChannelKind::Ntfy => vec![Line::Title(text("/title")), Line::Text(text("/message"))],
        ChannelKind::Pagerduty => incident(payload),
        ChannelKind::Opsgenie => alert(payload),
        ChannelKind::Alertmanager => payload.as_array().unwrap().iter().flat_map(labelled).collect(),
        ChannelKind::Webhook => {
            let words = |check: &Value| format!("{}: {}", word(&check["name"]), word(&check["response"]));
            let checks = payload["checks"].as_array().unwrap().iter().map(words);
            std::iter::once(Line::Title(format!("{} ({})", text("/status"), payload["count"])))
                .chain(checks.map(Line::Text))
                .collect()
        }
        ChannelKind::Email => unreachable!("mail is no JSON"),
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn fact(name: &str, value: &Value) -> Line {
    Line::Fact(name.to_owned(), word(value))
}

fn card(payload: &Value) -> Vec<Line> {
    let body = payload.pointer("/attachments/0/content/body").and_then(Value::as_array).unwrap();
    let words = Line::Text(word(&body[0]["text"]));
    let facts = body[1]["facts"].as_array().unwrap().iter();
    std::iter::once(words).chain(facts.map(|each| fact(&word(&each["title"]), &each["value"]))).collect()
}

fn incident(event: &Value) -> Vec<Line> {
    let Some(details) = event.get("payload") else {
        return vec![Line::Title("incident resolved".to_owned()), fact("Key", &event["dedup_key"])];
    };
    let shown = ["severity", "component", "class", "source"];
    std::iter::once(Line::Title(word(&details["summary"])))
        .chain(shown.map(|name| fact(name, &details[name])))
        .chain([fact("Key", &event["dedup_key"])])
        .collect()
}

fn alert(payload: &Value) -> Vec<Line> {
    if let Some(note) = payload.get("note") {
        return vec![Line::Title("alert closed".to_owned()), Line::Text(word(note))];
    }
    let details = payload["details"].as_object().unwrap().iter();
    std::iter::once(Line::Title(format!("{} {}", word(&payload["priority"]), word(&payload["message"]))))
        .chain(details.map(|(name, value)| fact(name, value)))
        .collect()
}

fn labelled(alert: &Value) -> Vec<Line> {
    let labels = alert["labels"].as_object().unwrap().iter();
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={}", word(value))).collect();
    vec![
        Line::Title(word(&alert["annotations"]["summary"])),
        Line::Text(labels.join("  ")),
        fact("Ends", &alert["endsAt"]),
    ]
}

/// The three messages as a real SMTP server stored them, without what changes from run to run.
async fn mails() -> Vec<String> {
    let mut mails = Vec::new();
    for message in tellings() {
        let mail = mail_of(&message).await.replace("\r\n", "\n");
        let lasting =
            |line: &&str| !["Date:", "X-Peer:", "X-MailFrom:", "X-RcptTo:"].iter().any(|name| line.starts_with(name));
        mails.push(mail.lines().filter(lasting).collect::<Vec<_>>().join("\n"));
    }
    mails
}

fn mail_lines(mail: &str) -> Vec<Line> {
    let (head, body) = mail.split_once("\n\n").unwrap();
    let unfolded = head.replace("\n ", " ");
    let subject = unfolded.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned();
    // What is folded for the wire (quoted-printable) is read in one piece.
    let body = body.replace("=\n", "");
    let text = body.lines().filter(|line| !line.is_empty()).map(|line| Line::Text(line.to_owned()));
    std::iter::once(Line::Title(subject)).chain(text).collect()
}
