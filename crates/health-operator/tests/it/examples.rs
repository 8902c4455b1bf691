//! Each example of a probe, asked for real: the file as it stands, its port alone changed to that of a server of its kind.

use std::{fs, net::UdpSocket, path::Path};

use health_testkit::{
    certificates::Authority,
    daemon::free_port,
    daemons::{self, Served},
};
use rstest::rstest;

use crate::operator::{Manifests, Operator, program};

/// Probes an example once, with `written` (which it must hold) replaced, trusting these roots.
fn probe(example: &str, replaced: &[(&str, String)], ca_pem: &str) -> (i32, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example);
    let mut text = fs::read_to_string(&path).unwrap();
    for (written, replacement) in replaced {
        assert!(text.contains(written), "{example} holds no {written:?}");
        text = text.replace(written, replacement);
    }
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(example);
    fs::write(&file, text).unwrap();
    let roots = home.path().join("roots.pem");
    fs::write(&roots, ca_pem).unwrap();
    let output = program().args(["probe", "-f"]).arg(&file).env("SSL_CERT_FILE", roots).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

#[rstest]
#[case::tcp("tcp.yaml", "port: 5432", "port: ", || daemons::postgres(true))]
#[case::dialogue("tcp-dialogue.yaml", "port: 25\n", "port: ", daemons::exim)]
#[case::starttls("tcp-starttls.yaml", "port: 25\n", "port: ", daemons::exim)]
#[case::dns("dns.yaml", "127.0.0.1:53\n", "127.0.0.1:", || daemons::bind().served)]
#[case::grpc("grpc.yaml", "port: 50051", "port: ", daemons::grpc_basket)]
#[case::websocket("websocket.yaml", "127.0.0.1:8000", "127.0.0.1:", || daemons::websockets(false))]
fn an_example_is_healthy_where_its_server_runs_and_not_where_none_does(
    #[case] example: &str,
    #[case] written: &str,
    #[case] before: &str,
    #[case] start: impl FnOnce() -> Served,
) {
    let end = if written.ends_with('\n') { "\n" } else { "" };
    let at = |port: u16| [(written, format!("{before}{port}{end}"))];
    let server = start();
    let (code, said) = probe(example, &at(server.port), &server.ca_pem);
    assert_eq!(code, 0, "{said}\n{}", server.daemon.output());
    let (code, said) = probe(example, &at(free_port().unwrap()), &server.ca_pem);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("ConnectionRefused"), "{said}");
}

#[test]
fn the_example_of_udp_hears_its_echo() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..length], from).unwrap();
    });
    let (code, said) = probe("udp.yaml", &[("port: 7\n", format!("port: {port}\n"))], "");
    assert_eq!(code, 0, "{said}");
    echo.join().unwrap();
    let (code, said) = probe("udp.yaml", &[("port: 7\n", format!("port: {port}\n"))], "");
    assert_eq!(code, 1, "{said}");
}

#[test]
fn the_example_of_icmp_is_answered_by_this_machine() {
    let (code, said) = probe("icmp.yaml", &[], "");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("5 of 5 replies"), "{said}");
    assert!(said.contains(" (IPv") && !said.contains(":0 (IPv"), "there is no port to show: {said}");
}

