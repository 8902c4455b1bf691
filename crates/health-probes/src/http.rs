//! `http`: one request over a connection of its own.

use std::{future::Future, net::SocketAddr, pin::pin, task::Poll};

use bytes::Bytes;
use health_model::{Host, HttpProbe, Reason};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;

use crate::{
    Ask,
    failure::Failure,
    trace::{Phase, Trace},
};

/// Asks once.
pub(crate) async fn probe(ask: &Ask<'_>, http: &HttpProbe, trace: &mut Trace) -> Result<String, Failure> {
    if http.url.scheme() != "http" {
        return Err(Failure::configuration("https is not supported yet"));
    }
    let host = Host::parse(http.url.host_str().ok_or_else(|| Failure::configuration("url: has no host"))?);
    let port = http.url.port_or_known_default().unwrap_or(80);
    let stream = ask.connector.tcp(&host, port, ask.family, trace).await?;
    let peer = trace.remote.unwrap_or(SocketAddr::from(([0, 0, 0, 0], port)));
    trace.enter(Phase::Processing);
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Failure::protocol(format!("{peer}: {error}")))?;
    let mut connection = pin!(connection);
    let path = &http.url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = http::Request::builder()
        .method(http.method.as_str())
        .uri(path)
        .header(http::header::HOST, host.to_string())
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::configuration(format!("url: {error}")))?;
    let mut answer = pin!(sender.send_request(request));
    let response = std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = answer.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        let _ = connection.as_mut().poll(cx);
        answer.as_mut().poll(cx)
    })
    .await
    .map_err(|error| Failure::protocol(format!("{peer}: {error}")))?;
    trace.enter(Phase::Transfer);
    let status = response.status();
    trace.status_code = Some(status.as_u16());
    let mut body = response.into_body();
    let mut kept = Vec::new();
    while kept.len() < usize::try_from(http.max_body_bytes).unwrap_or(usize::MAX) {
        let mut frame = pin!(body.frame());
        let next = std::future::poll_fn(|cx| {
            let _ = connection.as_mut().poll(cx);
            frame.as_mut().poll(cx)
        })
        .await;
        match next {
            Some(Ok(frame)) => kept.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            Some(Err(error)) => return Err(Failure::protocol(format!("{peer}: {error}"))),
            None => break,
        }
    }
    trace.leave();
    let line = status
        .canonical_reason()
        .map_or_else(|| status.as_str().to_owned(), |words| format!("{} {words}", status.as_u16()));
    if status.as_u16() == 429 && !http.expected_status.contains(429) {
        return Err(Failure::new(Reason::RateLimited, line));
    }
    if !http.expected_status.contains(status.as_u16()) {
        return Err(Failure::new(
            Reason::UnexpectedStatus,
            format!("{line}: expected {} from {peer}", http.expected_status),
        ));
    }
    if let Some(search) = &http.search {
        let found = match &search.matcher {
            health_model::SearchMatcher::Text(text) => {
                kept.windows(text.len().max(1)).any(|window| window == text.as_bytes()) || text.is_empty()
            }
            health_model::SearchMatcher::Expression(pattern) => pattern.is_match(&kept),
        };
        if found == search.absent {
            return Err(Failure::new(
                Reason::ContentMismatch,
                format!("{line}: searchFor {:?} did not hold", search.used()),
            ));
        }
    }
    Ok(line)
}
