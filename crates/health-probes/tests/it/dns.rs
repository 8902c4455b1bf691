//! `dns` against BIND, and against servers that lie.

use std::{net::SocketAddr, time::Duration};

use health_model::{
    CheckSpec, DnsProbe, DnsServer, DnsTransport, Host, IpFamily, Outcome, Pattern, Probe, Reason, TlsOptions,
};
use health_probes::{Probes, ProbesSettings, connect::ResolverSettings};
use health_testkit::{daemon::Home, daemons, name_server::NameServer};
use rstest::rstest;
use tokio::net::UdpSocket;
use url::Url;

use crate::ask::{ask, ask_with, ask_within, spec};

pub(crate) fn dns(name: &str, kind: &str, server: DnsServer) -> DnsProbe {
    DnsProbe {
        name: name.to_owned(),
        record_type: kind.to_owned(),
        server,
        transport: DnsTransport::Udp,
        expected_rcode: "NOERROR".to_owned(),
        expected_answers: Vec::new(),
        answer_expression: None,
        tls: TlsOptions::default(),
    }
}

pub(crate) fn dns_spec(probe: DnsProbe) -> CheckSpec {
    spec(Probe::Dns(Box::new(probe)))
}

pub(crate) fn at(host: &str, port: u16) -> DnsServer {
    DnsServer::Address { host: Host::parse(host), port: Some(port) }
}

/// One server for the whole table: each line is asked of it.
#[tokio::test]
async fn a_real_server_is_asked_and_judged_line_by_line() {
    let bind = daemons::bind();
    let port = bind.served.port;
    // name, type, expected rcode, expected answers, expression, reason, what the response says
    type Line = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str, Reason, &'static str);
    let table: &[Line] = &[
        ("www.example.org", "A", "NOERROR", &[], "", Reason::Succeeded, "192.0.2.1"),
        ("WWW.Example.org.", "A", "NOERROR", &["192.0.2.1", "192.0.2.2"], "", Reason::Succeeded, "192.0.2.2"),
        (
            "www.example.org",
            "A",
            "NOERROR",
            &["192.0.2.9"],
            "",
            Reason::UnexpectedAnswer,
            "expected the answer \"192.0.2.9\"",
        ),
        ("www.example.org", "A", "NOERROR", &[], "^192\\.0\\.2\\.2$", Reason::Succeeded, "NOERROR: "),
        ("www.example.org", "A", "NOERROR", &[], "^10\\.", Reason::UnexpectedAnswer, "matches /^10\\./, came "),
        ("www.example.org", "AAAA", "NOERROR", &["2001:DB8:0::1"], "", Reason::Succeeded, "2001:db8::1"),
        ("www.example.org", "MX", "NOERROR", &[], "", Reason::UnexpectedAnswer, "no such record"),
        (
            "example.org",
            "MX",
            "NOERROR",
            &["10 mail.example.org."],
            "^10 mail\\.example\\.org$",
            Reason::Succeeded,
            "10 mail.example.org",
        ),
        ("example.org", "NS", "NOERROR", &["ns.example.org"], "", Reason::Succeeded, "NOERROR: ns.example.org"),
        (
            "example.org",
            "SOA",
            "NOERROR",
            &[],
            "^ns\\.example\\.org admin\\.example\\.org 1 ",
            Reason::Succeeded,
            "admin",
        ),
        (
            "txt.example.org",
            "TXT",
            "NOERROR",
            &["v=spf1 include:example.org"],
            "",
            Reason::Succeeded,
            "v=Spf1 Include:Example.org",
        ),
        (
            "txt.example.org",
            "TXT",
            "NOERROR",
            &["\"v=Spf1 \" \"Include:Example.org\""],
            "Include",
            Reason::Succeeded,
            "v=Spf1",
        ),
        ("alias.example.org", "CNAME", "NOERROR", &["www.example.org"], "", Reason::Succeeded, "www.example.org"),
        ("alias.example.org", "A", "NOERROR", &["192.0.2.1"], "", Reason::Succeeded, "192.0.2.1"),
        ("_sip._tcp.example.org", "SRV", "NOERROR", &["1 2 5060 www.example.org"], "", Reason::Succeeded, "5060"),
        ("big.example.org", "TXT", "NOERROR", &[], "^x{2000}$", Reason::Succeeded, "xxx"),
        ("nobody.example.org", "A", "NOERROR", &[], "", Reason::UnexpectedAnswer, "NXDOMAIN for nobody.example.org A"),
        ("nobody.example.org", "A", "NXDOMAIN", &[], "", Reason::Succeeded, "NXDOMAIN"),
        ("www.example.org", "A", "NXDOMAIN", &[], "", Reason::UnexpectedAnswer, "expected NXDOMAIN"),
        ("www.example.com", "A", "REFUSED", &[], "", Reason::Succeeded, "REFUSED"),
        ("www.example.com", "A", "NOERROR", &[], "", Reason::UnexpectedAnswer, "REFUSED"),
        ("www.example.org", "NONSENSE", "NOERROR", &[], "", Reason::InvalidConfiguration, "type:"),
        ("two..dots", "A", "NOERROR", &[], "", Reason::InvalidConfiguration, "name:"),
    ];
    for host in ["127.0.0.1", "::1"] {
        for (name, kind, rcode, answers, expression, reason, says) in table {
            for transport in [DnsTransport::Udp, DnsTransport::Tcp] {
                let mut probe = dns(name, kind, at(host, port));
                probe.transport = transport;
                probe.expected_rcode = (*rcode).to_owned();
                probe.expected_answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
                probe.answer_expression = (!expression.is_empty()).then(|| Pattern::new(expression).unwrap());
                let outcome = ask(dns_spec(probe)).await;
                let line = format!("{name} {kind} {expression} over {transport:?} to {host}: {}", outcome.response);
                assert_eq!(outcome.reason, *reason, "{line}");
                assert!(outcome.response.contains(says), "{line} does not say {says}");
            }
        }
    }
}

