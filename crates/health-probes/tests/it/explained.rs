//! What is said of each failure, all of it in one table (`explained.txt`), to be read as somebody reads it at three in the
//! morning: what was expected, what came, where, and what to do about it. `BLESS=1` writes the table anew.

use std::{fmt::Write as _, future::Future, path::Path, pin::Pin, time::Duration};

use health_model::{
    Assertion, CelExpression, CheckSpec, DialogueStep, DnsTransport, HeaderExpectation, HeaderRule, HttpProbe,
    HttpProxy, HttpVersion, IpFamily, JsonExpectation, JsonPath, JsonRule, Outcome, Pattern, Reason, Search,
    SearchMatcher, StartTls, TcpProbe, TlsOptions, TlsVersion,
};
use health_probes::{Probes, ProbesSettings, connect::AddressPolicy};
use health_testkit::{
    certificates::{Authority, Issued, Validity, Wanted},
    peer::{Peer, read_head},
};
use tokio::{io::AsyncWriteExt, net::TcpListener};
use url::Url;

use crate::{
    ask::{ask, ask_with, ask_within, get, http_spec, tcp, tcp_spec},
    dns, grpc, starttls, udp, websocket,
};

type Asking = Pin<Box<dyn Future<Output = Outcome>>>;
type Line = (&'static str, Asking);

/// A line of the table: what is the matter, and how it comes about.
fn line(what: &'static str, asking: impl Future<Output = Outcome> + 'static) -> Line {
    (what, Box::pin(asking))
}

async fn answer(answer: &'static str, change: impl FnOnce(&mut HttpProbe)) -> Outcome {
    let peer = Peer::answering(answer).await.unwrap();
    let mut probe = get(&format!("http://{}/", peer.address));
    change(&mut probe);
    ask(http_spec(probe)).await
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world";
const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"up\"}";

fn search(text: &str, absent: bool) -> Option<Search> {
    Some(Search { matcher: SearchMatcher::Text(text.to_owned()), absent })
}

fn header(rule: HeaderRule) -> Vec<HeaderExpectation> {
    vec![HeaderExpectation { name: "Content-Type".to_owned(), rule }]
}

fn json(rule: JsonRule) -> Vec<JsonExpectation> {
    vec![JsonExpectation { path: JsonPath::new("$.status").unwrap(), rule }]
}

fn assertion(source: &str, message: Option<&str>) -> Vec<Assertion> {
    vec![Assertion { expression: CelExpression::new(source).unwrap(), message: message.map(str::to_owned) }]
}

async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn http_lines() -> Vec<Line> {
    const FOUND: &str = "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
    const FTP: &str = "HTTP/1.1 302 Found\r\nLocation: ftp://a.example/\r\nContent-Length: 0\r\n\r\n";
    const CERTIFICATE: &str =
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 37\r\n\r\nNo required SSL certificate was sent.";
    vec![
        line("a server error", answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", |_| {})),
        line("credentials wanted", answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", |_| {})),
        line(
            "credentials refused",
            answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", |probe| {
                probe.auth = Some(health_model::HttpAuth::Bearer("t0ken".into()));
            }),
        ),
        line("a redirect that is not followed", answer(FOUND, |probe| probe.follow_redirects = false)),
        line("a redirect loop", answer(FOUND, |_| {})),
        line("a redirect to another scheme", answer(FTP, |_| {})),
        line("rate limited", answer("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n", |_| {})),
        line("a text that is missing", answer(HELLO, |probe| probe.search = search("ready", false))),
        line("a text that should be absent", answer(HELLO, |probe| probe.search = search("hello", true))),
        line(
            "an expression that does not match",
            answer(HELLO, |probe| {
                let matcher = SearchMatcher::Expression(Pattern::new("^ready$").unwrap());
                probe.search = Some(Search { matcher, absent: false });
            }),
        ),
        line(
            "a header that differs",
            answer(HELLO, |probe| probe.expected_headers = header(HeaderRule::Value("text/html".into()))),
        ),
        line("a header that is missing", answer(JSON, |probe| probe.expected_headers = header(HeaderRule::Present))),
        line("JSON that differs", answer(JSON, |probe| probe.expected_json = json(JsonRule::Value("down".into())))),
        line("no JSON at all", answer(HELLO, |probe| probe.expected_json = json(JsonRule::Present))),
        line(
            "an assertion that does not hold",
            answer(JSON, |probe| probe.assertions = assertion("response.json.status == 'down'", None)),
        ),
        line(
            "an assertion with words of its own",
            answer(JSON, |probe| probe.assertions = assertion("response.status == 201", Some("nothing was created"))),
        ),
        line(
            "an assertion that cannot be evaluated",
            answer(JSON, |probe| probe.assertions = assertion("response.json.queue < 3", None)),
        ),
        line(
            "a body that is too large",
            answer(HELLO, |probe| {
                probe.max_body_bytes = 10;
                probe.search = search("ready", false);
            }),
        ),
        line("no answer", answer("", |_| {})),
        line("half an answer", answer("HTTP/1.1 200 OK\r\nContent-", |_| {})),
        line(
            "a body that is shorter than announced",
            answer("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nab", |_| {}),
        ),
        line("a mail server", answer("220 mail.example ESMTP\r\n", |_| {})),
        line("SSH", answer("SSH-2.0-OpenSSH_9.2\r\n", |_| {})),
        line("TLS where plain HTTP is asked", answer("\x15\x03\x01\x00\x02\x02\x46", |_| {})),
        line(
            "a body that is no gzip",
            answer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab", |probe| {
                probe.search = search("a", false);
            }),
        ),
        line("H2C where only HTTP/1.1 is spoken", answer(HELLO, |probe| probe.version = HttpVersion::H2c)),
        line("HTTP2 without TLS", answer(HELLO, |probe| probe.version = HttpVersion::Http2)),
        line("a page that asks for a client certificate", answer(CERTIFICATE, |_| {})),
        line("a slow answer", async {
            let peer = Peer::answering(HELLO).await.unwrap();
            let mut spec = http_spec(get(&format!("http://{}/", peer.address)));
            spec.max_latency = Some(Duration::from_nanos(1));
            ask(spec).await
        }),
        line("a proxy that wants other credentials", async {
            let proxy = Peer::answering("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
            let url = Url::parse(&format!("http://{}/", proxy.address)).unwrap();
            let proxy_of = HttpProxy { url, credentials: None };
            ask(http_spec(HttpProbe { proxy: Some(proxy_of), ..get("https://shop.example/") })).await
        }),
        line("a proxy that is away", async {
            let url = Url::parse(&format!("http://127.0.0.1:{}/", closed_port().await)).unwrap();
            ask(http_spec(HttpProbe {
                proxy: Some(HttpProxy { url, credentials: None }),
                ..get("https://shop.example/")
            }))
            .await
        }),
        line("a token server that is away", async {
            let oauth = health_model::OAuth2 {
                token_url: Url::parse(&format!("http://127.0.0.1:{}/", closed_port().await)).unwrap(),
                client_id: "client".into(),
                client_secret: "s3cret".into(),
                scopes: Vec::new(),
            };
            ask(http_spec(HttpProbe { auth: Some(health_model::HttpAuth::OAuth2(oauth)), ..get("http://127.0.0.1/") }))
                .await
        }),
    ]
}

fn connection_lines() -> Vec<Line> {
    vec![
        line("nobody listens", async { ask(tcp_spec(tcp("127.0.0.1", closed_port().await))).await }),
        line("nobody listens in one of both families", async {
            let peer = Peer::start("127.0.0.1", |_| async {}).await.unwrap();
            let mut spec = tcp_spec(tcp("localhost", peer.address.port()));
            spec.ip_family = IpFamily::Both;
            ask(spec).await
        }),
        line("nobody listens in either family", async { ask(tcp_spec(tcp("localhost", closed_port().await))).await }),
        line("an address of the other family", async {
            let mut spec = tcp_spec(tcp("127.0.0.1", 9));
            spec.ip_family = IpFamily::V6;
            ask(spec).await
        }),
        line("silence", async {
            let peer = Peer::start("127.0.0.1", hold).await.unwrap();
            ask_within(http_spec(get(&format!("http://{}/", peer.address))), Duration::from_millis(300)).await
        }),
        line("a forbidden address", async { ask(tcp_spec(tcp("169.254.169.254", 80))).await }),
        line("an address that a rule forbids", async {
            let address_policy = AddressPolicy::new(&[] as &[&str], &["127.0.0.0/8"]).unwrap();
            let probes = Probes::new(ProbesSettings { address_policy, ..ProbesSettings::default() }).unwrap();
            ask_with(&probes, tcp_spec(tcp("127.0.0.1", 80)), Duration::from_secs(20)).await
        }),
        line("an acceptance where a refusal was expected", async {
            let peer = Peer::start("127.0.0.1", |_| async {}).await.unwrap();
            ask(tcp_spec(TcpProbe { expect_refused: true, ..tcp("127.0.0.1", peer.address.port()) })).await
        }),
        line("a dialogue that ends without its answer", async {
            let peer = starttls::scripted(b"554 go away\r\n", &[]).await;
            let step = DialogueStep { send: None, expect: Some(Pattern::multi_line("^220 ").unwrap()) };
            ask(tcp_spec(TcpProbe { dialogue: vec![step], ..tcp("127.0.0.1", peer.address.port()) })).await
        }),
        line("a dialogue that ends without a word", async {
            let peer = starttls::scripted(b"", &[]).await;
            let step = DialogueStep { send: None, expect: Some(Pattern::multi_line("^220 ").unwrap()) };
            ask(tcp_spec(TcpProbe { dialogue: vec![step], ..tcp("127.0.0.1", peer.address.port()) })).await
        }),
        line("a mail server without STARTTLS", start_tls(StartTls::Smtp, b"220 hi\r\n", &[b"250 SIZE\r\n"])),
        line("a mail server that is busy", start_tls(StartTls::Smtp, b"421 too busy\r\n", &[])),
        line("an LDAP port that speaks HTTP", start_tls(StartTls::Ldap, b"HTTP/1.1 400 Bad Request\r\n\r\n", &[])),
        line("a mail server that hangs up", start_tls(StartTls::Smtp, b"", &[])),
    ]
}

async fn hold(mut stream: tokio::net::TcpStream) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

async fn start_tls(protocol: StartTls, greeting: &'static [u8], answers: &'static [&'static [u8]]) -> Outcome {
    let peer = starttls::scripted(greeting, answers).await;
    let tls = TlsOptions { enabled: true, ..TlsOptions::default() };
    ask(tcp_spec(TcpProbe { start_tls: Some(protocol), tls, ..tcp("127.0.0.1", peer.address.port()) })).await
}

const NAMES: &[&str] = &["shop.example", "127.0.0.1"];

async fn presented(issued: Issued, clients: Option<Authority>, tls: TlsOptions, days: Option<u32>) -> Outcome {
    let config = issued.server(&[], clients.as_ref()).unwrap();
    let peer = Peer::start_tls(config, |mut stream| async move {
        let _ = stream.write_all(b"hi\r\n").await;
        let _ = stream.shutdown().await;
    })
    .await
    .unwrap();
    let dialogue = vec![DialogueStep { send: None, expect: Some(Pattern::multi_line("hi").unwrap()) }];
    let probe = TcpProbe { tls, dialogue, certificate_expiry_days: days, ..tcp("127.0.0.1", peer.address.port()) };
    ask(tcp_spec(probe)).await
}

async fn of_a_root(validity: Validity, names: &'static [&'static str], days: Option<u32>) -> Outcome {
    let root = Authority::root("Example Root").unwrap();
    let tls = TlsOptions { enabled: true, ca_pem: Some(root.pem().as_str().into()), ..TlsOptions::default() };
    presented(root.issue(&Wanted { validity, ..Wanted::server(names) }).unwrap(), None, tls, days).await
}

async fn untrusted(issued: Issued) -> Outcome {
    let ours = Authority::root("Our Root").unwrap().pem();
    let tls = TlsOptions { enabled: true, ca_pem: Some(ours.as_str().into()), ..TlsOptions::default() };
    presented(issued, None, tls, None).await
}

async fn raw_tls(answer: &'static [u8]) -> Outcome {
    let peer = Peer::start("127.0.0.1", move |mut stream| async move {
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 2048]).await;
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
        hold(stream).await;
    })
    .await
    .unwrap();
    let tls = TlsOptions { enabled: true, ..TlsOptions::default() };
    ask(tcp_spec(TcpProbe { tls, ..tcp("127.0.0.1", peer.address.port()) })).await
}

