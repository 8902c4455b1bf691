//! Answers that no honest server gives: bombs, lies, drips, loops, nonsense. Each ends, within bounds, with its reason.

use std::{io::Write as _, time::Duration};

use health_model::{HttpProbe, HttpVersion, Reason, Search, SearchMatcher};
use health_testkit::peer::{Peer, read_head};
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::ask::{FAMILIES, ask, ask_within, get, http_spec, the_same};

async fn peer<F, S>(serve: F) -> Peer
where
    F: Fn(TcpStream) -> S + Send + Sync + Copy + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    Peer::start("127.0.0.1", move |mut stream| async move {
        read_head(&mut stream).await;
        serve(stream).await;
    })
    .await
    .unwrap()
}

fn searching(peer: &Peer) -> HttpProbe {
    let search = Search { matcher: SearchMatcher::Text("needle".to_owned()), absent: false };
    HttpProbe { search: Some(search), ..get(&format!("http://{}/", peer.address)) }
}

#[rstest]
#[case::nothing("", Reason::ConnectionReset, "without an answer")]
#[case::garbage("\x00\x01\x02\x03 nonsense\r\n\r\n", Reason::ProtocolError, "does not speak HTTP/1")]
#[case::ssh("SSH-2.0-OpenSSH_9.2\r\n", Reason::ProtocolError, "it speaks SSH")]
#[case::tls_alert("\x15\x03\x01\x00\x02\x02\x46", Reason::ProtocolError, "it speaks TLS, use https")]
#[case::half_a_head("HTTP/1.1 200 OK\r\nContent-", Reason::ProtocolError, "ended too early")]
#[case::bad_status("HTTP/1.1 abc OK\r\n\r\n", Reason::ProtocolError, "malformed")]
#[case::bad_header("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", Reason::ProtocolError, "malformed")]
#[case::two_lengths("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", Reason::ProtocolError, "")]
#[case::short_of_its_length("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nneedle", Reason::ProtocolError, "200 OK: ")]
#[case::broken_chunk(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nneedle\r\n",
    Reason::ProtocolError,
    "200 OK: "
)]
#[case::unfinished_chunks(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nneedle\r\n",
    Reason::ProtocolError,
    "200 OK: "
)]
#[case::no_gzip(
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\nneedle",
    Reason::ProtocolError,
    "200 OK: the body is not the gzip"
)]
#[case::unknown_encoding(
    "HTTP/1.1 200 OK\r\nContent-Encoding: lzma\r\nContent-Length: 6\r\n\r\nneedle",
    Reason::ProtocolError,
    "200 OK: "
)]
#[case::encoded_many_times(
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip, gzip, gzip\r\nContent-Length: 0\r\n\r\n",
    Reason::ProtocolError,
    "200 OK: "
)]
#[case::until_the_end_of_the_connection("HTTP/1.0 200 OK\r\n\r\nthe needle", Reason::Succeeded, "200 OK")]
#[case::odd_reason("HTTP/1.1 200 \u{7f}\r\nContent-Length: 6\r\n\r\nneedle", Reason::ProtocolError, "malformed")]
#[tokio::test]
async fn a_malformed_answer_is_named(#[case] answer: &str, #[case] reason: Reason, #[case] said: &str) {
    let mut outcomes = Vec::new();
    for bind in FAMILIES {
        let peer = Peer::answering_on(bind, answer).await.unwrap();
        outcomes.push((peer.address, ask(http_spec(searching(&peer))).await));
    }
    let outcome = the_same(outcomes);
    assert_eq!(outcome.reason, reason, "{}", outcome.response);
    assert!(outcome.response.contains(said), "{}", outcome.response);
}

#[tokio::test]
async fn a_length_that_lies_is_found_even_when_nothing_looks_at_the_body() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.").await.unwrap();
    let outcome = ask(http_spec(get(&format!("http://{}/", peer.address)))).await;
    assert_eq!(outcome.reason, Reason::ProtocolError);
    assert!(outcome.response.starts_with("200 OK: "), "{}", outcome.response);
}

#[tokio::test]
async fn a_reset_is_told_from_an_end() {
    let peer = peer(|stream| async move {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    let outcome = ask(http_spec(get(&format!("http://{}/", peer.address)))).await;
    assert_eq!(outcome.reason, Reason::ConnectionReset);
    assert!(outcome.response.contains("reset the connection"), "{}", outcome.response);
}

#[rstest]
#[case::never_answers(|stream: TcpStream| Box::pin(async move { hold(stream).await }) as Serving, "waiting for the answer")]
#[case::drips_its_head(|mut stream: TcpStream| Box::pin(async move {
    for byte in b"HTTP/1.1 200 OK\r\n".iter().chain(std::iter::repeat(&b'a')) {
        if stream.write_all(&[*byte]).await.is_err() { break; }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}) as Serving, "waiting for the answer")]
