//! `tls.startTls`, each protocol against a server that people run.

use health_model::{DialogueStep, Outcome, Pattern, Reason, StartTls, TcpProbe, TlsOptions};
use health_testkit::{
    daemons::{self, Served},
    peer::Peer,
};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ask::{ask, tcp, tcp_spec};

fn probe(port: u16, protocol: StartTls, ca_pem: Option<&str>) -> TcpProbe {
    let tls = TlsOptions {
        enabled: true,
        server_name: Some("localhost".to_owned()),
        ca_pem: ca_pem.map(Into::into),
        ..TlsOptions::default()
    };
    TcpProbe { start_tls: Some(protocol), tls, ..tcp("127.0.0.1", port) }
}

async fn asked(port: u16, protocol: StartTls, ca_pem: Option<&str>) -> Outcome {
    ask(tcp_spec(probe(port, protocol, ca_pem))).await
}

#[rstest]
#[case::exim(StartTls::Smtp, daemons::exim)]
#[case::dovecot_imap(StartTls::Imap, || daemons::dovecot(false))]
#[case::dovecot_pop3(StartTls::Pop3, || daemons::dovecot(true))]
#[case::vsftpd(StartTls::Ftp, daemons::vsftpd)]
#[case::openldap(StartTls::Ldap, daemons::slapd)]
#[case::prosody(StartTls::Xmpp, daemons::prosody)]
#[case::postgresql(StartTls::Postgres, || daemons::postgres(true))]
#[case::mariadb(StartTls::MySql, daemons::mariadb)]
#[tokio::test]
async fn a_real_server_is_talked_into_tls_and_its_certificate_judged(
    #[case] protocol: StartTls,
    #[case] start: impl FnOnce() -> Served,
) {
    let server = start();
    let outcome = asked(server.port, protocol, Some(&server.ca_pem)).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}: {}", outcome.response, server.daemon.output());
    assert_eq!(outcome.response, "Connection Successful");
    assert!(outcome.phases.tls.is_some());
    let certificate = outcome.certificate.unwrap();
    assert_eq!(certificate.dns_names, ["localhost", "127.0.0.1", "::1"]);

    let untrusted = asked(server.port, protocol, None).await;
    assert_eq!(untrusted.reason, Reason::CertificateUntrusted, "{}", untrusted.response);
    assert!(untrusted.certificate.is_some(), "the facts are known also when nobody trusts them");
}

#[tokio::test]
async fn a_postgres_without_tls_is_said_to_offer_none() {
    let server = daemons::postgres(false);
    let outcome = asked(server.port, StartTls::Postgres, None).await;
    assert_eq!(outcome.reason, Reason::TlsHandshakeFailed);
    assert!(outcome.response.contains("ssl is off"), "{}", outcome.response);
}

#[tokio::test]
async fn a_dialogue_goes_on_inside_tls() {
    let server = daemons::exim();
    let step = |send: &str, expect: &str| DialogueStep {
        send: Some(send.as_bytes().to_vec()),
        expect: Some(Pattern::multi_line(expect).unwrap()),
    };
    let mut inside = probe(server.port, StartTls::Smtp, Some(&server.ca_pem));
    inside.dialogue = vec![step("EHLO example.org\r\n", "^250 HELP"), step("QUIT\r\n", "^221 ")];
    let outcome = ask(tcp_spec(inside.clone())).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}

/// A peer that says this first, and these lines in answer to each thing it is told.
pub(crate) async fn scripted(greeting: &'static [u8], answers: &'static [&'static [u8]]) -> Peer {
    Peer::start("127.0.0.1", move |mut stream| async move {
        let mut heard = [0; 1024];
        let _ = stream.write_all(greeting).await;
        for answer in answers {
            let _ = stream.read(&mut heard).await;
            let _ = stream.write_all(answer).await;
        }
        let _ = stream.shutdown().await;
        let _ = stream.read(&mut heard).await;
    })
    .await
    .unwrap()
}

#[rstest]
#[case::smtp_says_no(StartTls::Smtp, b"220 hi\r\n", &[b"250-hi\r\n250 SIZE\r\n" as &[u8]], Reason::TlsHandshakeFailed, "does not list STARTTLS")]
#[case::smtp_refuses(StartTls::Smtp, b"220 hi\r\n", &[b"250 STARTTLS\r\n" as &[u8], b"454 no\r\n"], Reason::TlsHandshakeFailed, "454 no")]
#[case::smtp_is_busy(StartTls::Smtp, b"554 go away\r\n", &[], Reason::UnexpectedAnswer, "554 go away")]
#[case::smtp_injected(StartTls::Smtp, b"220 hi\r\n", &[b"250 STARTTLS\r\n" as &[u8], b"220 go\r\n250 injected\r\n"], Reason::ProtocolError, "somebody on the path")]
#[case::smtp_is_http(StartTls::Smtp, b"HTTP/1.1 400 Bad\r\n\r\n", &[], Reason::ProtocolError, "does not speak SMTP")]
#[case::imap_says_no(StartTls::Imap, b"* OK hi\r\n", &[b"* noise\r\nh1 BAD what\r\n" as &[u8]], Reason::TlsHandshakeFailed, "h1 BAD")]
#[case::pop3_says_no(StartTls::Pop3, b"+OK\r\n", &[b"-ERR\r\n" as &[u8]], Reason::TlsHandshakeFailed, "-ERR")]
#[case::ftp_says_no(StartTls::Ftp, b"220-hi\r\nfree text\r\n220 hi\r\n", &[b"530 login first\r\n" as &[u8]], Reason::TlsHandshakeFailed, "530")]
#[case::ldap_says_no(StartTls::Ldap, b"", &[b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00" as &[u8]], Reason::TlsHandshakeFailed, "result code 2")]
#[case::xmpp_unknown(StartTls::Xmpp, b"", &[b"<stream:stream><stream:error><host-unknown/></stream:error>" as &[u8]], Reason::UnexpectedAnswer, "host-unknown")]
#[case::postgres_is_smtp(StartTls::Postgres, b"220 hi\r\n", &[], Reason::ProtocolError, "does not speak PostgreSQL")]
#[case::mysql_blocks_us(StartTls::MySql, b"\x11\x00\x00\x00\xff\x69\x04#HY000blocked!", &[], Reason::UnexpectedAnswer, "blocked!")]
#[case::gone(StartTls::Smtp, b"", &[], Reason::ConnectionReset, "closed the connection")]
#[tokio::test]
async fn a_server_that_will_not_is_understood(
    #[case] protocol: StartTls,
    #[case] greeting: &'static [u8],
    #[case] answers: &'static [&'static [u8]],
    #[case] reason: Reason,
    #[case] says: &str,
) {
    let peer = scripted(greeting, answers).await;
    let outcome = asked(peer.address.port(), protocol, None).await;
    assert_eq!(outcome.reason, reason, "{}", outcome.response);
    assert!(outcome.response.contains(says), "{}", outcome.response);
}
