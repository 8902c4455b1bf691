//! Every channel against one contract, and its payload against the provider's published format.

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    build::{Target, at, rule_spec},
    provider::{Answer, Provider, Received},
    schema::violations,
};
use health_model::{
    Channel, ChannelKind, CheckId, EmailTls, NamedValue, Reason, RuleId, RuleSpec, Severity, SlackWebhook, Texts,
};
use health_notifications::{
    Destination, Member, Message, Telling,
    channel::{Transport, Verdict},
};
use health_testkit::{
    certificates::{Issued, Wanted},
    peer::Peer,
};

/// Planted wherever a channel takes something secret.
pub const PLANTED: &str = "PLANTED-s3cr3t-0123456789";

fn hook(url: &str) -> Vec<SlackWebhook> {
    vec![SlackWebhook { label: "hook/url".to_owned(), url: format!("{url}/services/{PLANTED}").into() }]
}

/// Every channel that speaks HTTP, pointed at this address.
pub fn http_channels(url: &str) -> Vec<Channel> {
    let base: url::Url = url.parse().unwrap();
    let texts = Texts::default;
    vec![
        Channel::Slack {
            webhooks: hook(url),
            username: Some("controller".to_owned()),
            channel: Some("#general".to_owned()),
            texts: texts(),
        },
        Channel::Discord { webhooks: hook(url), texts: texts() },
        Channel::Teams { webhooks: hook(url), texts: texts() },
        Channel::GoogleChat { webhooks: hook(url), texts: texts() },
        Channel::Telegram { api_url: base.clone(), bot_token: PLANTED.into(), chat_id: "-1001".into(), texts: texts() },
        Channel::Pagerduty { api_url: base.clone(), routing_key: PLANTED.into(), texts: texts() },
        Channel::Opsgenie { api_url: base.clone(), api_key: PLANTED.into(), texts: texts() },
        Channel::Ntfy { url: base.clone(), topic: "ops".into(), token: Some(PLANTED.into()), texts: texts() },
        Channel::Matrix {
            homeserver: base.clone(),
            room: "!room:example.org".to_owned(),
            token: PLANTED.into(),
            texts: texts(),
        },
        Channel::Alertmanager { urls: vec![format!("{url}/{PLANTED}").parse().unwrap()], texts: texts() },
        Channel::Webhook {
            url: format!("{url}/{PLANTED}").into(),
            method: "POST".to_owned(),
            headers: vec![NamedValue { name: "X-Token".to_owned(), value: PLANTED.into() }],
            body: None,
            hmac_secret: Some(PLANTED.into()),
            texts: texts(),
        },
    ]
}

pub fn destination(channel: Channel) -> Destination {
    let spec: Arc<RuleSpec> = Arc::new(rule_spec(&["web"], channel));
    Destination::of(&spec).remove(0).1
}

/// A message about checks that all refuse connections.
pub fn message(telling: Telling, names: &[&str]) -> Message {
    let members = names.iter().map(|name| {
        let mut target = Target::new(name);
        target.edit(|spec| spec.runbook_url = Some("https://example.org/runbook".to_owned()));
        target.fails(at(0));
        let ended = (!telling.is_firing()).then(|| at(250));
        if ended.is_some() {
            target.passes(at(250));
        }
        Member {
            check: CheckId::new("default", *name),
            since: at(0),
            ended,
            turns: (telling == Telling::Flapping).then_some((14, Duration::from_secs(600))),
            reason: Reason::ConnectionRefused,
            severity: Severity::Critical,
            response: "connection refused".to_owned(),
            target: "icmp://db.example.org".to_owned(),
            snapshot: Some(target.snapshot()),
        }
    });
    Message {
        id: "0123456789abcdef0123456789abcdef".into(),
        rule: RuleId::new("default", "team"),
        telling,
        now: at(300),
        members: members.collect(),
        incident: "health-check/default/team/web".into(),
        test: false,
    }
}

/// For answers that come: however busy the machine is.
fn transport() -> Transport {
    Transport::new(Duration::from_secs(30), None).unwrap()
}

/// For answers that never come.
fn hasty_transport() -> Transport {
    Transport::new(Duration::from_millis(400), None).unwrap()
}

#[derive(Debug, PartialEq)]
enum Kind {
    Accepted,
    Retried(Option<Duration>),
    RetriedPerhapsAccepted,
    Rejected,
}