#[rstest]
#[case::tls(DnsTransport::Tls)]
#[case::https(DnsTransport::Https)]
#[tokio::test]
async fn a_real_server_is_asked_inside_tls(#[case] transport: DnsTransport) {
    let bind = daemons::bind();
    let port = if transport == DnsTransport::Tls { bind.tls_port } else { bind.https_port };
    let mut probe = dns("www.example.org", "A", at("127.0.0.1", port));
    probe.transport = transport;
    probe.expected_answers = vec!["192.0.2.1".to_owned()];
    let untrusted = ask(dns_spec(probe.clone())).await;
    assert_eq!(untrusted.reason, Reason::CertificateUntrusted, "{}", untrusted.response);
    probe.tls.ca_pem = Some(bind.served.ca_pem.as_str().into());
    let outcome = ask(dns_spec(probe.clone())).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert!(outcome.certificate.is_some() && outcome.phases.tls.is_some());
    assert_eq!(outcome.status_code, None, "NOERROR is no code to show");
    probe.tls.server_name = Some("other.example.org".to_owned());
    let outcome = ask(dns_spec(probe)).await;
    assert_eq!(outcome.reason, Reason::CertificateNameMismatch, "{}", outcome.response);
}

#[tokio::test]
async fn the_path_of_an_https_server_is_that_of_its_url() {
    let bind = daemons::bind();
    let at_path = |path: &str| {
        let url = Url::parse(&format!("https://localhost:{}{path}", bind.https_port)).unwrap();
        let mut probe = dns("www.example.org", "A", DnsServer::Url(url));
        probe.transport = DnsTransport::Https;
        probe.tls.ca_pem = Some(bind.served.ca_pem.as_str().into());
        dns_spec(probe)
    };
    let outcome = ask(at_path("/dns-query")).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    let outcome = ask(at_path("/elsewhere")).await;
    assert_eq!(outcome.reason, Reason::UnexpectedStatus, "{}", outcome.response);
    assert!(outcome.response.starts_with("404 Not Found"), "{}", outcome.response);
}

/// Answers each question with what `forge` makes of it.
async fn liar(forge: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> (u16, tokio::task::JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in forge(&buffer[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    (port, task)
}

/// NOERROR for the question, one A record.
fn answer_to(question: &[u8]) -> Vec<u8> {
    // Without the OPT record of 11 bytes at the end.
    let mut answer = question[..question.len() - 11].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    answer
}

async fn asked_of(port: u16, patience: Duration) -> Outcome {
    ask_within(dns_spec(dns("example.org", "A", at("127.0.0.1", port))), patience).await
}

#[tokio::test]
async fn only_the_answer_to_our_question_is_believed() {
    let other_id = |question: &[u8]| {
        let mut forged = answer_to(question);
        forged[0] ^= 0xff;
        forged
    };
    let other_name = |question: &[u8]| {
        let mut forged = answer_to(question);
        forged[13] ^= 1;
        forged
    };
    let (port, _task) =
        liar(move |question| vec![other_id(question), other_name(question), question.to_vec(), answer_to(question)])
            .await;
    let outcome = asked_of(port, Duration::from_secs(20)).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "NOERROR: 192.0.2.7"));

    let (port, _task) = liar(move |question| vec![other_id(question), other_name(question)]).await;
    let outcome = asked_of(port, Duration::from_millis(300)).await;
    assert_eq!(outcome.reason, Reason::Timeout, "{}", outcome.response);
    let attempts = &outcome.evidence.unwrap().attempts;
    assert!(attempts.iter().any(|line| line.contains("the id is another")), "{attempts:?}");
}

#[tokio::test]
async fn rubbish_with_our_id_is_a_protocol_error() {
    let (port, _task) = liar(|question| vec![[&question[..2], &[0xff; 30]].concat()]).await;
    let outcome = asked_of(port, Duration::from_secs(20)).await;
    assert_eq!(outcome.reason, Reason::ProtocolError, "{}", outcome.response);
}

#[tokio::test]
async fn a_lost_datagram_is_asked_for_again() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let (port, _task) = liar(move |question| {
        if first.swap(false, std::sync::atomic::Ordering::SeqCst) { Vec::new() } else { vec![answer_to(question)] }
    })
    .await;
    let outcome = asked_of(port, Duration::from_secs(20)).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}

