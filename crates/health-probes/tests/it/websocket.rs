//! `websocket` against Python's server, and peers that refuse or break the protocol.

use std::time::Duration;

use health_model::{
    BasicCredentials, CheckSpec, HttpAuth, NamedValue, Pattern, Probe, Reason, Sensitive, TlsOptions, WebSocketProbe,
};
use health_testkit::{
    daemons,
    peer::{Peer, read_head},
};
use rstest::rstest;
use tokio::{io::AsyncWriteExt, sync::mpsc};
use url::Url;

use crate::ask::{ask, ask_within, spec};

pub(crate) fn websocket(url: &str) -> WebSocketProbe {
    WebSocketProbe {
        url: Url::parse(url).unwrap(),
        headers: Vec::new(),
        auth: None,
        send: None,
        expect: None,
        tls: TlsOptions::default(),
    }
}

pub(crate) fn websocket_spec(probe: WebSocketProbe) -> CheckSpec {
    spec(Probe::WebSocket(Box::new(probe)))
}

pub(crate) fn expecting(url: &str, expect: &str) -> WebSocketProbe {
    WebSocketProbe {
        send: Some(b"ping".to_vec()),
        expect: Some(Pattern::multi_line(expect).unwrap()),
        ..websocket(url)
    }
}

#[tokio::test]
async fn a_real_server_is_talked_to_with_tls_and_without() {
    let plain = daemons::websockets(false);
    let url = format!("ws://127.0.0.1:{}/", plain.port);
    let outcome = ask(websocket_spec(websocket(&url))).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "101 Switching Protocols"));
    assert_eq!(outcome.status_code, Some(101));
    let outcome = ask(websocket_spec(expecting(&url, "^PING$"))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);

    let secure = daemons::websockets(true);
    let url = format!("wss://localhost:{}/", secure.port);
    let mut probe = expecting(&url, "^PING$");
    probe.tls.ca_pem = Some(secure.ca_pem.as_str().into());
    let outcome = ask(websocket_spec(probe)).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert!(outcome.certificate.is_some() && outcome.phases.tls.is_some());
    let outcome = ask(websocket_spec(websocket(&url))).await;
    assert_eq!(outcome.reason, Reason::CertificateUntrusted, "{}", outcome.response);
}

#[tokio::test]
async fn another_answer_is_shown_and_silence_is_a_timeout() {
    let server = daemons::websockets(false);
    let url = format!("ws://127.0.0.1:{}/", server.port);
    // The server goes on waiting for us: only the deadline ends it.
    let outcome = ask_within(websocket_spec(expecting(&url, "^never$")), Duration::from_millis(500)).await;
    assert_eq!(outcome.reason, Reason::Timeout);
    assert_eq!(outcome.evidence.unwrap().body.as_deref(), Some("hello\nPING"), "what came is kept");
}

#[rstest]
#[case::not_found("404 Not Found", "", Reason::UnexpectedStatus, "404 Not Found: expected 101")]
#[case::ok("200 OK", "", Reason::UnexpectedStatus, "200 OK: expected 101")]
#[case::moved("302 Found", "Location: ws://127.0.0.1/\r\n", Reason::UnexpectedStatus, "redirects are not followed")]
#[case::unauthorized("401 Unauthorized", "", Reason::UnexpectedStatus, "401 Unauthorized")]
#[case::too_many("429 Too Many Requests", "Retry-After: 9\r\n", Reason::RateLimited, "429 Too Many Requests")]
#[case::wrong_key(
    "101 Switching Protocols",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
    Reason::ProtocolError,
    "WebSocket protocol"
)]
#[case::no_upgrade("101 Switching Protocols", "", Reason::ProtocolError, "WebSocket protocol")]
#[tokio::test]
async fn a_refused_upgrade_has_its_reason(
    #[case] status: &str,
    #[case] headers: &str,
    #[case] reason: Reason,
    #[case] says: &str,
) {
    let peer = Peer::answering(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{headers}\r\n")).await.unwrap();
    let outcome = ask(websocket_spec(websocket(&format!("ws://{}/", peer.address)))).await;
    assert_eq!(outcome.reason, reason, "{}", outcome.response);
    assert!(outcome.response.contains(says), "{}", outcome.response);
    assert_eq!(peer.accepted(), 1, "no redirect is followed");
    assert_eq!(outcome.retry_after, (reason == Reason::RateLimited).then(|| Duration::from_secs(9)));
}

#[tokio::test]
async fn headers_host_and_credentials_are_sent_and_never_shown() {
    let (heard, mut heads) = mpsc::unbounded_channel();
    let peer = Peer::start("127.0.0.1", move |mut stream| {
        let heard = heard.clone();
        async move {
            let head = read_head(&mut stream).await;
            let echo = head.lines().filter(|line| line.contains("hidden")).collect::<Vec<_>>().join(" ");
            let answer = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{echo}", echo.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = heard.send(head);
        }
    })
    .await
    .unwrap();
    let mut probe = websocket(&format!("ws://{}/chat?room=1", peer.address));
    probe.auth = Some(HttpAuth::Basic(BasicCredentials {
        username: Sensitive::new("prober"),
        password: Sensitive::new("hidden-password"),
    }));
    probe.headers = [("Host", "chat.example.org"), ("X-Key", "hidden-key"), ("X-Key", "hidden-too")]
        .map(|(name, value)| NamedValue { name: name.to_owned(), value: Sensitive::new(value) })
        .to_vec();
    let outcome = ask(websocket_spec(probe)).await;
    let head = heads.recv().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /chat?room=1 http/1.1\r\n"), "{head}");
    for line in ["host: chat.example.org", "x-key: hidden-key", "x-key: hidden-too", "sec-websocket-version: 13"] {
        assert!(head.contains(line), "{line} is missing in {head}");
    }
    assert_eq!(head.matches("\r\nhost:").count(), 1);
    assert!(head.contains("authorization: basic chjvymvyomhpzgrlbi1wyxnzd29yza=="), "{head}");
    assert_eq!(outcome.reason, Reason::UnexpectedStatus);
    assert!(!format!("{outcome:?}").contains("hidden"), "{outcome:?}");
}

#[tokio::test]
async fn an_endless_answer_is_cut_at_the_bound() {
    let peer = Peer::start("127.0.0.1", |stream| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        use futures::SinkExt;
        while socket.send("noise".repeat(1000).into()).await.is_ok() {}
    })
    .await
    .unwrap();
    let outcome = ask(websocket_spec(expecting(&format!("ws://{}/", peer.address), "^ready"))).await;
    assert_eq!(outcome.reason, Reason::UnexpectedAnswer);
    assert!(outcome.response.contains("64 KiB"), "{}", outcome.response);
}

#[tokio::test]
async fn a_peer_that_closes_is_said_to() {
    let peer = Peer::start("127.0.0.1", |stream| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        use futures::SinkExt;
        let _ = socket.send("sorry".into()).await;
        let _ = socket.close(None).await;
    })
    .await
    .unwrap();
    let outcome = ask(websocket_spec(expecting(&format!("ws://{}/", peer.address), "^ready"))).await;
    assert_eq!(outcome.reason, Reason::UnexpectedAnswer);
    assert!(outcome.response.contains("sorry") && outcome.response.contains("closed"), "{}", outcome.response);
}
