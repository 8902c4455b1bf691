//! Serving a router on a listener: bounded, patient only for so long, and ending when it is told to.
//!
//! The listener is opened by the caller, so that a taken port is the caller's error and a test can bind port 0. This file
//! knows nothing about what is served.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    stall::StallGuard,
    telemetry::{Listener, Present, Telemetry},
};

/// How long a client may take to send a request's head, and how long a connection may be idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest request head, in bytes; hyper answers 431 beyond it.
const LARGEST_HEAD: usize = 32 * 1024;
/// Most header fields in a request.
const MOST_HEADERS: usize = 100;
/// How long a client may leave an answer unread before it is cut.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long answers under way may take once the server is to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long to rest when the system refuses to accept (out of file descriptors, for example).
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A router together with who it is and where it is counted; [`crate::rest_router`] and its sisters make one.
#[derive(Clone, Debug)]
pub struct Service {
    /// Which listener it is for.
    pub listener: Listener,
    /// What answers.
    pub router: Router,
    /// Where it is counted.
    pub telemetry: Arc<Telemetry>,
}

/// Serves HTTP/1.1 on `listener` until `shutdown`, then finishes what is being answered (at most two seconds) and
/// returns. Connections, heads, idle time and unread answers are bounded; a panic in a handler is an answer 500.
pub async fn serve(listener: TcpListener, service: Service, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(service.listener.most_connections()));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = next_connection(&listener, &places, &service) => accepted,
            () = shutdown.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, place)) => {
                let connection = graceful.watch(connect(stream, &service));
                let service = service.clone();
                connections.spawn(async move {
                    let counts = service.telemetry.listener(service.listener);
                    let _present = Present::among(&service.telemetry, usize::MAX, service.listener.level());
                    if let Err(error) = connection.await {
                        counts.cut.add();
                        tracing::debug!(listener = service.listener.as_str(), %error, "connection cut");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(listener = service.listener.as_str(), %error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::debug!(listener = service.listener.as_str(), "cutting connections that are still open");
    }
    connections.shutdown().await;
}

/// Waits for a place first: what comes beyond the bound stays in the kernel's queue instead of taking our memory.
async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    service: &Service,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    if places.available_permits() == 0 {
        service.telemetry.listener(service.listener).limit_hits.add();
    }
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Small answers must not wait for the peer's delayed acknowledgement; without it they are only slower.
    let _ = stream.set_nodelay(true);
    Ok((stream, place))
}

type Connection<S> = http1::Connection<TokioIo<StallGuard<TcpStream>>, S>;

fn connect(
    stream: TcpStream,
    service: &Service,
) -> Connection<
    impl hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + use<>,
> {
    let router = service.router.clone();
    let answer = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request.map(Body::new)));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(StallGuard::new(stream, UNREAD_TIMEOUT)), answer)
}
