//! `grpc`: `grpc.health.v1.Health/Check` must say SERVING.
//!
//! One HTTP/2 connection, one call. What a proxy in between says over HTTP is told as such, and not as a gRPC status that
//! nobody sent.

use std::{
    error::Error,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use health_model::{GrpcProbe, NamedValue, Reason};
use http::{HeaderValue, Uri, header};
use hyper::rt::Executor as _;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::{
    Code, Request, Status,
    metadata::{AsciiMetadataKey, BinaryMetadataKey, BinaryMetadataValue, MetadataMap},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    Ask,
    dialogue::shown,
    failure::Failure,
    http::{redact::Redactor, tasks::Tasks},
    tls::{self, Alpn, TlsPeer},
    trace::{Phase, Trace},
};

/// The largest answer that is decoded; a real one has two bytes.
const LARGEST_ANSWER: usize = 4 << 10;
/// Bytes of headers and trailers that are accepted.
const LARGEST_HEADERS: u32 = 64 << 10;

/// Asks for the health of `service`.
pub(crate) async fn probe(ask: &Ask<'_>, grpc: &GrpcProbe, trace: &mut Trace) -> Result<String, Failure> {
    let result = asked(ask, grpc, trace).await;
    // A server may reflect our own credentials in its status.
    result.map_err(|failure| {
        Redactor::hiding(grpc.metadata.iter().map(|entry| entry.value.expose())).failure(failure, trace)
    })
}

async fn asked(ask: &Ask<'_>, grpc: &GrpcProbe, trace: &mut Trace) -> Result<String, Failure> {
    let request = request(grpc, ask.deadline)?;
    let authority = grpc.host.with_port(grpc.port);
    let stream = ask.connector.tcp(&grpc.host, grpc.port, ask.family, trace).await?;
    if !grpc.tls.enabled {
        return Box::pin(check(stream, &format!("http://{authority}"), request, grpc, trace)).await;
    }
    let peer = TlsPeer { host: &grpc.host, options: &grpc.tls, alpn: Alpn::H2 };
    let stream = Box::pin(ask.connector.tls(stream, &peer, trace)).await?;
    let said = Box::pin(check(stream, &format!("https://{authority}"), request, grpc, trace)).await?;
    tls::check_expiry(trace, grpc.certificate_expiry_days, Timestamp::now())?;
    Ok(said)
}

fn request(grpc: &GrpcProbe, deadline: Instant) -> Result<Request<HealthCheckRequest>, Failure> {
    let mut request = Request::new(HealthCheckRequest { service: grpc.service.clone() });
    request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    for entry in &grpc.metadata {
        add(request.metadata_mut(), entry)
            .map_err(|problem| Failure::configuration(format!("metadata: the entry {:?} {problem}", entry.name)))?;
    }
    Ok(request)
}

/// Adds one entry; values of names that end in `-bin` are written in base64.
fn add(metadata: &mut MetadataMap, entry: &NamedValue) -> Result<(), &'static str> {
    let name = entry.name.to_ascii_lowercase();
    if name.ends_with("-bin") {
        let key = BinaryMetadataKey::from_bytes(name.as_bytes()).map_err(|_| "has no valid name")?;
        let bytes =
            BASE64_STANDARD.decode(entry.value.expose()).map_err(|_| "ends in -bin, but its value is no base64")?;
        metadata.append_bin(key, BinaryMetadataValue::from_bytes(&bytes));
    } else {
        let key = AsciiMetadataKey::from_bytes(name.as_bytes()).map_err(|_| "has no valid name")?;
        let mut value =
            HeaderValue::from_str(entry.value.expose()).map_err(|_| "has a value that no header can hold")?;
        value.set_sensitive(true);
        let value = tonic::metadata::MetadataValue::try_from(value.as_bytes())
            .map_err(|_| "has a value that is not printable ASCII")?;
        metadata.append(key, value);
    }
    Ok(())
}

