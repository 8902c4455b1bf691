//! DNS over HTTPS (RFC 8484): POST, over HTTP/2 where the server agrees, HTTP/1.1 otherwise.

use bytes::Bytes;
use health_model::{DnsProbe, Reason};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::rt::Executor as _;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    message::{self, Answer, Question},
    transport::{self, Server},
};
use crate::{
    Ask,
    failure::Failure,
    http::tasks::Tasks,
    retry_after,
    tls::{self, Alpn, TlsPeer},
    trace::{Phase, Trace},
};

/// Where a server answers unless its URL says otherwise.
const PATH: &str = "/dns-query";
/// What question and answer are.
const MESSAGE: &str = "application/dns-message";
/// The largest DNS message.
const LARGEST: usize = 65_535;

/// Asks one server. A URL of scheme `http` is asked without TLS.
pub(super) async fn ask(
    ask: &Ask<'_>,
    dns: &DnsProbe,
    server: &Server<'_>,
    question: &Question,
    trace: &mut Trace,
) -> Result<Answer, Failure> {
    // The id is zero so that caches may answer (RFC 8484 section 4.1); TLS keeps strangers out.
    let message = transport::encoded(question, 0)?;
    let stream = ask.connector.dial(&[server.address], trace).await?;
    let body = if server.url.is_some_and(|url| url.scheme() == "http") {
        converse(stream, false, request(false, "http", server, message)?, trace).await?
    } else {
        let peer = TlsPeer { host: &server.host, options: &dns.tls, alpn: Alpn::H2OrHttp1 };
        let stream = Box::pin(ask.connector.tls(stream, &peer, trace)).await?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        converse(stream, h2, request(h2, "https", server, message)?, trace).await?
    };
    message::decode(&body, question, 0).map_err(|problem| transport::no_answer(server.address, &problem))
}

async fn converse<S>(stream: S, h2: bool, request: Request<Full<Bytes>>, trace: &mut Trace) -> Result<Bytes, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    trace.enter(Phase::Processing);
    let tasks = Tasks::default();
    let response = send(TokioIo::new(stream), h2, request, &tasks).await.map_err(|error| broken(&error, trace))?;
    trace.enter(Phase::Transfer);
    check(&response)?;
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    trace.leave();
    body.map(|body| body.to_bytes())
        .map_err(|error| Failure::protocol(format!("the answer of the name server cannot be read ({error})")))
}

fn request(h2: bool, scheme: &str, server: &Server<'_>, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Failure> {
    let port = server.address.port();
    let default = if scheme == "https" { 443 } else { 80 };
    let host = server.host.with_port(port);
    let authority = if port == default { host.strip_suffix(&format!(":{port}")).unwrap_or(&host) } else { &host };
    let path = server.url.map_or(PATH, |url| &url[url::Position::BeforePath..url::Position::AfterQuery]);
    let uri = if h2 { format!("{scheme}://{authority}{path}") } else { path.to_owned() };
    let mut request = Request::post(uri).header(header::CONTENT_TYPE, MESSAGE).header(header::ACCEPT, MESSAGE);
    if !h2 {
        request = request.header(header::HOST, authority).header(header::CONNECTION, "close");
    }
    request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::configuration(format!("server: makes no request ({error})")))
}

async fn send<S>(
    io: TokioIo<S>,
    h2: bool,
    request: Request<Full<Bytes>>,
    tasks: &Tasks,
) -> Result<Response<Incoming>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if h2 {
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(tasks.executor()).handshake(io).await?;
        tasks.executor().execute(async move {
            let _ = connection.await;
        });
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        tasks.executor().execute(async move {
            let _ = connection.await;
        });
        sender.send_request(request).await
    }
}

fn check(response: &Response<Incoming>) -> Result<(), Failure> {
    let status = response.status();
    let line = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned();
    if status == StatusCode::TOO_MANY_REQUESTS {
        let mut failure = Failure::new(Reason::RateLimited, line);
        failure.retry_after = retry_after::read(response.headers(), Timestamp::now());
        return Err(failure);
    }
    if status != StatusCode::OK {
        return Err(Failure::new(
            Reason::UnexpectedStatus,
            format!("{line}: expected 200 OK from a name server over HTTPS: is the path right?"),
        ));
    }
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if kind.to_ascii_lowercase().starts_with(MESSAGE.as_bytes()) {
        return Ok(());
    }
    Err(Failure::protocol(format!(
        "the peer answers {:?}, expected {MESSAGE}: it is no name server",
        String::from_utf8_lossy(&kind[..kind.len().min(80)])
    )))
}

fn broken(error: &hyper::Error, trace: &Trace) -> Failure {
    tls::failure_in(error).unwrap_or_else(|| match trace.remote {
        Some(peer) => Failure::protocol(format!("{peer} does not speak HTTP as a name server does ({error})")),
        None => Failure::protocol(format!("asking over HTTPS failed ({error})")),
    })
}
