//! What `probe TARGET` understands.

use health_manifests::check_from_target;
use rstest::rstest;

#[rstest]
#[case("http://example.org", "http://example.org/")]
#[case("https://example.org/health?x=1", "https://example.org/health?x=1")]
#[case("HTTPS://example.org", "https://example.org/")]
#[case("ws://example.org/live", "ws://example.org/live")]
#[case("wss://example.org", "wss://example.org/")]
#[case("tcp://example.org:25", "tcp://example.org:25")]
#[case("tcp://[::1]:25", "tcp://[::1]:25")]
#[case("tls://example.org:8443", "tls://example.org:8443")]
#[case("tls://example.org", "tls://example.org:443")]
#[case("tls://[::1]", "tls://[::1]:443")]
#[case("dns://9.9.9.9/example.org?type=MX", "dns://9.9.9.9/example.org?type=MX")]
#[case("dns://9.9.9.9:5353/example.org", "dns://9.9.9.9:5353/example.org?type=A")]
#[case("dns:///example.org?type=aaaa", "dns:///example.org?type=AAAA")]
#[case("dns://example.org", "dns:///example.org?type=A")]
#[case("grpc://localhost:50051/shop.v1.Shop", "grpc://localhost:50051/shop.v1.Shop")]
#[case("grpcs://localhost:50051", "grpcs://localhost:50051/")]
#[case("icmp://gateway", "icmp://gateway")]
#[case("icmp://::1", "icmp://::1")]
#[case("udp://localhost:53", "udp://localhost:53")]
fn a_target_becomes_a_check_of_it(#[case] written: &str, #[case] target: &str) {
    assert_eq!(check_from_target(written).unwrap().probe.target(), target);
}

#[rstest]
#[case(
    "example.org",
    "TARGET: names no scheme; put http, https, ws, wss, tcp, tls, dns, grpc, grpcs, icmp or udp and :// in front (value: \"example.org\")"
)]
#[case(
    "gopher://example.org",
    "TARGET: has an unknown scheme; write http, https, ws, wss, tcp, tls, dns, grpc, grpcs, icmp or udp (value: \"gopher://example.org\")"
)]
#[case(
    "tcp://example.org",
    "TARGET: names no port; write host:port, as in tcp://example.org:443 or tcp://[::1]:443 (value: \"tcp://example.org\")"
)]
#[case(
    "tcp://example.org:0",
    "TARGET: names no port; write host:port, as in tcp://example.org:443 or tcp://[::1]:443 (value: \"tcp://example.org:0\")"
)]
#[case(
    "http://",
    "TARGET: is no http or https address; write one like https://example.org/health (value: \"http://\")"
)]
#[case(
    "https://me:secret@exa mple.org",
    "TARGET: is no address (invalid international domain name); write one like https://example.org/health (value: \"https://exa mple.org\")"
)]
#[case(
    "dns://9.9.9.9/example.org?type=AAA",
    "TARGET: is no known word; write one of A, AAAA, CAA, CNAME, DNSKEY, DS, HINFO, HTTPS, MX, NAPTR, NS, PTR, SOA, SRV, SSHFP, SVCB, TLSA, TXT (value: \"dns://9.9.9.9/example.org\")"
)]
#[case(
    "",
    "TARGET: names no scheme; put http, https, ws, wss, tcp, tls, dns, grpc, grpcs, icmp or udp and :// in front (value: \"\")"
)]
fn a_target_that_cannot_be_asked_says_what_to_write(#[case] written: &str, #[case] sentence: &str) {
    assert_eq!(check_from_target(written).unwrap_err().sentence(), sentence);
}