#[case::drips_its_body(|mut stream: TcpStream| Box::pin(async move {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
    while stream.write_all(b"a").await.is_ok() { tokio::time::sleep(Duration::from_millis(20)).await; }
}) as Serving, "reading the answer")]
#[case::informs_for_ever(|mut stream: TcpStream| Box::pin(async move {
    while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() { tokio::time::sleep(Duration::from_millis(20)).await; }
}) as Serving, "waiting for the answer")]
#[tokio::test]
async fn whoever_takes_for_ever_is_cut_at_the_deadline(#[case] serve: fn(TcpStream) -> Serving, #[case] at: &str) {
    let peer = peer(serve).await;
    let started = std::time::Instant::now();
    let outcome = ask_within(http_spec(searching(&peer)), Duration::from_millis(400)).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Timeout, "Timeout"));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let evidence = outcome.evidence.unwrap();
    let line = evidence.attempts.last().unwrap();
    assert!(line.contains(at) && line.contains(&peer.address.to_string()), "{line}");
}

type Serving = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn hold(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]).await;
}

#[rstest]
#[case::informational("HTTP/1.1 100 Continue\r\n\r\n")]
#[case::headers_without_end("HTTP/1.1 200 OK\r\nX-Long: ")]
#[tokio::test]
async fn an_endless_head_ends_at_its_bound(#[case] beginning: &'static str) {
    let peer = Peer::start("127.0.0.1", move |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(beginning.as_bytes()).await;
        let more = if beginning.ends_with(": ") { "x".repeat(1024) } else { beginning.repeat(40) };
        while stream.write_all(more.as_bytes()).await.is_ok() {}
    })
    .await
    .unwrap();
    let outcome = ask(http_spec(get(&format!("http://{}/", peer.address)))).await;
    assert_eq!(outcome.reason, Reason::ProtocolError, "{}", outcome.response);
}

#[tokio::test]
async fn many_headers_end_at_their_bound() {
    let headers: String = (0..500).map(|index| format!("X-{index}: 1\r\n")).collect();
    let peer = Peer::answering(format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).await.unwrap();
    let outcome = ask(http_spec(get(&format!("http://{}/", peer.address)))).await;
    assert_eq!(outcome.reason, Reason::ProtocolError);
    assert!(outcome.response.contains("100 lines"), "{}", outcome.response);
}

#[tokio::test]
async fn an_endless_body_stops_at_the_limit() {
    let endless = |mut stream: TcpStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'a'; 8192]).await.is_ok() {}
    };
    let peer = peer(endless).await;
    let outcome = ask(http_spec(searching(&peer))).await;
    assert_eq!(outcome.reason, Reason::BodyTooLarge, "{}", outcome.response);
    let outcome = ask(http_spec(get(&format!("http://{}/", peer.address)))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}

const GZIP: &[&str] = &["gzip", "-c", "-1"];
const BROTLI: &[&str] = &["brotli", "-c", "-1"];
const ZSTD: &[&str] = &["zstd", "-c", "-1"];
/// What "deflate" means (RFC 1950), and the raw stream (RFC 1951) that some servers send instead.
const ZLIB: &[&str] =
    &["python3", "-c", "import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))"];
const RAW: &[&str] =
    &["python3", "-c", "import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read())[2:-4])"];

/// 64 MiB of zeros, compressed by one tool after the other.
fn bomb(tools: &[&[&str]]) -> Vec<u8> {
    tools.iter().fold(vec![0; 64 << 20], |bytes, tool| packed(tool, bytes))
}