#[tokio::test]
async fn a_server_that_is_not_there_refuses() {
    let port = health_testkit::daemon::free_port().unwrap();
    for transport in [DnsTransport::Udp, DnsTransport::Tcp, DnsTransport::Tls, DnsTransport::Https] {
        let mut probe = dns("example.org", "A", at("127.0.0.1", port));
        probe.transport = transport;
        let outcome = ask(dns_spec(probe)).await;
        assert_eq!(outcome.reason, Reason::ConnectionRefused, "{transport:?}: {}", outcome.response);
    }
}

fn with_resolv_conf(text: &str, port: u16) -> (Home, Probes) {
    let home = Home::new().unwrap();
    let resolver = ResolverSettings {
        resolv_conf: home.write("resolv.conf", text).unwrap(),
        hosts: home.write("hosts", "").unwrap(),
        name_server_port: port,
    };
    (home, Probes::new(ProbesSettings { resolver, ..ProbesSettings::default() }).unwrap())
}

#[tokio::test]
async fn the_systems_servers_complete_names_as_programs_here_would() {
    let bind = daemons::bind();
    let text = "nameserver 127.0.0.1\nsearch elsewhere.example.org example.org\noptions ndots:2\n";
    let (_home, probes) = with_resolv_conf(text, bind.served.port);
    let asked = async |name: &str| {
        let probe = dns(name, "A", DnsServer::System);
        ask_with(&probes, dns_spec(probe), Duration::from_secs(20)).await
    };
    let relative = asked("db.cluster").await;
    assert_eq!(relative.response, "NOERROR: 192.0.2.4", "one dot of two: the search list is tried");
    let absolute = asked("db.cluster.").await;
    assert_eq!(absolute.reason, Reason::UnexpectedAnswer, "a final dot ends it: {}", absolute.response);
    let explicit = ask(dns_spec(dns("db.cluster", "A", at("127.0.0.1", bind.served.port)))).await;
    assert_eq!(explicit.reason, Reason::UnexpectedAnswer, "an explicit server gets it as written");
}

#[tokio::test]
async fn the_next_of_the_systems_servers_is_asked_when_one_fails() {
    let server = NameServer::start(&[("db.example.", "192.0.2.8")]).await.unwrap();
    // Nobody listens on that port of 127.0.0.2 and 127.0.0.3.
    let text = "nameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.1\n";
    let (_home, probes) = with_resolv_conf(text, server.port());
    let probe = dns("db.example.", "A", DnsServer::System);
    let outcome = ask_with(&probes, dns_spec(probe), Duration::from_secs(20)).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "NOERROR: 192.0.2.8"));
    assert_eq!(outcome.remote_address, Some(SocketAddr::from(([127, 0, 0, 1], server.port()))));
}

#[tokio::test]
async fn a_system_without_name_servers_is_our_fault() {
    let (_home, probes) = with_resolv_conf("# nothing\n", 53);
    let probe = dns("example.org", "A", DnsServer::System);
    let outcome = ask_with(&probes, dns_spec(probe), Duration::from_secs(5)).await;
    assert_eq!(outcome.reason, Reason::ProberFault, "{}", outcome.response);
}

#[tokio::test]
async fn a_family_that_the_server_lacks_is_named() {
    let bind = daemons::bind();
    let mut v6 = dns_spec(dns("www.example.org", "A", at("127.0.0.1", bind.served.port)));
    v6.ip_family = IpFamily::V6;
    let outcome = ask(v6).await;
    assert_eq!(outcome.reason, Reason::InvalidConfiguration, "{}", outcome.response);
    let mut both = dns_spec(dns("www.example.org", "A", at("localhost", bind.served.port)));
    both.ip_family = IpFamily::Both;
    let outcome = ask(both).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}
