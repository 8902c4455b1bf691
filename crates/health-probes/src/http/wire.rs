//! One request over one connection: hyper's connection is polled together with the answer, never spawned.
//!
//! What comes before the answer's head is over is metered, so that endless informational answers or headers end.

use std::{
    error::Error as StdError,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use bytes::Bytes;
use health_model::Reason;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tasks::Tasks;
use crate::{
    failure::Failure,
    trace::{Phase, Trace},
};

/// Bytes of an answer's head that are held at once (HTTP/1).
const LARGEST_HEAD: usize = 64 << 10;
/// Bytes that may come before the head is over, informational answers included.
const HEAD_BUDGET: u64 = 256 << 10;
/// First bytes of an answer kept to say what a peer speaks instead of HTTP.
const BEGINNING: usize = 16;

/// A stream of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A stream whose kind no longer matters.
pub(super) type AnyStream = Box<dyn Stream>;

/// What has come so far on one connection.
#[derive(Debug)]
pub(super) struct Meter {
    read: AtomicU64,
    budget: AtomicU64,
    first: OnceLock<(Instant, [u8; BEGINNING], usize)>,
}

impl Meter {
    fn new() -> Arc<Self> {
        Arc::new(Self { read: AtomicU64::new(0), budget: AtomicU64::new(HEAD_BUDGET), first: OnceLock::new() })
    }

    /// The head is over: the body has bounds of its own.
    fn lift(&self) {
        self.budget.store(u64::MAX, Ordering::Relaxed);
    }

    fn beginning(&self) -> &[u8] {
        self.first.get().map_or(&[], |(_, bytes, length)| &bytes[..*length])
    }
}

struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
    listening: Listening,
}

/// Whether the peer is listened to already.
///
/// Over HTTP/1 hyper takes what comes before its request for a broken connection, so that a server which answers as
/// soon as it has accepted would be healthy or not as the race goes. It is heard once the request is on its way.
enum Listening {
    Yes,
    /// Not before something was written; then whoever wanted to read is woken.
    AfterWriting(Option<Waker>),
}