fn kind(verdict: &Verdict) -> Kind {
    match verdict {
        Verdict::Accepted => Kind::Accepted,
        Verdict::Retry { ambiguous: true, .. } => Kind::RetriedPerhapsAccepted,
        Verdict::Retry { after, .. } => Kind::Retried(*after),
        Verdict::Rejected { .. } => Kind::Rejected,
    }
}

fn says(head: &'static str) -> Answer {
    Answer::Says(head, b"{}".to_vec())
}

#[tokio::test]
async fn every_channel_keeps_the_same_contract() {
    let huge = Answer::Says("200 OK", vec![b'x'; 4 << 20]);
    let echo = Answer::Says("400 Bad Request", format!("no such hook: {PLANTED}").into_bytes());
    let contract = [
        (says("200 OK"), Kind::Accepted),
        (says("202 Accepted"), Kind::Accepted),
        (huge, Kind::Accepted),
        (says("400 Bad Request"), Kind::Rejected),
        (echo, Kind::Rejected),
        (says("404 Not Found"), Kind::Rejected),
        (says("408 Request Timeout"), Kind::Retried(None)),
        (says("429 Too Many Requests\r\nretry-after: 7"), Kind::Retried(Some(Duration::from_secs(7)))),
        (says("429 Too Many Requests"), Kind::Retried(None)),
        (says("500 Internal Server Error"), Kind::Retried(None)),
        (says("503 Service Unavailable\r\nretry-after: 3"), Kind::Retried(Some(Duration::from_secs(3)))),
        (Answer::Hangs, Kind::RetriedPerhapsAccepted),
        (Answer::Resets, Kind::RetriedPerhapsAccepted),
    ];
    let provider = Provider::start().await;
    let elsewhere = Provider::start().await;
    let head = format!("307 Temporary Redirect\r\nlocation: {}/caught", elsewhere.url);
    let redirect = (Answer::Says(head.leak(), Vec::new()), Kind::Rejected);
    let (patient, hasty) = (transport(), hasty_transport());
    for (answer, expected) in contract.iter().chain([&redirect]) {
        for channel in http_channels(&provider.url) {
            let name = channel.kind().as_str();
            provider.usually(answer.clone());
            let destination = destination(channel);
            let transport = if matches!(answer, Answer::Hangs) { &hasty } else { &patient };
            let (verdict, said) = transport.deliver_and_quote(&destination, &message(Telling::Firing, &["web"])).await;
            assert_eq!(kind(&verdict), *expected, "{name} on {answer:.60?}: {verdict:?}");
            let shown = format!("{verdict:?} {said}");
            assert!(!shown.contains(PLANTED), "{name} shows a secret: {shown}");
            assert!(shown.len() < 1000, "{name} quotes too much");
        }
    }
    assert!(elsewhere.received().is_empty(), "a redirect was followed with secrets");
}

#[tokio::test]
async fn who_cannot_be_reached_is_asked_again_and_no_error_names_the_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let names = ["localhost"];
    let issued = Issued::self_signed(&Wanted::server(&names)).unwrap();
    let peer = Peer::start_tls(issued.server(&[], None).unwrap(), |_stream| async {}).await.unwrap();
    let bad_tls = format!("https://{}", peer.address);
    for url in [closed, bad_tls] {
        for channel in http_channels(&url) {
            let name = channel.kind().as_str();
            let verdict = transport().deliver(&destination(channel), &message(Telling::Firing, &["web"])).await;
            assert_eq!(kind(&verdict), Kind::Retried(None), "{name} at {url}: {verdict:?}");
            assert!(!format!("{verdict:?}").contains(PLANTED), "{name} shows a secret: {verdict:?}");
        }
    }
}

/// What a channel puts on the wire for a message.
pub async fn payload(channel: Channel, provider: &Provider, message: &Message) -> Received {
    let before = provider.received().len();
    let verdict = transport().deliver(&destination(channel), message).await;
    assert_eq!(verdict, Verdict::Accepted);
    provider.received().remove(before)
}

