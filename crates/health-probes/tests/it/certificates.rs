//! TLS with certificates of every kind: what is said of each, and what is known of it even so.

use health_model::{
    Assertion, CelExpression, ClientCertificate, DialogueStep, HttpProbe, Outcome, Pattern, Reason, Sensitive,
    TcpProbe, TlsOptions, TlsVersion,
};
use health_testkit::{
    certificates::{Authority, Issued, Validity, Wanted},
    peer::{Peer, read_head},
};
use rstest::rstest;
use tokio::io::AsyncWriteExt;

use crate::ask::{FAMILIES, ask, get, http_spec, tcp, tcp_spec, the_same};

const NAMES: &[&str] = &["localhost", "127.0.0.1", "::1"];

async fn server(issued: &Issued) -> Peer {
    server_on("127.0.0.1", issued).await
}

async fn server_on(bind: &str, issued: &Issued) -> Peer {
    Peer::start_tls_on(bind, issued.server(&[], None).unwrap(), |mut stream| async move {
        let _ = stream.write_all(b"hello\n").await;
        let _ = stream.shutdown().await;
    })
    .await
    .unwrap()
}

fn trusting(ca_pem: &str) -> TlsOptions {
    TlsOptions { enabled: true, ca_pem: Some(ca_pem.into()), ..TlsOptions::default() }
}

fn probe(peer: &Peer, tls: TlsOptions) -> TcpProbe {
    let dialogue = vec![DialogueStep { send: None, expect: Some(Pattern::multi_line("^hello$").unwrap()) }];
    TcpProbe { tls, dialogue, ..tcp(&peer.address.ip().to_string(), peer.address.port()) }
}

/// What is said of a certificate, in both families.
async fn judged(issued: &Issued, tls: TlsOptions) -> Outcome {
    let mut outcomes = Vec::new();
    for bind in FAMILIES {
        let peer = server_on(bind, issued).await;
        outcomes.push((peer.address, ask(tcp_spec(probe(&peer, tls.clone()))).await));
    }
    the_same(outcomes)
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_good() {
    let authority = Authority::root("root").unwrap();
    let issued = authority.issue(&Wanted::server(NAMES)).unwrap();
    let outcome = judged(&issued, trusting(&authority.pem())).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "Connection Successful"));
    let certificate = outcome.certificate.unwrap();
    assert_eq!(certificate.dns_names, NAMES);
    assert_eq!(certificate.not_after.to_string(), "2090-01-01T00:00:00Z");
    assert_eq!((certificate.issuer.as_str(), certificate.subject.as_str()), ("CN=root", "CN=a test server"));
    assert!(outcome.phases.tls.is_some());
}

#[rstest]
#[case::expired(Validity::Past, NAMES, Reason::CertificateExpired, "expired")]
#[case::expired_and_foreign(Validity::Past, &["other.example"], Reason::CertificateExpired, "expired")]
#[case::early(Validity::Future, NAMES, Reason::CertificateNotYetValid, "becomes valid only in")]
#[case::foreign(Validity::Now, &["other.example"], Reason::CertificateNameMismatch, "is for other.example, expected HOST")]
#[case::nameless(Validity::Now, &[], Reason::CertificateNameMismatch, "no subjectAltName")]
#[tokio::test]
async fn a_bad_certificate_is_named_and_its_facts_are_known(
    #[case] validity: Validity,
    #[case] names: &'static [&'static str],
    #[case] reason: Reason,
    #[case] said: &str,
) {
    let authority = Authority::root("root").unwrap();
    let issued = authority.issue(&Wanted { validity, ..Wanted::server(names) }).unwrap();
    let outcome = judged(&issued, trusting(&authority.pem())).await;
    assert_eq!(outcome.reason, reason, "{}", outcome.response);
    assert!(outcome.response.contains(said), "{}", outcome.response);
    assert_eq!(outcome.certificate.unwrap().fingerprint.len(), 64);
    let skipped = judged(&issued, TlsOptions { insecure_skip_verify: true, ..trusting(&authority.pem()) }).await;
    assert_eq!(skipped.reason, Reason::Succeeded, "{}", skipped.response);
    assert!(skipped.certificate.is_some());
}

#[tokio::test]
async fn a_foreign_authority_is_not_trusted() {
    let issued = Authority::root("stranger").unwrap().issue(&Wanted::server(NAMES)).unwrap();
    for tls in
        [trusting(&Authority::root("ours").unwrap().pem()), TlsOptions { enabled: true, ..TlsOptions::default() }]
    {
        let outcome = judged(&issued, tls).await;
        assert_eq!(outcome.reason, Reason::CertificateUntrusted);
        assert!(outcome.response.contains("CN=stranger"), "{}", outcome.response);
    }
}

