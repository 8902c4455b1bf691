//! `icmp` against the kernel, which answers on all of 127.0.0.0/8.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use health_model::{CheckId, CheckSpec, Host, IcmpProbe, IpFamily, Outcome, Probe, ProbeRequest, Prober, Reason};
use health_probes::{ProbesSettings, connect::AddressPolicy};
use health_testkit::daemon::is_root;
use rstest::rstest;

use crate::ask::{ask, ask_with, ask_within, probes, spec};

fn ping(host: &str) -> IcmpProbe {
    IcmpProbe { host: Host::parse(host), count: 3, max_loss_percent: 0, payload_bytes: 56 }
}

fn icmp_spec(probe: IcmpProbe) -> CheckSpec {
    spec(Probe::Icmp(probe))
}

#[rstest]
#[case::v4("127.0.0.1")]
#[case::v4_elsewhere("127.9.8.7")]
#[case::v6("::1")]
#[case::name("localhost")]
#[tokio::test]
async fn a_host_that_is_up_answers_every_request(#[case] host: &str) {
    let outcome = ask(icmp_spec(ping(host))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert!(outcome.response.starts_with("3 of 3 replies, round trip "), "{}", outcome.response);
    assert!(outcome.phases.processing.is_some());
}

#[rstest]
#[case::nothing(0)]
#[case::odd(57)]
#[case::largest_unfragmented(1472)]
#[case::fragmented(9000)]
#[tokio::test]
async fn payloads_come_back_whole(#[case] payload_bytes: u16) {
    for host in ["127.0.0.1", "::1"] {
        let outcome = ask(icmp_spec(IcmpProbe { payload_bytes, ..ping(host) })).await;
        assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    }
}

#[tokio::test]
async fn a_payload_that_no_packet_holds_is_a_mistake_of_the_manifest() {
    let outcome = ask(icmp_spec(IcmpProbe { payload_bytes: 65_535, ..ping("127.0.0.1") })).await;
    assert_eq!(outcome.reason, Reason::InvalidConfiguration, "{}", outcome.response);
    assert!(outcome.response.contains("payloadBytes"), "{}", outcome.response);
}

#[tokio::test]
async fn both_families_are_asked_when_both_are_wanted() {
    let mut both = icmp_spec(ping("localhost"));
    both.ip_family = IpFamily::Both;
    let outcome = ask(both).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}

/// What a process in a network of its own may do there.
const NETWORK: &str = "HEALTH_PROBES_TEST_NETWORK";

/// Silence, missing routes and missing rights need a network of one's own: this test runs itself again in one, without
/// the capability NET_RAW, once where datagram sockets are allowed and once where they are not.
#[tokio::test]
async fn silence_routes_and_rights_are_told_apart() {
    const THIS: &str = "icmp::silence_routes_and_rights_are_told_apart";
    match std::env::var(NETWORK).as_deref() {
        Ok("allowed") => inside_where_it_is_allowed().await,
        Ok(_) => inside_where_it_is_forbidden().await,
        Err(_) => {
            in_a_network_of_its_own(THIS, "0 2147483647", "1", "allowed");
            in_a_network_of_its_own(THIS, "1 0", "1", "forbidden");
        }
    }
}

/// Runs a test of this program again in a network of its own: with these groups allowed to ping, with the kernel silent
/// to IPv4 pings or not, and with [`NETWORK`] saying which.
fn in_a_network_of_its_own(test: &str, groups: &str, silent: &str, kind: &str) {
    const SCRIPT: &str = "set -e; ip link set lo up; ip route add unreachable 203.0.113.0/24
        echo \"$1\" > /proc/sys/net/ipv4/ping_group_range; echo \"$2\" > /proc/sys/net/ipv4/icmp_echo_ignore_all
        shift 2; exec setpriv --bounding-set=-net_raw --inh-caps=-net_raw \"$@\"";
    let rights: &[&str] = if is_root() { &["--net"] } else { &["--user", "--map-root-user", "--net"] };
    let mut command = std::process::Command::new("unshare");
    command.args(rights).args(["--", "sh", "-c", SCRIPT, "sh", groups, silent]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(NETWORK, kind);
    let ran =
        command.output().unwrap_or_else(|error| panic!("unshare ({error}): run `apt-get install util-linux iproute2`"));
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(ran.status.success() && said.contains("1 passed"), "{kind}: {said} (needs iproute2 and user namespaces)");
}

async fn inside_where_it_is_allowed() {
    let answers = ask(icmp_spec(ping("::1"))).await;
    assert_eq!(answers.reason, Reason::Succeeded, "an unprivileged socket: {}", answers.response);
    let started = Instant::now();
    let silent = ask_within(icmp_spec(ping("127.0.0.1")), Duration::from_millis(500)).await;
    assert_eq!((silent.reason, silent.response.as_str()), (Reason::Timeout, "Timeout"));
    assert!(started.elapsed() < Duration::from_secs(5));
    let all_may_be_lost = IcmpProbe { max_loss_percent: 100, ..ping("127.0.0.1") };
    let lost = ask_within(icmp_spec(all_may_be_lost), Duration::from_millis(500)).await;
    assert_eq!((lost.reason, lost.response.as_str()), (Reason::Succeeded, "0 of 3 replies"));
    for address in ["203.0.113.1", "192.0.2.1", "2001:db8::1"] {
        let lost = ask(icmp_spec(ping(address))).await;
        assert_eq!(lost.reason, Reason::Unreachable, "{address}: {}", lost.response);
        assert!(lost.response.contains(address), "{}", lost.response);
    }
}

async fn inside_where_it_is_forbidden() {
    let outcome = ask(icmp_spec(ping("127.0.0.1"))).await;
    assert_eq!(outcome.reason, Reason::ProberFault, "{}", outcome.response);
    for remedy in ["net.ipv4.ping_group_range", "NET_RAW"] {
        assert!(outcome.response.contains(remedy), "{}", outcome.response);
    }
}

#[tokio::test]
async fn the_address_policy_holds() {
    let policy = AddressPolicy::new(&[], &["127.0.0.0/8"]).unwrap();
    let probes =
        health_probes::Probes::new(ProbesSettings { address_policy: policy, ..ProbesSettings::default() }).unwrap();
    let outcome = ask_with(&probes, icmp_spec(ping("127.0.0.1")), Duration::from_secs(5)).await;
    assert_eq!(outcome.reason, Reason::AddressForbidden, "{}", outcome.response);
}

/// A thousand hosts at once, each of them three times, over datagram sockets: not one reply may be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_hosts_at_once_lose_nothing() {
    if std::env::var_os(NETWORK).is_none() {
        return in_a_network_of_its_own("icmp::a_thousand_hosts_at_once_lose_nothing", "0 2147483647", "0", "allowed");
    }
    const HOSTS: usize = 1000;
    let probes = probes();
    let deadline = Instant::now() + Duration::from_secs(30);
    let started = Instant::now();
    let running: Vec<_> = (0..HOSTS)
        .map(|host| {
            let address = format!("127.1.{}.{}", host / 250, 1 + host % 250);
            let spec = Arc::new(icmp_spec(ping(&address)));
            tokio::spawn(probes.probe(ProbeRequest { id: CheckId::new("default", address.as_str()), spec, deadline }))
        })
        .collect();
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(HOSTS);
    for probe in running {
        outcomes.push(probe.await.unwrap());
    }
    let lost: Vec<_> = outcomes.iter().filter(|outcome| !outcome.response.starts_with("3 of 3")).collect();
    assert!(lost.is_empty(), "{} of {HOSTS} lost something: {:?}", lost.len(), lost.first());
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
}