#[rstest]
#[case::gzip("gzip", &[GZIP])]
#[case::brotli("br", &[BROTLI])]
#[case::zstd("zstd", &[ZSTD])]
#[case::deflate("deflate", &[ZLIB])]
#[case::raw_deflate("deflate", &[RAW])]
#[case::gzip_in_brotli("gzip, br", &[GZIP, BROTLI])]
#[case::brotli_in_gzip_in_zstd("br, gzip, zstd", &[BROTLI, GZIP, ZSTD])]
#[tokio::test]
async fn a_bomb_is_cut_at_the_limit(
    #[case] encoding: &str,
    #[case] tools: &[&[&str]],
    #[values("127.0.0.1", "::1")] bind: &str,
) {
    let bomb = bomb(tools);
    assert!(bomb.len() < 4 << 20, "{} bytes are no bomb", bomb.len());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", bomb.len());
    let peer = Peer::answering_on(bind, [head.as_bytes(), &bomb].concat()).await.unwrap();
    let outcome = ask(http_spec(searching(&peer))).await;
    assert_eq!(outcome.reason, Reason::BodyTooLarge, "{}", outcome.response);
    let outcome = ask(http_spec(get(&format!("http://{}/", peer.address)))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}

#[rstest]
#[case::gzip("gzip", &[GZIP])]
#[case::brotli("br", &[BROTLI])]
#[case::zstd("zstd", &[ZSTD])]
#[case::deflate("deflate", &[ZLIB])]
#[case::raw_deflate("deflate", &[RAW])]
#[case::one_in_the_other("gzip, br", &[GZIP, BROTLI])]
#[case::in_capitals_and_by_its_old_name("X-GZIP", &[GZIP])]
#[tokio::test]
async fn what_is_compressed_is_read(
    #[case] encoding: &str,
    #[case] tools: &[&[&str]],
    #[values("127.0.0.1", "::1")] bind: &str,
) {
    let body = tools.iter().fold(b"hay hay needle hay".to_vec(), |bytes, tool| packed(tool, bytes));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
    let peer = Peer::answering_on(bind, [head.as_bytes(), &body].concat()).await.unwrap();
    let outcome = ask(http_spec(searching(&peer))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}

fn packed(command: &[&str], bytes: Vec<u8>) -> Vec<u8> {
    let mut child = std::process::Command::new(command[0])
        .args(&command[1..])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} is needed here ({error}): apt-get install {}", command[0], command[0]));
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[rstest]
#[case::plain_http1("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")]
#[case::nothing("")]
#[case::settings_then_nonsense("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f")]
#[tokio::test]
async fn a_peer_that_speaks_no_http2_is_named(#[case] answer: &'static str) {
    let peer = Peer::start("127.0.0.1", move |mut stream| async move {
        let _ = stream.read(&mut [0; 24]).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await
    .unwrap();
    let probe = HttpProbe { version: HttpVersion::H2c, ..get(&format!("http://{}/", peer.address)) };
    let outcome = ask(http_spec(probe)).await;
    assert!(
        matches!(outcome.reason, Reason::ProtocolError | Reason::ConnectionReset),
        "{}: {}",
        outcome.reason,
        outcome.response
    );
}

#[tokio::test]
async fn a_failed_status_is_told_although_its_body_never_ends() {
    let dripping = |mut stream: TcpStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\n\r\noops").await;
        hold(stream).await;
    };
    let peer = peer(dripping).await;
    let outcome = ask_within(http_spec(searching(&peer)), Duration::from_secs(2)).await;
    assert_eq!(outcome.reason, Reason::UnexpectedStatus, "{}", outcome.response);
    assert_eq!(outcome.status_code, Some(500));
}

/// Answers with a few bytes changed, cut or doubled, in an order that is the same in every run.
fn mutated(seed: u64, answer: &[u8]) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below.max(1)).unwrap()).unwrap()
    };
    let mut bytes = answer.to_vec();
    for _ in 0..=next(4) {
        let at = next(bytes.len());
        match next(4) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] = u8::try_from(next(256)).unwrap(),
            2 => bytes.insert(at, u8::try_from(next(256)).unwrap()),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

#[tokio::test]
async fn whatever_a_peer_answers_there_is_an_outcome_and_no_secret_in_it() {
    let answer = b"HTTP/1.1 302 Found\r\nLocation: /a?b#c\r\nSet-Cookie: a=b; Path=/; Domain=127.0.0.1; Max-Age=1\r\n\
        X-Echo: tok-7f3a9c\r\nRetry-After: 9\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n\
        5\r\n\x1f\x8b\x08\x00\x00\r\n0\r\nX-Trailer: 1\r\n\r\n";
    for seed in 0..400 {
        let answer = mutated(seed, answer);
        let peer = Peer::start("127.0.0.1", move |mut stream| {
            let answer = answer.clone();
            async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
        })
        .await
        .unwrap();
        let auth = Some(health_model::HttpAuth::Bearer("tok-7f3a9c".into()));
        let probe = HttpProbe { auth, max_redirects: 3, ..searching(&peer) };
        let outcome = ask_within(http_spec(probe), Duration::from_secs(5)).await;
        assert_ne!(outcome.reason, Reason::Succeeded, "seed {seed}");
        assert!(!format!("{outcome:?}").contains("tok-7f3a9c"), "seed {seed}: {outcome:?}");
    }
}

#[tokio::test]
async fn whatever_a_peer_says_in_a_tls_handshake_there_is_an_outcome() {
    let hello = b"\x16\x03\x03\x00\x31\x02\x00\x00\x2d\x03\x03abcdefghijklmnopqrstuvwxyz012345\x00\xc0\x2f\x00\x00\x05\xff\x01\x00\x01\x00";
    for seed in 0..200 {
        let answer = mutated(seed, hello);
        let peer = Peer::start("127.0.0.1", move |mut stream| {
            let answer = answer.clone();
            async move {
                let _ = stream.read(&mut [0; 2048]).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
        })
        .await
        .unwrap();
        let outcome = ask_within(http_spec(get(&format!("https://{}/", peer.address))), Duration::from_secs(5)).await;
        assert_eq!(outcome.reason, Reason::TlsHandshakeFailed, "seed {seed}: {}", outcome.response);
    }
}
