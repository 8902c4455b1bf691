//! `udp` against sockets of the test and a real name server.

use std::time::{Duration, Instant};

use health_model::{CheckSpec, Host, Pattern, Probe, Reason, UdpProbe};
use health_testkit::daemons;
use rstest::rstest;
use tokio::{net::UdpSocket, task::JoinHandle};

use crate::ask::{ask, ask_within, spec};

pub(crate) fn udp_spec(host: &str, port: u16, send: &[u8], expect: Option<&str>) -> CheckSpec {
    spec(Probe::Udp(Box::new(UdpProbe {
        host: Host::parse(host),
        port,
        send: send.to_vec(),
        expect: expect.map(|source| Pattern::multi_line(source).unwrap()),
    })))
}

/// Answers every datagram with these.
async fn answering(bind: &str, answers: &'static [&'static [u8]]) -> (u16, JoinHandle<()>) {
    let socket = UdpSocket::bind((bind, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            for answer in answers {
                let _ = socket.send_to(answer, from).await;
            }
        }
    });
    (port, task)
}

#[rstest]
#[case::v4("127.0.0.1")]
#[case::v6("::1")]
#[tokio::test]
async fn an_expected_answer_is_healthy_in_both_families(#[case] host: &str) {
    let (port, _task) = answering(host, &[b"noise", b"\nready now"]).await;
    let outcome = ask(udp_spec(host, port, b"ping", Some("^ready"))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}

#[tokio::test]
async fn another_answer_is_unexpected_and_is_shown() {
    let (port, _task) = answering("127.0.0.1", &[b"go away"]).await;
    let outcome = ask(udp_spec("127.0.0.1", port, b"ping", Some("^ready"))).await;
    assert_eq!(outcome.reason, Reason::UnexpectedAnswer);
    assert!(outcome.response.contains("go away") && outcome.response.contains("^ready"), "{}", outcome.response);
    assert_eq!(outcome.evidence.unwrap().body.as_deref(), Some("go away"));
}

#[tokio::test]
async fn silence_where_an_answer_is_expected_is_a_timeout() {
    let (port, _task) = answering("127.0.0.1", &[]).await;
    let outcome = ask_within(udp_spec("127.0.0.1", port, b"ping", Some(".")), Duration::from_millis(300)).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Timeout, "Timeout"));
}

#[rstest]
#[case::with_expect(Some("."))]
#[case::without(None)]
#[tokio::test]
async fn a_port_on_which_nobody_listens_is_refused(#[case] expect: Option<&str>) {
    let port = health_testkit::daemon::free_port().unwrap();
    for host in ["127.0.0.1", "::1", "localhost"] {
        let outcome = ask(udp_spec(host, port, b"ping", expect)).await;
        assert_eq!(outcome.reason, Reason::ConnectionRefused, "{host}: {}", outcome.response);
    }
}

#[tokio::test]
async fn silence_is_good_where_nothing_is_expected() {
    let (port, _task) = answering("127.0.0.1", &[]).await;
    let started = Instant::now();
    let outcome = ask(udp_spec("127.0.0.1", port, b"statsd:1|c", None)).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "Sent, not refused"));
    assert!(started.elapsed() < Duration::from_secs(5));
    let (port, _task) = answering("127.0.0.1", &[b"pong"]).await;
    let outcome = ask(udp_spec("127.0.0.1", port, b"ping", None)).await;
    assert_eq!(outcome.response, "Answered with 4 bytes");
}

#[tokio::test]
async fn what_we_send_is_not_shown_when_it_comes_back() {
    let (port, _task) = answering("127.0.0.1", &[b"bad password hunter2-hunter2"]).await;
    let outcome = ask(udp_spec("127.0.0.1", port, b"LOGIN hunter2-hunter2", Some("^ready"))).await;
    assert_eq!(outcome.reason, Reason::UnexpectedAnswer);
    assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
}

#[tokio::test]
async fn a_real_name_server_answers_a_datagram() {
    let server = daemons::bind();
    // NS of the root, id 0x1234.
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01";
    let outcome = ask(udp_spec("127.0.0.1", server.served.port, question, Some(r"(?-u)^\x12\x34"))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}
