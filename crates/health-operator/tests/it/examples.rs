//! Each example of a probe, asked for real: the file as it stands, its port alone changed to that of a server of its kind.

use std::{fs, net::UdpSocket, path::Path};

use health_testkit::{
    daemon::free_port,
    daemons::{self, Served},
};
use rstest::rstest;

use crate::operator::program;

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
