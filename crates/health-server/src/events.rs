//! `/api/v1/events`: a snapshot, then every change as it happens (Server-Sent Events).
//!
//! `snapshot` (`{"items": […]}`, in parts), `synced`, then `check` (one item) and `removed` (`{"namespace", "name"}`). A
//! `snapshot` after `synced` begins a new state: what is not in it is gone. Parts are written only as fast as the reader
//! reads them.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use health_model::CheckView;
use health_runner::Row;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::Serialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

use crate::{
    checks::brief,
    hub::{Change, Hub},
    parameters::Parameters,
    problem::Problem,
    rest::Rest,
    telemetry::{Present, Telemetry},
};

/// Streams that may be open at once.
pub(crate) const MOST_STREAMS: usize = 256;
/// Checks in one part of a snapshot: small enough that writing one delays nobody.
const PART: usize = 250;
/// How often a quiet stream says that it lives.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// How soon a client should come back after a stream broke.
const RETRY: Duration = Duration::from_secs(2);

/// Data of a `snapshot` event.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Snapshot {
    /// Some of the checks; the others are in the next `snapshot` events before `synced`.
    items: Vec<CheckView>,
}

/// A snapshot of all checks, then every change as it happens.
///
/// Events: `snapshot` (a `Snapshot`, several until all checks are told), `synced`, then `check` (a `CheckView`) and
/// `removed` (`{"namespace", "name"}`). A `snapshot` after `synced` begins a new state. Every event has an id; with
/// `Last-Event-ID` only what was missed is sent, before `synced`.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received")),
    responses(
        (status = 200, description = "The stream", body = Snapshot, content_type = "text/event-stream"),
        (status = 400, description = "A parameter, where none is read", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many streams", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn stream(State(rest): State<Rest>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    Parameters::read(&uri, &[])?;
    let Some(place) = Present::among(&rest.telemetry, MOST_STREAMS, |telemetry| &telemetry.streams) else {
        rest.telemetry.streams_refused.add();
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{MOST_STREAMS} streams are open already"));
        return Ok(([(header::RETRY_AFTER, HeaderValue::from_static("5"))], problem).into_response());
    };
    let last_seen = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let seen = last_seen.and_then(|id| rest.hub.read_id(id));
    let reader = Reader::new(rest, place, seen);
    Ok(Sse::new(reader.events()).keep_alive(KeepAlive::new().interval(COMMENT_EVERY)).into_response())
}

/// One stream's reader and what it is still to be told.
struct Reader {
    hub: Arc<Hub>,
    telemetry: Arc<Telemetry>,
    shutdown: CancellationToken,
    /// The state that the reader has, or will have with what is below.
    number: u64,
    /// Rows not told yet of the snapshot under way.
    snapshot: VecDeque<Arc<Row>>,
    /// Parts told of it.
    part: usize,
    /// Changes not told yet to a reader that resumes.
    missed: VecDeque<Arc<Change>>,
    /// Whether all of that was told.
    synced: bool,
    live: Receiver<Arc<Change>>,
    _place: Present,
}

impl Reader {
    /// A reader that has seen everything up to a number, or nothing.
    fn new(rest: Rest, place: Present, seen: Option<u64>) -> Self {
        let Rest { hub, telemetry, shutdown, .. } = rest;
        let beginning = hub.begin(seen);
        let (number, live) = (beginning.number, beginning.live);
        let (snapshot, missed) = beginning.from.told();
        Self { hub, telemetry, shutdown, number, snapshot, part: 0, missed, synced: false, live, _place: place }
    }

    /// Begins anew for a reader that fell behind.
    fn restart(&mut self) {
        self.telemetry.streams_restarted.add();
        let beginning = self.hub.begin(None);
        (self.number, self.live, self.part, self.synced) = (beginning.number, beginning.live, 0, false);
        (self.snapshot, self.missed) = beginning.from.told();
    }

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut reader| async move { reader.next().await.map(|event| (Ok(event), reader)) })
    }

    /// The next event; nothing when the server stops.
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.next_of_beginning() {
            return Some(event);
        }
        loop {
            let received = tokio::select! {
                received = self.live.recv() => received,
                () = self.shutdown.cancelled() => return None,
            };
            match received {
                Ok(change) => return Some(self.told(&change)),
                Err(RecvError::Lagged(_)) => {
                    self.restart();
                    if let Some(event) = self.next_of_beginning() {
                        return Some(event);
                    }
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Snapshot or missed changes, then `synced`.
    fn next_of_beginning(&mut self) -> Option<Event> {
        if self.synced {
            return None;
        }
        if let Some(change) = self.missed.pop_front() {
            return Some(self.told(&change));
        }
        if !self.snapshot.is_empty() {
            let rows = self.snapshot.drain(..self.snapshot.len().min(PART));
            let part = Snapshot { items: rows.map(|row| brief(&row)).collect() };
            self.part += 1;
            let id = self.hub.partial_id(self.number, self.part);
            let json = serde_json::to_string(&part).unwrap_or_default();
            return Some(Event::default().event("snapshot").id(id).retry(RETRY).data(json));
        }
        self.synced = true;
        let id = self.hub.event_id(self.number);
        Some(Event::default().event("synced").id(id).retry(RETRY).data("{}"))
    }

    fn told(&self, change: &Change) -> Event {
        Event::default().event(change.event()).id(self.hub.event_id(change.number)).data(change.json())
    }
}