impl<S> Metered<S> {
    fn written(&mut self) {
        if let Listening::AfterWriting(Some(waker)) = std::mem::replace(&mut self.listening, Listening::Yes) {
            waker.wake();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Listening::AfterWriting(waiting) = &mut self.listening {
            *waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let fresh = &buffer.filled()[before..];
        if self.meter.first.get().is_none() && !fresh.is_empty() {
            let mut beginning = [0; BEGINNING];
            let length = fresh.len().min(BEGINNING);
            beginning[..length].copy_from_slice(&fresh[..length]);
            let _ = self.meter.first.set((Instant::now(), beginning, length));
        }
        let fresh = fresh.len() as u64;
        let read = self.meter.read.fetch_add(fresh, Ordering::Relaxed) + fresh;
        if read > self.meter.budget.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "256 KiB came and the answer's headers are not over",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.written();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The socket is closed as soon as the answer is read: saying goodbye first would cost a call and tell nobody.
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices));
        self.written();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The driver of a connection; `None` once it has ended.
type Driver = Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>;

fn drive(driver: &mut Driver, cx: &mut Context<'_>) -> Option<hyper::Error> {
    match driver.as_mut()?.as_mut().poll(cx) {
        Poll::Pending => None,
        Poll::Ready(ended) => {
            *driver = None;
            ended.err()
        }
    }
}

/// An answer whose body is still on the wire.
pub(super) struct Answer {
    /// Status and headers.
    pub(super) head: http::response::Parts,
    /// What follows.
    pub(super) body: Wire,
}

/// The rest of an answer, read frame by frame; whoever drops it closes the connection.
pub(super) struct Wire {
    body: Incoming,
    driver: Driver,
    meter: Arc<Meter>,
    _tasks: Option<Tasks>,
}

impl hyper::body::Body for Wire {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let broken = drive(&mut self.driver, cx);
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => broken.map_or(Poll::Pending, |error| Poll::Ready(Some(Err(error)))),
            ready => ready,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl Wire {
    /// What an error while reading this body means.
    pub(super) fn failure(&self, error: &(dyn StdError + 'static), trace: &Trace) -> Failure {
        explain(error, &self.meter, trace, "reading the body")
    }
}

/// Sends a request over HTTP/1.1 and waits for the head of its answer. Phase `processing`.
pub(super) async fn http1<S>(stream: S, request: Request<Full<Bytes>>, trace: &mut Trace) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    trace.enter(Phase::Processing);
    let meter = Meter::new();
    let io = TokioIo::new(Metered { stream, meter: Arc::clone(&meter), listening: Listening::AfterWriting(None) });
    let shaken = hyper::client::conn::http1::Builder::new().max_buf_size(LARGEST_HEAD).handshake(io).await;
    let (mut sender, connection) = shaken.map_err(|error| explain(&error, &meter, trace, "sending the request"))?;
    let mut driver: Driver = Some(Box::pin(connection));
    let asked = sender.send_request(request);
    let response = together(asked, &mut driver).await;
    head(response, driver, meter, None, trace)
}

/// As [`http1`], over HTTP/2. Its tasks end when the answer is dropped.
pub(super) async fn http2<S>(stream: S, request: Request<Full<Bytes>>, trace: &mut Trace) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    trace.enter(Phase::Processing);
    let meter = Meter::new();
    let io = TokioIo::new(Metered { stream, meter: Arc::clone(&meter), listening: Listening::Yes });
    let tasks = Tasks::default();
    let shaken = hyper::client::conn::http2::Builder::new(tasks.executor())
        .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
        .handshake(io)
        .await;
    let (mut sender, connection) = shaken.map_err(|error| explain(&error, &meter, trace, "opening HTTP/2"))?;
    let mut driver: Driver = Some(Box::pin(connection));
    let asked = sender.send_request(request);
    let response = together(asked, &mut driver).await;
    head(response, driver, meter, Some(tasks), trace)
}

async fn together(
    asked: impl Future<Output = hyper::Result<Response<Incoming>>>,
    driver: &mut Driver,
) -> hyper::Result<Response<Incoming>> {
    let mut asked = std::pin::pin!(asked);
    poll_fn(|cx| {
        if let Poll::Ready(answer) = asked.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        let broken = drive(driver, cx);
        match asked.as_mut().poll(cx) {
            Poll::Pending => broken.map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            ready => ready,
        }
    })
    .await
}

fn head(
    response: hyper::Result<Response<Incoming>>,
    driver: Driver,
    meter: Arc<Meter>,
    tasks: Option<Tasks>,
    trace: &mut Trace,
) -> Result<Answer, Failure> {
    let response = response.map_err(|error| explain(&error, &meter, trace, "waiting for the answer"))?;
    meter.lift();
    match meter.first.get() {
        Some((at, ..)) => trace.enter_at(Phase::Transfer, *at),
        None => trace.enter(Phase::Transfer),
    }
    let (head, body) = response.into_parts();
    Ok(Answer { head, body: Wire { body, driver, meter, _tasks: tasks } })
}

/// What an error of hyper's means.
fn explain(error: &(dyn StdError + 'static), meter: &Meter, trace: &Trace, doing: &str) -> Failure {
    let peer = trace.remote.map(|remote| remote.to_string()).unwrap_or_default();
    let mut cause = Some(error);
    let mut hyper_error = None;
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.get_ref().is_none_or(|inner| !inner.is::<hyper::Error>())
        {
            return broken(io, meter, trace, doing);
        }
        if let Some(h2) = error.downcast_ref::<h2::Error>()
            && let Some(reason) = h2.reason()
        {
            if meter.beginning().starts_with(b"HTTP/1") {
                return Failure::protocol(format!("{peer} speaks HTTP/1 only: set httpVersion to HTTP1 or Auto"));
            }
            let whose = if h2.is_remote() { "the peer ended" } else { "the peer broke the rules of" };
            return Failure::protocol(format!("{whose} HTTP/2 while {doing} ({reason:?}) at {peer}"));
        }
        hyper_error = hyper_error.or_else(|| error.downcast_ref::<hyper::Error>());
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    let Some(error) = hyper_error else {
        return Failure::protocol(format!("{doing} from {peer} failed ({error})"));
    };
    let came = meter.read.load(Ordering::Relaxed);
    if error.is_parse_too_large() {
        return Failure::protocol(format!("the answer's headers exceed 64 KiB or 100 lines, from {peer}"));
    }
    if error.is_parse() {
        return not_http(meter.beginning(), &peer);
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return match came {
            0 => Failure::new(Reason::ConnectionReset, format!("{peer} closed the connection without an answer")),
            _ => {
                Failure::protocol(format!("the answer from {peer} ended too early, while {doing} ({came} bytes came)"))
            }
        };
    }
    if error.is_user() {
        return Failure::configuration(format!("the request cannot be sent as written ({error})"));
    }
    if doing == "reading the body" {
        return Failure::protocol(format!("the body from {peer} is broken or shorter than announced ({error})"));
    }
    Failure::protocol(format!("{doing} from {peer} failed ({error})"))
}

/// An I/O error: the connection's own, or one in which hyper says that the body is not what it was announced to be.
fn broken(error: &io::Error, meter: &Meter, trace: &Trace, doing: &str) -> Failure {
    let came = meter.read.load(Ordering::Relaxed);
    let peer = trace.remote.map(|remote| remote.to_string()).unwrap_or_default();
    match error.kind() {
        io::ErrorKind::UnexpectedEof if came > 0 => {
            Failure::protocol(format!("the answer from {peer} is shorter than announced ({came} bytes came in all)"))
        }
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => {
            Failure::protocol(format!("the body from {peer} is malformed ({error})"))
        }
        _ => trace.broken(error, doing),
    }
}

fn not_http(beginning: &[u8], peer: &str) -> Failure {
    let hint = match beginning {
        [0x15 | 0x16, 0x03, ..] => ": it speaks TLS, use https",
        [b'S', b'S', b'H', b'-', ..] => ": it speaks SSH",
        [b'H', b'T', b'T', b'P', ..] => ": its status line or headers are malformed",
        [0, 0, _, 0x04, ..] => ": it speaks HTTP/2 only, set httpVersion to H2C",
        _ => "",
    };
    Failure::protocol(format!(
        "{peer} does not speak HTTP/1{hint} (its answer begins with \"{}\")",
        beginning.escape_ascii()
    ))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_came_before_the_request_is_heard() {
        let (near, mut far) = tokio::io::duplex(4096);
        far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready").await.unwrap();
        let request = Request::get("/").body(Full::default()).unwrap();
        let answer = http1(near, request, &mut Trace::start()).await.unwrap();
        assert_eq!(answer.head.status, 200);
        assert_eq!(answer.body.collect().await.unwrap().to_bytes(), "ready");
    }
}
