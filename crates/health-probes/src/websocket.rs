//! `websocket`: the upgrade must be accepted (RFC 6455), then a message may be sent and an answer waited for.
//!
//! Redirects are not followed: a client of this kind does not follow them either.

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{SinkExt, StreamExt};
use health_model::{BasicCredentials, Host, HttpAuth, NamedValue, Reason, WebSocketProbe, confidential_parameters};
use http::{HeaderName, HeaderValue, Request, header};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        error::{CapacityError, ProtocolError},
        handshake::client::generate_key,
        protocol::WebSocketConfig,
    },
};

use crate::{
    Ask,
    dialogue::{Heard, LONGEST_WAIT, confidential},
    failure::Failure,
    http::{redact::Redactor, request::is_harmless},
    tls::{Alpn, TlsPeer},
    trace::{Phase, Trace},
};

/// What a successful upgrade says.
const SWITCHED: &str = "101 Switching Protocols";
/// Bytes read at once; a probe hears little.
const READ: usize = 4 << 10;
/// Bytes of an answer that refuses the upgrade, kept as evidence.
const EVIDENCE: usize = 4 << 10;

/// Opens a WebSocket and says what is to be said.
pub(crate) async fn probe(ask: &Ask<'_>, websocket: &WebSocketProbe, trace: &mut Trace) -> Result<String, Failure> {
    let request = upgrade(websocket)?;
    let result = opened(ask, websocket, request, trace).await;
    result.map_err(|failure| redactor(websocket).failure(failure, trace))
}

async fn opened(
    ask: &Ask<'_>,
    websocket: &WebSocketProbe,
    request: Request<()>,
    trace: &mut Trace,
) -> Result<String, Failure> {
    let host = Host::parse(websocket.url.host_str().unwrap_or_default());
    let port = websocket.url.port_or_known_default().unwrap_or(80);
    let stream = ask.connector.tcp(&host, port, ask.family, trace).await?;
    if websocket.url.scheme() == "wss" {
        let peer = TlsPeer { host: &host, options: &websocket.tls, alpn: Alpn::Http1 };
        let stream = Box::pin(ask.connector.tls(stream, &peer, trace)).await?;
        Box::pin(converse(stream, request, websocket, trace)).await
    } else {
        Box::pin(converse(stream, request, websocket, trace)).await
    }
}

/// What a peer may reflect, and must not be shown.
fn redactor(websocket: &WebSocketProbe) -> Redactor {
    let parameters = confidential_parameters(&websocket.url);
    let pair = match &websocket.auth {
        Some(HttpAuth::Basic(own)) => format!("{}:{}", own.username.expose(), own.password.expose()),
        Some(HttpAuth::Bearer(token)) => token.expose().to_owned(),
        Some(HttpAuth::OAuth2(_)) | None => String::new(),
    };
    let headers = websocket.headers.iter().filter(|header| !is_harmless(&header.name));
    let headers = headers.flat_map(|header| {
        let value = header.value.expose();
        [value, value.split_once(' ').map_or("", |(_, credential)| credential)]
    });
    let said = websocket.send.as_deref().into_iter().flat_map(confidential);
    let parts = pair.split_once(':').map_or([pair.as_str(), ""], |(user, password)| [user, password]);
    let parameters = parameters.iter().map(String::as_str);
    Redactor::hiding(headers.chain(parts).chain([pair.as_str()]).chain(said).chain(parameters))
}

/// The request for the upgrade; a header of the check replaces one of ours.
fn upgrade(websocket: &WebSocketProbe) -> Result<Request<()>, Failure> {
    let url = &websocket.url;
    let host = url.host_str().ok_or_else(|| Failure::configuration("url: has no host"))?;
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut request = Request::builder()
        .uri(url.as_str())
        .header(header::HOST, authority)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        .body(())
        .map_err(|error| Failure::configuration(format!("url: {error}")))?;
    if let Some(value) = websocket.auth.as_ref().and_then(authorization) {
        request.headers_mut().insert(header::AUTHORIZATION, secret(&value, "url: its user info")?);
    }
    for NamedValue { name, value } in &websocket.headers {
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Failure::configuration(format!("headers: {name:?} is no header name")))?;
        let value = secret(value.expose(), &format!("headers: the value of {name}"))?;
        // Only the first replaces; a name given twice is sent twice.
        if websocket.headers.iter().any(|first| first.name.eq_ignore_ascii_case(name))
            && request.headers().contains_key(&known)
            && is_ours(&known)
        {
            request.headers_mut().insert(known, value);
        } else {
            request.headers_mut().append(known, value);
        }
    }
    Ok(request)
}

fn is_ours(name: &HeaderName) -> bool {
    [header::HOST, header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION]
        .contains(name)
        || *name == header::AUTHORIZATION
}

