//! Names into addresses: hosts file, search domains, dots, families, files that change, and what may not be asked.

use std::time::Duration;

use health_model::{IpFamily, Outcome, Reason};
use health_probes::{
    Probes, ProbesSettings,
    connect::{AddressPolicy, ResolverSettings},
};
use health_testkit::{name_server::NameServer, peer::Peer};
use tempfile::TempDir;

use crate::ask::{ask_with, tcp, tcp_spec};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A machine of its own: resolv.conf, hosts, name server.
struct Machine {
    folder: TempDir,
    server: NameServer,
}

impl Machine {
    async fn new(resolv_conf: &str, hosts: &str, records: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = NameServer::start(records).await.unwrap();
        std::fs::write(folder.path().join("resolv.conf"), format!("nameserver 127.0.0.1\n{resolv_conf}\n")).unwrap();
        std::fs::write(folder.path().join("hosts"), hosts).unwrap();
        Self { folder, server }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn probes(&self, allow: &[&str], deny: &[&str]) -> Probes {
        Probes::new(ProbesSettings {
            address_policy: AddressPolicy::new(allow, deny).unwrap(),
            resolver: ResolverSettings {
                resolv_conf: self.file("resolv.conf"),
                hosts: self.file("hosts"),
                name_server_port: self.server.port(),
            },
        })
        .unwrap()
    }

    async fn ask(&self, name: &str, port: u16) -> Outcome {
        ask_with(&self.probes(&[], &[]), tcp_spec(tcp(name, port)), Duration::from_secs(20)).await
    }
}

async fn listener() -> Peer {
    Peer::start("127.0.0.1", |_| async {}).await.unwrap()
}

#[tokio::test]
async fn a_name_in_the_hosts_file_needs_no_name_server() {
    let machine = Machine::new("", "127.0.0.1 Shop shop.internal\n", &[]).await;
    let peer = listener().await;
    for name in ["shop", "SHOP.internal", "shop.internal."] {
        let outcome = machine.ask(name, peer.address.port()).await;
        assert_eq!(outcome.reason, Reason::Succeeded, "{name}: {}", outcome.response);
    }
    assert_eq!(machine.server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn localhost_and_what_is_below_it_is_this_host_whatever_the_files_say() {
    let machine = Machine::new("", "", &[]).await;
    let peer = listener().await;
    for name in ["localhost", "LOCALHOST.", "web.localhost"] {
        let outcome = machine.ask(name, peer.address.port()).await;
        assert_eq!(outcome.reason, Reason::Succeeded, "{name}: {}", outcome.response);
    }
}

#[tokio::test]
async fn a_name_is_resolved_and_the_answer_is_kept() {
    let machine = Machine::new("", "", &[("db.example.", "127.0.0.1")]).await;
    let peer = listener().await;
    let probes = machine.probes(&[], &[]);
    for _ in 0..3 {
        let outcome =
            ask_with(&probes, tcp_spec(tcp("db.example", peer.address.port())), Duration::from_secs(20)).await;
        assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
        assert!(outcome.phases.resolve.is_some());
    }
    let mut asked = machine.server.asked();
    asked.sort();
    assert_eq!(asked, ["A db.example.", "AAAA db.example."]);
}

#[tokio::test]
async fn with_few_dots_the_search_domains_come_first() {
    let machine = Machine::new(
        "search ns.svc.cluster.test svc.cluster.test\noptions ndots:5",
        "",
        &[("db.svc.cluster.test.", "127.0.0.1")],
    )
    .await;
    let peer = listener().await;
    let outcome = machine.ask("db", peer.address.port()).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    let asked = machine.server.asked();
    assert!(asked[..2].iter().all(|question| question.ends_with(" db.ns.svc.cluster.test.")), "{asked:?}");
    assert!(asked[2..].iter().all(|question| question.ends_with(" db.svc.cluster.test.")), "{asked:?}");
}

#[tokio::test]
async fn with_enough_dots_the_name_itself_comes_first() {
    let machine = Machine::new("search svc.cluster.test\noptions ndots:1", "", &[("db.example.", "127.0.0.1")]).await;
    let outcome = machine.ask("db.example", listener().await.address.port()).await;
    assert_ne!(outcome.reason, Reason::NameNotResolved);
    assert!(machine.server.asked().iter().all(|question| question.ends_with(" db.example.")));
}

#[tokio::test]
async fn a_final_dot_makes_a_name_absolute() {
    let machine =
        Machine::new("search svc.cluster.test\noptions ndots:5", "", &[("db.svc.cluster.test.", "127.0.0.1")]).await;
    let outcome = machine.ask("db.", 9).await;
    assert_eq!(outcome.reason, Reason::NameNotResolved);
    assert!(machine.server.asked().iter().all(|question| question.ends_with(" db.")), "{:?}", machine.server.asked());
}

#[tokio::test]
async fn a_name_that_nobody_knows_says_so() {
    let machine = Machine::new("", "", &[]).await;
    let outcome = machine.ask("nobody.example", 9).await;
    assert_eq!(outcome.reason, Reason::NameNotResolved);
    assert!(outcome.response.starts_with("nobody.example does not resolve: no such name"), "{}", outcome.response);
}

#[tokio::test]
async fn a_name_server_that_fails_is_told_from_a_name_that_is_missing() {
    let machine = Machine::new("", "", &[("broken.example.", "SERVFAIL")]).await;
    let outcome = machine.ask("broken.example", 9).await;
    assert_eq!(outcome.reason, Reason::NameNotResolved);
    assert!(outcome.response.contains("the name server failed"), "{}", outcome.response);
}

#[tokio::test]
async fn a_silent_name_server_ends_at_the_deadline() {
    let machine = Machine::new("", "", &[("silent.example.", "silent")]).await;
    let spec = tcp_spec(tcp("silent.example", 9));
    let outcome = ask_with(&machine.probes(&[], &[]), spec, Duration::from_millis(300)).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Timeout, "Timeout"));
    let attempts = &outcome.evidence.unwrap().attempts;
    assert!(attempts[0].contains("resolving the name"), "{attempts:?}");
}

#[tokio::test]
async fn a_name_server_that_keeps_silent_about_one_family_does_not_hold_up_the_other() {
    let machine = Machine::new("", "", &[("half.example.", "127.0.0.1"), ("half.example.", "silent-AAAA")]).await;
    let peer = listener().await;
    let outcome = machine.ask("half.example", peer.address.port()).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert!(outcome.duration < Duration::from_secs(2), "{:?}", outcome.duration);
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    // Nobody listens on the first two: 127.0.0.2 is this host too, with no listener on that port.
    let records = [
        ("many.example.", "127.0.0.2"),
        ("many.example.", "127.0.0.3"),
        ("many.example.", "127.0.0.1"),
        ("many.example.", "::1"),
    ];
    let machine = Machine::new("", "", &records).await;
    let peer = listener().await;
    let outcome = machine.ask("many.example", peer.address.port()).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert_eq!(outcome.remote_address, Some(peer.address));
}

#[tokio::test]
async fn both_families_of_a_name_with_one_is_not_resolved_and_names_the_family() {
    let machine = Machine::new("", "", &[("four.example.", "127.0.0.1")]).await;
    let peer = listener().await;
    let mut spec = tcp_spec(tcp("four.example", peer.address.port()));
    spec.ip_family = IpFamily::Both;
    let outcome = ask_with(&machine.probes(&[], &[]), spec, Duration::from_secs(20)).await;
    assert_eq!(outcome.reason, Reason::NameNotResolved);
    assert!(outcome.response.contains("four.example has no IPv6 address"), "{}", outcome.response);
}

#[tokio::test]
async fn a_changed_hosts_file_is_read_again() {
    let machine = Machine::new("", "127.0.0.2 moved\n", &[]).await;
    let peer = listener().await;
    let probes = machine.probes(&[], &[]);
    let spec = || tcp_spec(tcp("moved", peer.address.port()));
    assert_eq!(ask_with(&probes, spec(), Duration::from_secs(20)).await.reason, Reason::ConnectionRefused);
    std::fs::write(machine.file("hosts"), "127.0.0.1 moved\n").unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let outcome = ask_with(&probes, spec(), Duration::from_secs(20)).await;
        if outcome.reason == Reason::Succeeded {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the change was never seen: {}", outcome.response);
    }
}

#[tokio::test]
async fn without_resolv_conf_the_failure_says_what_is_missing() {
    let machine = Machine::new("", "", &[]).await;
    std::fs::remove_file(machine.file("resolv.conf")).unwrap();
    let outcome = machine.ask("db.example", 9).await;
    assert_eq!(outcome.reason, Reason::NameNotResolved);
    assert!(outcome.response.contains("resolv.conf"), "{}", outcome.response);
}

#[tokio::test]
async fn a_text_that_is_no_name_is_a_configuration_error() {
    let machine = Machine::new("", "", &[]).await;
    let outcome = machine.ask(&"a".repeat(80), 9).await;
    assert_eq!(outcome.reason, Reason::InvalidConfiguration, "{}", outcome.response);
}

#[tokio::test]
async fn what_a_name_resolves_to_is_judged_by_the_address_policy() {
    let machine =
        Machine::new("", "", &[("rebound.example.", "127.0.0.1"), ("meta.example.", "::ffff:169.254.169.254")]).await;
    let peer = listener().await;
    let port = peer.address.port();
    let denied = machine.probes(&[], &["127.0.0.0/8"]);
    for name in ["rebound.example", "127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"] {
        let outcome = ask_with(&denied, tcp_spec(tcp(name, port)), Duration::from_secs(20)).await;
        assert_eq!(outcome.reason, Reason::AddressForbidden, "{name}: {}", outcome.response);
        assert!(outcome.response.contains("127.0.0.0/8"), "{}", outcome.response);
    }
    let outcome = machine.ask("meta.example", 80).await;
    assert_eq!(outcome.reason, Reason::AddressForbidden, "{}", outcome.response);
    assert_eq!(peer.accepted(), 0);
}

#[tokio::test]
async fn a_name_loses_the_addresses_that_are_forbidden() {
    let machine = Machine::new("", "", &[("mixed.example.", "127.0.0.2"), ("mixed.example.", "127.0.0.1")]).await;
    let peer = listener().await;
    let probes = machine.probes(&[], &["127.0.0.2"]);
    let outcome = ask_with(&probes, tcp_spec(tcp("mixed.example", peer.address.port())), PATIENCE).await;
    assert_eq!((outcome.reason, outcome.remote_address), (Reason::Succeeded, Some(peer.address)));
}

#[tokio::test]
async fn a_name_that_moves_to_a_forbidden_address_is_not_followed_there() {
    let machine = Machine::new("", "127.0.0.1 rebound\n", &[]).await;
    let peer = listener().await;
    let port = peer.address.port();
    let forbidden = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let probes = machine.probes(&[], &["127.0.0.2"]);
    let ask = || ask_with(&probes, tcp_spec(tcp("rebound", port)), PATIENCE);
    assert_eq!(ask().await.reason, Reason::Succeeded);
    std::fs::write(machine.file("hosts"), "127.0.0.2 rebound\n").unwrap();
    let deadline = std::time::Instant::now() + 2 * PATIENCE;
    loop {
        let outcome = ask().await;
        if outcome.reason == Reason::AddressForbidden {
            assert_eq!(outcome.response, "127.0.0.2 (rebound) is denied by the rule 127.0.0.2");
            break;
        }
        assert_eq!(outcome.remote_address, Some(peer.address));
        assert!(std::time::Instant::now() < deadline, "the change was never seen: {}", outcome.response);
    }
    let nobody = tokio::time::timeout(Duration::from_millis(1), forbidden.accept()).await;
    assert!(nobody.is_err(), "somebody connected to the forbidden address");
}

/// A listener that accepts nobody and whose queue is full, so that the kernel swallows what else comes.
async fn silent(address: &str) -> (tokio::net::TcpListener, Vec<tokio::net::TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v6().unwrap();
    socket.bind(address.parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let at = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(at)).await
    {
        held.push(stream);
        assert!(held.len() < 64, "its queue is never full");
    }
    (listener, held)
}

#[tokio::test]
async fn a_silent_address_does_not_hold_up_a_live_one() {
    let machine = Machine::new("", "", &[("half.example.", "::1"), ("half.example.", "127.0.0.1")]).await;
    let (silent, _held) = silent("[::1]:0").await;
    let port = silent.local_addr().unwrap().port();
    let live = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let outcome = machine.ask("half.example", port).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert_eq!(outcome.remote_address, live.local_addr().ok());
    let mut both = tcp_spec(tcp("half.example", port));
    both.ip_family = IpFamily::Both;
    let outcome = ask_with(&machine.probes(&[], &[]), both, Duration::from_secs(1)).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Timeout, "Timeout (over IPv6)"));
}