fn tls_lines() -> Vec<Line> {
    let root = || Authority::root("Stranger").unwrap();
    vec![
        line("expired", of_a_root(Validity::Past, NAMES, None)),
        line("not valid yet", of_a_root(Validity::Future, NAMES, None)),
        line("another name", of_a_root(Validity::Now, &["other.example"], None)),
        line("no name at all", of_a_root(Validity::Now, &[], None)),
        line("expiring soon", of_a_root(Validity::Now, NAMES, Some(40_000))),
        line("self-signed", async { untrusted(Issued::self_signed(&Wanted::server(NAMES)).unwrap()).await }),
        line("an unknown issuer", async move { untrusted(root().issue(&Wanted::server(NAMES)).unwrap()).await }),
        line("an incomplete chain", async move {
            let mut issued = root().below("Middle", Validity::Now).unwrap().issue(&Wanted::server(NAMES)).unwrap();
            issued.chain.truncate(1);
            untrusted(issued).await
        }),
        line("a client certificate wanted", async {
            let root = Authority::root("Example Root").unwrap();
            let tls = TlsOptions { enabled: true, ca_pem: Some(root.pem().as_str().into()), ..TlsOptions::default() };
            presented(root.issue(&Wanted::server(NAMES)).unwrap(), Some(root), tls, None).await
        }),
        line("no TLS on this port", raw_tls(b"220 mail.example ESMTP\r\n")),
        line("hung up in the handshake", raw_tls(b"")),
        line("too old a protocol (alert)", raw_tls(b"\x15\x03\x01\x00\x02\x02\x46")),
        line("a server name nobody knows (alert)", raw_tls(b"\x15\x03\x01\x00\x02\x02\x70")),
        line("no cipher suite in common (alert)", raw_tls(b"\x15\x03\x01\x00\x02\x02\x28")),
        line("TLS 1.3 demanded of a TLS 1.2 server (alert)", async {
            let peer = Peer::start("127.0.0.1", move |mut stream| async move {
                let _ = stream.write_all(b"\x15\x03\x03\x00\x02\x02\x46").await;
                hold(stream).await;
            })
            .await
            .unwrap();
            let tls = TlsOptions { enabled: true, min_version: TlsVersion::V1_3, ..TlsOptions::default() };
            ask(tcp_spec(TcpProbe { tls, ..tcp("127.0.0.1", peer.address.port()) })).await
        }),
    ]
}