fn authorization(auth: &HttpAuth) -> Option<String> {
    match auth {
        HttpAuth::Basic(BasicCredentials { username, password }) => {
            let pair = format!("{}:{}", username.expose(), password.expose());
            Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
        }
        HttpAuth::Bearer(token) => Some(format!("Bearer {}", token.expose())),
        HttpAuth::OAuth2(_) => None,
    }
}

fn secret(value: &str, what: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| Failure::configuration(format!("{what} cannot be sent in a header")))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn converse<S>(
    stream: S,
    request: Request<()>,
    websocket: &WebSocketProbe,
    trace: &mut Trace,
) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    trace.enter(Phase::Processing);
    let (mut socket, _) =
        client_async_with_config(request, stream, Some(bounds())).await.map_err(|error| refused(error, trace))?;
    trace.status_code = Some(101);
    if let Some(bytes) = &websocket.send {
        let message = match std::str::from_utf8(bytes) {
            Ok(text) => Message::text(text),
            Err(_) => Message::binary(bytes.clone()),
        };
        socket.send(message).await.map_err(|error| broken(&error, "sending the message", trace))?;
    }
    let said = match &websocket.expect {
        None => SWITCHED.to_owned(),
        Some(expect) => {
            listen(&mut socket, expect, trace).await?;
            format!("{SWITCHED}, answered as expected")
        }
    };
    // A courtesy: what the peer makes of it no longer matters.
    let _ = socket.close(None).await;
    trace.leave();
    Ok(said)
}

/// What keeps a peer from filling our memory.
fn bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(0)
        .max_message_size(Some(LONGEST_WAIT))
        .max_frame_size(Some(LONGEST_WAIT))
}

/// As [`probe`], on a stream that is open already, and perhaps upgraded, too.
#[cfg(any(test, fuzzing))]
pub(crate) async fn probe_on<S>(
    stream: S,
    websocket: &WebSocketProbe,
    upgraded: bool,
    trace: &mut Trace,
) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    use tokio_tungstenite::tungstenite::protocol::Role;
    let request = upgrade(websocket)?;
    let result = match &websocket.expect {
        Some(expect) if upgraded => {
            let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(bounds())).await;
            listen(&mut socket, expect, trace).await.map(|()| SWITCHED.to_owned())
        }
        _ => converse(stream, request, websocket, trace).await,
    };
    result.map_err(|failure| redactor(websocket).failure(failure, trace))
}

async fn listen<S>(
    socket: &mut WebSocketStream<S>,
    expect: &health_model::Pattern,
    trace: &mut Trace,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut heard = Heard::default();
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => heard.extend(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => heard.extend(&bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(Some(frame)))) => {
                let how = format!("the peer closed with {}", u16::from(frame.code));
                return Err(heard.unexpected(expect, &how));
            }
            Some(Ok(Message::Close(None)) | Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => {
                return Err(heard.unexpected(expect, "the peer closed after"));
            }
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                return Err(heard.unexpected(expect, "a message of more than 64 KiB came after"));
            }
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                return Err(heard.unexpected(expect, "the connection was closed after"));
            }
            Some(Err(error)) => return Err(broken(&error, "waiting for an answer", trace)),
        }
        heard.note(trace);
        if heard.take_match(expect) {
            return Ok(());
        }
        if heard.is_full() {
            return Err(heard.unexpected(expect, "64 KiB came without it"));
        }
        // Messages are lines to the expression.
        heard.extend(b"\n");
    }
}

/// What a handshake that failed means.
fn refused(error: Error, trace: &mut Trace) -> Failure {
    match error {
        Error::Http(response) => {
            let (head, body) = response.into_parts();
            trace.status_code = Some(head.status.as_u16());
            trace.body = body.map(|body| String::from_utf8_lossy(&body[..body.len().min(EVIDENCE)]).into_owned());
            let words = head.status.canonical_reason().unwrap_or_default();
            let line = format!("{} {words}", head.status.as_u16()).trim_end().to_owned();
            if head.status == http::StatusCode::TOO_MANY_REQUESTS {
                let mut failure = Failure::new(Reason::RateLimited, line);
                failure.retry_after = crate::retry_after::read(&head.headers, Timestamp::now());
                return failure;
            }
            let moved = if head.status.is_redirection() { " (redirects are not followed)" } else { "" };
            Failure::new(Reason::UnexpectedStatus, format!("{line}: expected {SWITCHED}{moved}"))
        }
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            Failure::protocol("the peer closed the connection within the handshake")
        }
        Error::Protocol(ProtocolError::HttparseError(problem)) => {
            Failure::protocol(format!("the peer does not speak HTTP/1 ({problem}): is it the right port?"))
        }
        other => broken(&other, "upgrading to a WebSocket", trace),
    }
}

fn broken(error: &Error, doing: &str, trace: &Trace) -> Failure {
    match error {
        Error::Io(error) => trace.broken(error, doing),
        other => Failure::protocol(format!("the peer broke the WebSocket protocol while {doing} ({other})")),
    }
}