#[rstest]
#[case::leaf(false)]
#[case::as_openssl_req_x509_makes_them(true)]
#[tokio::test]
async fn a_self_signed_certificate_is_recognised_and_may_be_its_own_authority(#[case] ca: bool) {
    let issued = Issued::self_signed(&Wanted { ca, ..Wanted::server(NAMES) }).unwrap();
    let outcome = judged(&issued, TlsOptions { enabled: true, ..TlsOptions::default() }).await;
    assert_eq!(outcome.reason, Reason::CertificateUntrusted);
    assert!(outcome.response.contains("self-signed"), "{}", outcome.response);
    let outcome = judged(&issued, trusting(&issued.chain_pem)).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}

#[tokio::test]
async fn an_intermediate_is_followed_when_sent_and_named_when_missing_or_expired() {
    let root = Authority::root("root").unwrap();
    let mut issued = root.below("middle", Validity::Now).unwrap().issue(&Wanted::server(NAMES)).unwrap();
    let outcome = judged(&issued, trusting(&root.pem())).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    issued.chain.truncate(1);
    let outcome = judged(&issued, trusting(&root.pem())).await;
    assert_eq!(outcome.reason, Reason::CertificateUntrusted);
    assert!(outcome.response.contains("sent no intermediate"), "{}", outcome.response);
    let issued = root.below("old middle", Validity::Past).unwrap().issue(&Wanted::server(NAMES)).unwrap();
    let outcome = judged(&issued, trusting(&root.pem())).await;
    assert_eq!(outcome.reason, Reason::CertificateExpired);
    let certificate = outcome.certificate.unwrap();
    assert_eq!(certificate.chain_not_after.to_string(), "2021-02-01T00:00:00Z");
}

#[tokio::test]
async fn the_server_name_can_be_given() {
    let authority = Authority::root("root").unwrap();
    let issued = authority.issue(&Wanted::server(&["shop.example"])).unwrap();
    let tls = TlsOptions { server_name: Some("shop.example".to_owned()), ..trusting(&authority.pem()) };
    assert_eq!(judged(&issued, tls).await.reason, Reason::Succeeded);
}

#[rstest]
#[case::soon(40_000, Reason::CertificateExpiring)]
#[case::later(10, Reason::Succeeded)]
#[tokio::test]
async fn ssl_check_warns_before_the_certificate_expires(#[case] days: u32, #[case] reason: Reason) {
    let authority = Authority::root("root").unwrap();
    let peer = server(&authority.issue(&Wanted::server(NAMES)).unwrap()).await;
    let probe = TcpProbe { certificate_expiry_days: Some(days), ..probe(&peer, trusting(&authority.pem())) };
    let outcome = ask(tcp_spec(probe)).await;
    assert_eq!(outcome.reason, reason, "{}", outcome.response);
}

#[rstest]
#[case::within_the_leaf_but_not_its_issuer(20_000, Reason::CertificateExpiring)]
#[case::within_both(10, Reason::Succeeded)]
#[tokio::test]
async fn ssl_check_looks_at_the_whole_chain(#[case] days: u32, #[case] reason: Reason) {
    let root = Authority::root("root").unwrap();
    let middle = root.below("shorter middle", Validity::Shorter).unwrap();
    for bind in FAMILIES {
        let peer = server_on(bind, &middle.issue(&Wanted::server(NAMES)).unwrap()).await;
        let probe = TcpProbe { certificate_expiry_days: Some(days), ..probe(&peer, trusting(&root.pem())) };
        let outcome = ask(tcp_spec(probe)).await;
        assert_eq!(outcome.reason, reason, "{}", outcome.response);
        let certificate = outcome.certificate.unwrap();
        assert_eq!(certificate.not_after.to_string(), "2090-01-01T00:00:00Z");
        assert_eq!(certificate.chain_not_after.to_string(), "2080-01-01T00:00:00Z");
        let said = outcome.response.starts_with("an issuer's certificate expires in ");
        assert_eq!(said, reason == Reason::CertificateExpiring, "{}", outcome.response);
    }
}

