//! `tcp`: connections, refusals, dialogues, both families.

use std::{net::SocketAddr, time::Duration};

use health_model::{DialogueStep, IpFamily, Pattern, Reason, State};
use health_testkit::peer::Peer;
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::ask::{ask, ask_within, tcp, tcp_spec};

async fn closed_port(bind: &str) -> u16 {
    TcpListener::bind((bind, 0)).await.unwrap().local_addr().unwrap().port()
}

fn step(send: Option<&str>, expect: Option<&str>) -> DialogueStep {
    DialogueStep {
        send: send.map(|text| text.as_bytes().to_vec()),
        expect: expect.map(|expression| Pattern::multi_line(expression).unwrap()),
    }
}

/// Greets, then answers each line by its echo in upper case.
async fn echo_server(bind: &str) -> Peer {
    Peer::start(bind, |mut stream| async move {
        let _ = stream.write_all(b"220 ready\r\n").await;
        let mut buffer = [0; 256];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let _ = stream.write_all(&buffer[..read].to_ascii_uppercase()).await;
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn an_accepted_connection_says_so_in_the_published_words() {
    for bind in ["127.0.0.1", "::1"] {
        let peer = Peer::start(bind, |_| async {}).await.unwrap();
        let outcome = ask(tcp_spec(tcp(bind, peer.address.port()))).await;
        assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "Connection Successful"));
        assert_eq!(outcome.remote_address, Some(peer.address));
        assert!(outcome.phases.connect.is_some() && outcome.evidence.is_none());
    }
}

#[rstest]
#[tokio::test]
async fn a_refused_connection_names_the_address(#[values("127.0.0.1", "::1")] bind: &str) {
    let port = closed_port(bind).await;
    let outcome = ask(tcp_spec(tcp(bind, port))).await;
    assert_eq!(outcome.reason, Reason::ConnectionRefused);
    assert_eq!(outcome.reason.state(), State::Errored);
    assert!(
        outcome.response.contains(&SocketAddr::new(bind.parse().unwrap(), port).to_string()),
        "{}",
        outcome.response
    );
}

#[rstest]
#[tokio::test]
async fn a_refusal_that_is_expected_is_healthy_and_an_acceptance_then_is_not(#[values("127.0.0.1", "::1")] bind: &str) {
    let refused = health_model::TcpProbe { expect_refused: true, ..tcp(bind, closed_port(bind).await) };
    assert_eq!(ask(tcp_spec(refused)).await.reason, Reason::Succeeded);
    let peer = Peer::start(bind, |_| async {}).await.unwrap();
    let accepted = health_model::TcpProbe { expect_refused: true, ..tcp(bind, peer.address.port()) };
    assert_eq!(ask(tcp_spec(accepted)).await.reason, Reason::UnexpectedAnswer);
}

#[rstest]
#[tokio::test]
async fn a_dialogue_sends_and_expects_in_turn(#[values("127.0.0.1", "::1")] bind: &str) {
    let peer = echo_server(bind).await;
    let dialogue =
        vec![step(None, Some("^220")), step(Some("hello\r\n"), Some("^HELLO\r$")), step(Some("bye"), Some("BYE"))];
    let probe = health_model::TcpProbe { dialogue, ..tcp(bind, peer.address.port()) };
    let outcome = ask(tcp_spec(probe)).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "Connection Successful"));
}

#[rstest]
#[tokio::test]
async fn what_was_matched_before_is_not_matched_again(#[values("127.0.0.1", "::1")] bind: &str) {
    let peer = echo_server(bind).await;
    let dialogue = vec![step(None, Some("220 ready")), step(Some("x"), Some("ready"))];
    let probe = health_model::TcpProbe { dialogue, ..tcp(bind, peer.address.port()) };
    let outcome = ask_within(tcp_spec(probe), Duration::from_millis(300)).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Timeout, "Timeout"));
    let evidence = outcome.evidence.unwrap();
    assert_eq!(evidence.body.as_deref(), Some("\r\nX"));
    assert!(evidence.attempts[0].contains("waiting for the answer"), "{:?}", evidence.attempts);
}