async fn check<S>(
    stream: S,
    origin: &str,
    request: Request<HealthCheckRequest>,
    grpc: &GrpcProbe,
    trace: &mut Trace,
) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let origin: Uri = origin.parse().map_err(|error| Failure::configuration(format!("host: {error}")))?;
    trace.enter(Phase::Processing);
    let tasks = Tasks::default();
    let (sender, connection) = hyper::client::conn::http2::Builder::new(tasks.executor())
        .max_header_list_size(LARGEST_HEADERS)
        .handshake::<_, tonic::body::Body>(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error, trace))?;
    let connection_broke = Arc::new(Mutex::new(None));
    let broke = Arc::clone(&connection_broke);
    tasks.executor().execute(async move {
        if let Err(error) = connection.await {
            *broke.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    let over_http = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&over_http);
    let channel = tower::service_fn(move |request| {
        let (mut sender, seen) = (sender.clone(), Arc::clone(&seen));
        async move {
            let response = sender.send_request(request).await?;
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = not_grpc(&response);
            Ok::<_, hyper::Error>(response)
        }
    });
    let mut client = HealthClient::with_origin(channel, origin).max_decoding_message_size(LARGEST_ANSWER);
    let answer = client.check(request).await;
    trace.leave();
    if let Some(failure) = over_http.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(failure);
    }
    match answer {
        // OK is 0, which reads as if no code had come.
        Ok(answer) => serving(answer.get_ref().status, grpc),
        Err(status) => {
            let broke = connection_broke.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(failed(&status, broke.as_ref(), grpc, trace))
        }
    }
}

fn serving(status: i32, grpc: &GrpcProbe) -> Result<String, Failure> {
    match ServingStatus::try_from(status) {
        Ok(ServingStatus::Serving) => Ok("SERVING".to_owned()),
        Ok(other) => Err(not_serving(grpc, &format!("is {}", other.as_str_name()))),
        Err(_) => Err(not_serving(grpc, &format!("is in the unknown state {status}"))),
    }
}

fn not_serving(grpc: &GrpcProbe, what: &str) -> Failure {
    let whose = if grpc.service.is_empty() { "the server".to_owned() } else { format!("service {:?}", grpc.service) };
    Failure::new(Reason::NotServing, format!("{whose} {what}, expected SERVING"))
}

/// What a response says over HTTP that makes it no gRPC answer at all.
fn not_grpc<B>(response: &http::Response<B>) -> Option<Failure> {
    let status = response.status();
    let words = status.canonical_reason().unwrap_or_default();
    let line = format!("{} {words}", status.as_u16()).trim_end().to_owned();
    if status == http::StatusCode::TOO_MANY_REQUESTS {
        let mut failure = Failure::new(Reason::RateLimited, line);
        failure.retry_after = crate::retry_after::read(response.headers(), Timestamp::now());
        return Some(failure);
    }
    if status != http::StatusCode::OK {
        return Some(Failure::new(Reason::UnexpectedStatus, format!("{line}: an HTTP answer, expected gRPC (200 OK)")));
    }
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/grpc") || response.headers().contains_key("grpc-status") {
        return None;
    }
    Some(Failure::protocol(format!(
        "the peer speaks HTTP/2, but not gRPC: its answer is {:?}, expected application/grpc",
        shown(kind)
    )))
}

/// What a call that brought no answer means.
fn failed(status: &Status, broke: Option<&hyper::Error>, grpc: &GrpcProbe, trace: &mut Trace) -> Failure {
    if let Some(error) = status.source() {
        return broken(broke.map_or(error, |broke| broke as &(dyn Error + 'static)), trace);
    }
    trace.status_code = u16::try_from(i32::from(status.code())).ok();
    let said = shown(status.message().as_bytes());
    match status.code() {
        Code::NotFound => not_serving(grpc, "is not known to the health service (NOT_FOUND)"),
        Code::Unimplemented => Failure::protocol(
            "the server does not implement grpc.health.v1.Health (UNIMPLEMENTED): register its health service",
        ),
        Code::DeadlineExceeded => Failure::timeout(),
        code => Failure::new(
            Reason::UnexpectedStatus,
            format!("gRPC status {} {code:?} ({said:?}), expected OK", i32::from(code)),
        ),
    }
}

/// What it means that the connection did not carry the call.
fn broken(error: &(dyn Error + 'static), trace: &Trace) -> Failure {
    if let Some(failure) = tls::failure_in(error) {
        return failure;
    }
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return trace.broken(error, "asking over HTTP/2");
        }
        cause = error.source();
    }
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    Failure::protocol(format!("the peer does not speak HTTP/2 as gRPC needs it ({deepest}): is it the right port?"))
}