#[tokio::test]
async fn every_payload_is_what_its_provider_publishes() {
    let provider = Provider::start().await;
    let many: Vec<String> = (0..200).map(|number| format!("check-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for telling in Telling::ALL {
        for names in [&["web"][..], &many] {
            for channel in http_channels(&provider.url) {
                let name = channel.kind().as_str();
                let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/schemas/{name}.json"));
                let schema = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
                let received = payload(channel, &provider, &message(telling, names)).await;
                let found = violations(&schema, &received.json());
                assert!(found.is_empty(), "{name}, {telling:?}: {found:#?}");
            }
        }
    }
}

#[tokio::test]
async fn keys_addresses_and_tokens_are_where_each_provider_wants_them() {
    let provider = Provider::start().await;
    for channel in http_channels(&provider.url) {
        let kind = channel.kind();
        let opened = payload(channel.clone(), &provider, &message(Telling::Firing, &["web"])).await;
        let closed = payload(channel, &provider, &message(Telling::Resolved, &["web"])).await;
        let (path, authorization) = (opened.path.as_str(), opened.header("authorization").unwrap_or_default());
        match kind {
            ChannelKind::Slack => {
                assert_eq!(opened.json()["username"], "controller");
                assert_eq!(opened.json()["channel"], "#general");
            }
            ChannelKind::Telegram => assert_eq!(path, format!("/bot{PLANTED}/sendMessage")),
            ChannelKind::Pagerduty => {
                assert_eq!(path, "/v2/enqueue");
                assert_eq!(
                    (&opened.json()["event_action"], &closed.json()["event_action"]),
                    (&"trigger".into(), &"resolve".into())
                );
                assert_eq!(opened.json()["dedup_key"], closed.json()["dedup_key"]);
            }
            ChannelKind::Opsgenie => {
                assert_eq!((path, authorization), ("/v2/alerts", format!("GenieKey {PLANTED}").as_str()));
                assert_eq!(closed.path, "/v2/alerts/health%2Dcheck%2Fdefault%2Fteam%2Fweb/close?identifierType=alias");
                assert_eq!(opened.json()["alias"], "health-check/default/team/web");
            }
            ChannelKind::Ntfy => assert_eq!((path, authorization), ("/", format!("Bearer {PLANTED}").as_str())),
            ChannelKind::Matrix => {
                let expected = "/_matrix/client/v3/rooms/%21room%3Aexample%2Eorg/send/m.room.message/0123456789abcdef0123456789abcdef";
                assert_eq!((opened.method.as_str(), path), ("PUT", expected));
                assert_eq!(authorization, format!("Bearer {PLANTED}"));
            }
            ChannelKind::Alertmanager => {
                assert_eq!(path, format!("/{PLANTED}/api/v2/alerts"));
                assert_eq!(opened.json()[0]["labels"], closed.json()[0]["labels"]);
                let end = |received: &Received| received.json()[0]["endsAt"].as_str().unwrap().to_owned();
                assert_eq!((end(&opened), end(&closed)), (at(600).to_string(), at(250).to_string()));
            }
            ChannelKind::Webhook => {
                use hmac::Mac as _;
                let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(PLANTED.as_bytes()).unwrap();
                mac.update(&opened.body);
                let signature = opened.header("x-signature-256").unwrap().strip_prefix("sha256=").unwrap();
                let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(signature, expected);
                assert_eq!(opened.header("idempotency-key"), Some("0123456789abcdef0123456789abcdef"));
                assert_eq!(opened.json()["checks"][0]["reason"], "ConnectionRefused");
            }
            ChannelKind::Discord | ChannelKind::Teams | ChannelKind::GoogleChat | ChannelKind::Email => {}
        }
    }
}

#[tokio::test]
async fn how_long_to_wait_is_also_read_from_the_body() {
    let provider = Provider::start().await;
    let bodies = [
        (r#"{"ok":false,"parameters":{"retry_after":5}}"#, 5000),
        (r#"{"retry_after":1.5}"#, 1500),
        (r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}"#, 2000),
    ];
    for (body, millis) in bodies {
        provider.usually(Answer::Says("429 Too Many Requests", body.as_bytes().to_vec()));
        let channel = http_channels(&provider.url).remove(0);
        let verdict = transport().deliver(&destination(channel), &message(Telling::Firing, &["web"])).await;
        assert_eq!(kind(&verdict), Kind::Retried(Some(Duration::from_millis(millis))));
    }
}

/// E-mail to these, without TLS.
pub fn email(port: u16, to: &[&str]) -> Channel {
    Channel::Email {
        to: to.iter().map(|address| (*address).to_owned()).collect(),
        from: "Health <health@example.org>".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        credentials: None,
        tls: EmailTls::None,
        texts: Texts::default(),
    }
}