#[rstest]
#[tokio::test]
async fn a_connection_that_ends_without_a_match_says_what_came(#[values("127.0.0.1", "::1")] bind: &str) {
    let peer = Peer::start(bind, |mut stream| async move {
        let _ = stream.write_all(b"554 go away\r\n").await;
    })
    .await
    .unwrap();
    let probe = health_model::TcpProbe { dialogue: vec![step(None, Some("^220"))], ..tcp(bind, peer.address.port()) };
    let outcome = ask(tcp_spec(probe)).await;
    assert_eq!(outcome.reason, Reason::UnexpectedAnswer);
    assert!(outcome.response.contains("554 go away") && outcome.response.contains("^220"), "{}", outcome.response);
}

#[rstest]
#[tokio::test]
async fn an_endless_answer_is_cut_at_its_bound(#[values("127.0.0.1", "::1")] bind: &str) {
    let peer = Peer::start(bind, |mut stream| async move { while stream.write_all(&[b'a'; 4096]).await.is_ok() {} })
        .await
        .unwrap();
    let probe = health_model::TcpProbe { dialogue: vec![step(None, Some("b"))], ..tcp(bind, peer.address.port()) };
    let outcome = ask(tcp_spec(probe)).await;
    assert_eq!(outcome.reason, Reason::UnexpectedAnswer);
    assert!(outcome.response.contains("64 KiB"), "{}", outcome.response);
}

#[tokio::test]
async fn a_literal_of_the_other_family_is_a_configuration_error() {
    let mut spec = tcp_spec(tcp("127.0.0.1", 9));
    spec.ip_family = IpFamily::V6;
    let outcome = ask(spec.clone()).await;
    assert_eq!(outcome.reason, Reason::InvalidConfiguration);
    assert!(outcome.response.contains("IPv6") && outcome.response.contains("ipFamily"), "{}", outcome.response);
}

#[tokio::test]
async fn both_families_are_asked_and_the_one_that_fails_is_named() {
    let peer = Peer::start("127.0.0.1", |_| async {}).await.unwrap();
    let mut spec = tcp_spec(tcp("localhost", peer.address.port()));
    spec.ip_family = IpFamily::Both;
    let outcome = ask(spec).await;
    assert_eq!(outcome.reason, Reason::ConnectionRefused);
    assert!(outcome.response.ends_with("(over IPv6)"), "{}", outcome.response);
}

#[tokio::test]
async fn with_any_family_the_one_that_listens_is_found() {
    for bind in ["127.0.0.1", "::1"] {
        let peer = Peer::start(bind, |_| async {}).await.unwrap();
        let outcome = ask(tcp_spec(tcp("localhost", peer.address.port()))).await;
        assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
        assert_eq!(outcome.remote_address, Some(peer.address));
    }
}

#[rstest]
#[tokio::test]
async fn a_slow_connection_is_too_slow(#[values("127.0.0.1", "::1")] bind: &str) {
    let peer = Peer::start(bind, |_| async {}).await.unwrap();
    let mut spec = tcp_spec(tcp(bind, peer.address.port()));
    spec.max_latency = Some(Duration::from_nanos(1));
    let outcome = ask(spec).await;
    assert_eq!(outcome.reason, Reason::TooSlow);
    assert!(outcome.response.starts_with("Connection Successful: took"), "{}", outcome.response);
}

#[rstest]
#[case::the_same(b"\x00\xff\x80ok", Reason::Succeeded)]
#[case::another(b"\x00\xfe\x80ok", Reason::UnexpectedAnswer)]
#[tokio::test]
async fn bytes_are_expected_exactly(
    #[case] sent: &'static [u8],
    #[case] reason: Reason,
    #[values("127.0.0.1", "::1")] bind: &str,
) {
    let peer = Peer::start(bind, move |mut stream| async move {
        let _ = stream.write_all(sent).await;
    })
    .await
    .unwrap();
    let dialogue = vec![step(None, Some(r"(?-u)\x00\xff\x80ok"))];
    let outcome = ask(tcp_spec(health_model::TcpProbe { dialogue, ..tcp(bind, peer.address.port()) })).await;
    assert_eq!(outcome.reason, reason, "{}", outcome.response);
}