async fn http_only(answer: &'static str) -> Peer {
    Peer::start("127.0.0.1", move |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        hold(stream).await;
    })
    .await
    .unwrap()
}

async fn datagram(answer: &'static [u8], spec: impl FnOnce(u16) -> CheckSpec) -> Outcome {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let answering = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(answer, from).await;
        }
    });
    let outcome = ask(spec(port)).await;
    answering.abort();
    outcome
}

fn other_lines() -> Vec<Line> {
    vec![
        line("a WebSocket that is refused", async {
            let peer = http_only("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
            ask(websocket::websocket_spec(websocket::websocket(&format!("ws://{}/", peer.address)))).await
        }),
        line("a WebSocket that redirects", async {
            let peer = http_only("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n").await;
            ask(websocket::websocket_spec(websocket::websocket(&format!("ws://{}/", peer.address)))).await
        }),
        line("no WebSocket", async {
            let peer = http_only("SSH-2.0-OpenSSH_9.2\r\n").await;
            ask(websocket::websocket_spec(websocket::websocket(&format!("ws://{}/", peer.address)))).await
        }),
        line("a datagram to nobody", async {
            ask(udp::udp_spec("127.0.0.1", closed_port().await, b"x", Some("y"))).await
        }),
        line(
            "a datagram answered otherwise",
            datagram(b"no such thing", |port| udp::udp_spec("127.0.0.1", port, b"x", Some("^ok"))),
        ),
        line("a name server where nobody listens", async {
            ask(dns::dns_spec(dns::dns("www.example.org", "A", dns::at("127.0.0.1", closed_port().await)))).await
        }),
        line("a name server that speaks HTTP", async {
            let peer = starttls::scripted(b"HTTP/1.1 400 Bad Request\r\n\r\n", &[]).await;
            let mut probe = dns::dns("www.example.org", "A", dns::at("127.0.0.1", peer.address.port()));
            probe.transport = DnsTransport::Tcp;
            ask(dns::dns_spec(probe)).await
        }),
        line("a gRPC service that is down", async {
            let peer = grpc::obedient().await;
            ask(grpc::grpc_spec(grpc::grpc(peer.address.port(), "down"))).await
        }),
        line("a gRPC service that nobody knows", async {
            let peer = grpc::obedient().await;
            ask(grpc::grpc_spec(grpc::grpc(peer.address.port(), "unknown"))).await
        }),
        line("a gRPC server without health", async {
            let peer = grpc::obedient().await;
            ask(grpc::grpc_spec(grpc::grpc(peer.address.port(), "unimplemented"))).await
        }),
        line("gRPC where HTTP/1.1 is spoken", async {
            let peer = Peer::answering(HELLO).await.unwrap();
            ask(grpc::grpc_spec(grpc::grpc(peer.address.port(), ""))).await
        }),
    ]
}

/// The text with what differs from run to run put in fixed words: ports, days that are left or gone, milliseconds.
fn steady(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let bare = word.trim_matches(['(', ')', ',', ':', ';']);
        match bare.parse::<std::net::SocketAddr>() {
            Ok(address) => word.replace(&format!(":{}", address.port()), ":PORT"),
            Err(_) => word.to_owned(),
        }
    });
    let mut words: Vec<String> = words.collect();
    for at in 1..words.len() {
        if ["days", "hours", "ms"].contains(&words[at].trim_end_matches(',')) && words[at - 1] != "40000" {
            words[at - 1] = "N".to_owned();
        }
    }
    words.join(" ")
}

#[tokio::test]
async fn every_failure_says_what_where_and_what_to_do() {
    let mut table = String::new();
    for (title, lines) in [
        ("http", http_lines()),
        ("connections", connection_lines()),
        ("tls", tls_lines()),
        ("the others", other_lines()),
    ] {
        let _ = writeln!(table, "## {title}\n");
        for (what, asking) in lines {
            let outcome = asking.await;
            assert_ne!(outcome.reason, Reason::Succeeded, "{what}");
            assert!(!outcome.response.contains(char::is_control), "{what}: {:?}", outcome.response);
            let _ = writeln!(table, "{what}\n    {}: {}\n", outcome.reason, steady(&outcome.response));
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/explained.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &table).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    for (number, (came, expected)) in table.lines().zip(committed.lines()).enumerate() {
        assert_eq!(came, expected, "explained.txt:{}: write it anew with BLESS=1 if that is better", number + 1);
    }
    assert_eq!(table.len(), committed.len(), "explained.txt has other lines: write it anew with BLESS=1");
}