#[rstest]
#[case::demanded("response.certificate != null && response.certificate.daysLeft > 30.0", true)]
#[case::forbidden("response.certificate == null", false)]
#[tokio::test]
async fn an_assertion_demands_tls_or_forbids_it(
    #[case] source: &str,
    #[case] with_tls: bool,
    #[values("127.0.0.1", "::1")] bind: &str,
) {
    const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let authority = Authority::root("root").unwrap();
    let issued = authority.issue(&Wanted::server(NAMES)).unwrap();
    let secure = Peer::start_tls_on(bind, issued.server(&["http/1.1"], None).unwrap(), |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(HELLO.as_bytes()).await;
        let _ = stream.shutdown().await;
    })
    .await
    .unwrap();
    let plain = Peer::answering_on(bind, HELLO).await.unwrap();
    for (scheme, peer) in [("https", secure), ("http", plain)] {
        let expression = CelExpression::new(source).unwrap();
        let probe = HttpProbe {
            assertions: vec![Assertion { expression, message: None }],
            tls: trusting(&authority.pem()),
            ..get(&format!("{scheme}://{}/", peer.address))
        };
        let outcome = ask(http_spec(probe)).await;
        let expected = if (scheme == "https") == with_tls { Reason::Succeeded } else { Reason::AssertionFailed };
        assert_eq!(outcome.reason, expected, "{scheme}: {}", outcome.response);
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_when_wanted_and_its_absence_is_named() {
    let authority = Authority::root("root").unwrap();
    let issued = authority.issue(&Wanted::server(NAMES)).unwrap();
    let config = issued.server(&[], Some(&authority)).unwrap();
    let peer = Peer::start_tls(config, |mut stream| async move {
        let _ = stream.write_all(b"hello\n").await;
        let _ = stream.shutdown().await;
    })
    .await
    .unwrap();
    let without = ask(tcp_spec(probe(&peer, trusting(&authority.pem())))).await;
    assert_eq!(without.reason, Reason::TlsHandshakeFailed, "{}", without.response);
    assert!(without.response.contains("tls.clientCertificate"), "{}", without.response);
    let ours = |by: &Authority| {
        let own = by.issue(&Wanted { client: true, common_name: "prober", ..Wanted::default() }).unwrap();
        ClientCertificate { certificate_pem: own.chain_pem.as_str().into(), key_pem: own.key_pem.as_str().into() }
    };
    let with = |own| TlsOptions { client_certificate: Some(own), ..trusting(&authority.pem()) };
    let good = ask(tcp_spec(probe(&peer, with(ours(&authority))))).await;
    assert_eq!(good.reason, Reason::Succeeded, "{}", good.response);
    let stranger = ask(tcp_spec(probe(&peer, with(ours(&Authority::root("stranger").unwrap()))))).await;
    assert_eq!(stranger.reason, Reason::TlsHandshakeFailed, "{}", stranger.response);
}

#[rstest]
#[case::ca("tls.ca", TlsOptions { enabled: true, ca_pem: Some("none".into()), ..TlsOptions::default() })]
#[case::key("tls.key", TlsOptions {
    enabled: true,
    client_certificate: Some(ClientCertificate { certificate_pem: PEM.into(), key_pem: Sensitive::from("hunter2") }),
    ..TlsOptions::default()
})]
#[case::name("tls.serverName", TlsOptions { enabled: true, server_name: Some("a b".to_owned()), ..TlsOptions::default() })]
#[tokio::test]
async fn tls_options_that_cannot_be_used_name_their_field_and_no_secret(#[case] field: &str, #[case] tls: TlsOptions) {
    let issued = Authority::root("root").unwrap().issue(&Wanted::server(NAMES)).unwrap();
    let outcome = judged(&issued, tls).await;
    assert_eq!(outcome.reason, Reason::InvalidConfiguration, "{}", outcome.response);
    assert!(outcome.response.contains(field) && !outcome.response.contains("hunter2"), "{}", outcome.response);
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_told_from_one_that_closes() {
    let plain = Peer::start("127.0.0.1", |mut stream| async move {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await
    .unwrap();
    let outcome = ask(tcp_spec(probe(&plain, TlsOptions { enabled: true, ..TlsOptions::default() }))).await;
    assert_eq!(outcome.reason, Reason::TlsHandshakeFailed);
    assert!(outcome.response.contains("does not speak TLS"), "{}", outcome.response);
}

#[tokio::test]
async fn tls_1_3_can_be_demanded() {
    let authority = Authority::root("root").unwrap();
    let issued = authority.issue(&Wanted::server(NAMES)).unwrap();
    let tls = TlsOptions { min_version: TlsVersion::V1_3, ..trusting(&authority.pem()) };
    assert_eq!(judged(&issued, tls).await.reason, Reason::Succeeded);
}

const PEM: &str = "-----BEGIN CERTIFICATE-----
MIIBtjCCAVugAwIBAgITBmyf1XSXNmY/Owua2eiedgPySjAKBggqhkjOPQQDAjA5
MQswCQYDVQQGEwJVUzEPMA0GA1UEChMGQW1hem9uMRkwFwYDVQQDExBBbWF6b24g
Um9vdCBDQSAzMB4XDTE1MDUyNjAwMDAwMFoXDTQwMDUyNjAwMDAwMFowOTELMAkG
A1UEBhMCVVMxDzANBgNVBAoTBkFtYXpvbjEZMBcGA1UEAxMQQW1hem9uIFJvb3Qg
Q0EgMzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCmXp8ZBf8ANm+gBG1bG8lKl
ui2yEujSLtf6ycXYqm0fc4E7O5hrOXwzpcVOho6AF2hiRVd9RFgdszflZwjrZt6j
QjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgGGMB0GA1UdDgQWBBSr
ttvXBp43rDCGB5Fwx5zEGbF4wDAKBggqhkjOPQQDAgNJADBGAiEA4IWSoxe3jfkr
BqWTrBqYaGFy+uGh0PsceGCmQ5nFuMQCIQCcAu/xlJyzlvnrxir4tiz+OpAUFteM
YyRIHN8wfdVoOw==
-----END CERTIFICATE-----
";