#[test]
fn the_example_of_a_refusal_is_healthy_only_without_a_listener() {
    let (code, said) = probe("tcp-refused.yaml", &[("port: 23", format!("port: {}", free_port().unwrap()))], "");
    assert_eq!(code, 0, "{said}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (code, said) = probe("tcp-refused.yaml", &[("port: 23", format!("port: {port}"))], "");
    assert_eq!(code, 1, "{said}");
}

/// The manifest of an authority, as a block of a YAML document.
fn indented(pem: &str) -> String {
    pem.lines().map(|line| format!("    {line}\n")).collect()
}

#[rstest]
#[case::plain("http.yaml", 1)]
#[case::in_full("http-in-full.yaml", 1)]
#[case::flat("flat.yaml", 1)]
#[case::maintenance("maintenance.yaml", 2)]
fn an_example_of_http_is_healthy_where_nginx_answers_and_not_where_nobody_does(
    #[case] example: &str,
    #[case] checks: usize,
) {
    let server = daemons::nginx();
    let at = |port: u16| {
        let page = ("127.0.0.1:8000", format!("127.0.0.1:{port}"));
        let edge = ("port: 80}", format!("port: {port}}}"));
        [vec![page], if checks == 2 { vec![edge] } else { Vec::new() }].concat()
    };
    let (code, said) = probe(example, &at(server.served.port), "");
    assert_eq!(code, 0, "{said}\n{}", server.served.daemon.output());
    assert_eq!(said.matches("✓ healthy").count(), checks, "{said}");
    let (code, said) = probe(example, &at(free_port().unwrap()), "");
    assert_eq!(code, 1, "{said}");
    assert_eq!(said.matches("✗ not healthy: ConnectionRefused").count(), checks, "{said}");
}

#[test]
fn the_example_of_http_in_full_is_refused_without_its_key() {
    let server = daemons::nginx();
    let replaced = [
        ("127.0.0.1:8000", format!("127.0.0.1:{}", server.served.port)),
        ("api-key: \"change-me\"", "api-key: \"another\"".to_owned()),
    ];
    let (code, said) = probe("http-in-full.yaml", &replaced, "");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("403 Forbidden: expected 200"), "{said}");
}

#[test]
fn the_example_of_https_trusts_the_authority_it_is_given_and_no_other() {
    let server = daemons::nginx();
    let written =
        "    -----BEGIN CERTIFICATE-----\n    put the authority's certificate here\n    -----END CERTIFICATE-----\n";
    let with = |ca_pem: &str| {
        let at = ("localhost:8443", format!("localhost:{}", server.tls_port));
        probe("https-certificate.yaml", &[at, (written, indented(ca_pem))], "")
    };
    let (code, said) = with(&server.served.ca_pem);
    assert_eq!(code, 0, "{said}");
    let (code, said) = with(&Authority::root("Another").unwrap().pem());
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("CertificateUntrusted"), "{said}");
}

#[test]
fn the_example_of_a_heartbeat_takes_reports_with_its_token_alone_also_after_a_restart() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/heartbeat.yaml");
    let manifests = Manifests::new().with("heartbeat.yaml", &fs::read_to_string(example).unwrap());
    let state = tempfile::tempdir().unwrap();
    let start = || Operator::start_with(&manifests.path(), |command| command.arg("--state-dir").arg(state.path()));
    let path = "/api/v1/heartbeats/default/backup";
    let mut operator = start();
    operator.wait_for_message("following the folder");
    for token in [None, Some("change-m"), Some("change-me2"), Some("")] {
        assert_eq!(operator.report(path, token), 401, "{token:?}");
    }
    assert_eq!(operator.healthchecks()["backup"]["response"], "Pending");
    assert_eq!(operator.report(path, Some("change-me")), 202);
    operator.healthchecks_until("the report to be taken in", |checks| checks["backup"]["healthy"] == true);
    let check: serde_json::Value = serde_json::from_str(&operator.rest("/api/v1/checks/default/backup").1).unwrap();
    assert_eq!(check.get("responseTimeSeconds"), None, "nothing was measured: {check}");
    operator.stop();

    let mut operator = start();
    operator.wait_for_message("following the folder");
    let check: serde_json::Value = serde_json::from_str(&operator.rest("/api/v1/checks/default/backup").1).unwrap();
    assert_eq!((&check["healthy"], &check["reason"]), (&true.into(), &"Succeeded".into()), "{check}");
    assert_eq!(operator.report(path, Some("wrong")), 401);
    assert_eq!(operator.report(&format!("{path}?healthy=false&response=disk%20full"), Some("change-me")), 202);
    let checks = operator.healthchecks_until("the bad report", |checks| checks["backup"]["healthy"] == false);
    assert_eq!(checks["backup"]["response"], "disk full");
    operator.stop();
}
