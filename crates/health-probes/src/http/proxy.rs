//! Through a proxy: plain requests are passed on by it, TLS goes through a tunnel (CONNECT, RFC 9110 section 9.3.6).

use health_model::{Host, HttpProxy, Reason, TlsOptions};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{request::basic, status_line, wire::AnyStream};
use crate::{
    Ask,
    failure::Failure,
    tls::{Alpn, TlsPeer},
    trace::Trace,
};

/// Bytes of a proxy's answer to CONNECT that are read at most.
const LONGEST_ANSWER: usize = 16 << 10;

/// Connects to the proxy, over TLS where its URL says so.
pub(super) async fn connect(ask: &Ask<'_>, proxy: &HttpProxy, trace: &mut Trace) -> Result<AnyStream, Failure> {
    let host = super::host_of(&proxy.url).map_err(|_| Failure::configuration("proxyUrl: has no host"))?;
    let port = proxy.url.port_or_known_default().unwrap_or(80);
    let by_the_proxy = |failure: Failure| match failure.reason {
        // Every deadline says exactly the same.
        Reason::Timeout => failure,
        _ => Failure { message: format!("the proxy (proxyUrl): {}", failure.message), ..failure },
    };
    let stream = ask.connector.tcp(&host, port, ask.family, trace).await.map_err(by_the_proxy)?;
    match proxy.url.scheme() {
        "http" => Ok(Box::new(stream)),
        "https" => {
            let peer = TlsPeer { host: &host, options: &TlsOptions::default(), alpn: Alpn::Http1 };
            Ok(Box::new(ask.connector.tls(stream, &peer, trace).await.map_err(by_the_proxy)?))
        }
        _ => Err(Failure::configuration("proxyUrl: only http and https proxies are spoken to")),
    }
}

/// Refuses what the address policy forbids. The proxy resolves names itself; where there are rules, we look as well.
pub(super) async fn permitted(ask: &Ask<'_>, host: &Host, port: u16, trace: &mut Trace) -> Result<(), Failure> {
    ask.connector.policy().check_unresolved(host)?;
    if ask.connector.policy().is_default() {
        return Ok(());
    }
    match ask.connector.resolve(host, port, ask.family, trace).await {
        Err(failure) if failure.reason == Reason::AddressForbidden => Err(failure),
        // What only the proxy can resolve is judged by its name alone.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Asks for a tunnel.
pub(super) async fn tunnel(
    mut stream: AnyStream,
    proxy: &HttpProxy,
    authority: &str,
    trace: &mut Trace,
) -> Result<AnyStream, Failure> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(own) = &proxy.credentials {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(basic(own)?.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(|error| trace.broken(&error, "asking the proxy for a tunnel"))?;
    let head = answer(&mut stream, trace).await?;
    let status = status(&head).ok_or_else(|| Failure::protocol("the proxy's answer to CONNECT is no HTTP"))?;
    if status.is_success() {
        return Ok(stream);
    }
    trace.status_code = Some(status.as_u16());
    let line = status_line(status);
    let remedy = match (status, &proxy.credentials) {
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, None) => ": it wants credentials (user info in proxyUrl)",
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, Some(_)) => ": it refuses these credentials (proxyUrl)",
        _ => "",
    };
    Err(Failure::new(Reason::UnexpectedStatus, format!("{line}: the proxy opens no tunnel to {authority}{remedy}")))
}

async fn answer(stream: &mut AnyStream, trace: &Trace) -> Result<Vec<u8>, Failure> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() >= LONGEST_ANSWER {
            return Err(Failure::protocol("the proxy's answer to CONNECT does not end"));
        }
        // One byte at a time: what follows the blank line belongs to the tunnel.
        let byte = stream.read_u8().await.map_err(|error| trace.broken(&error, "waiting for the proxy's tunnel"))?;
        head.push(byte);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<StatusCode> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = line.split(|byte| *byte == b' ');
    words.next().filter(|version| version.starts_with(b"HTTP/1."))?;
    StatusCode::from_bytes(words.next()?).ok()
}
