//! The REST endpoint: its routes and what their handlers share.

use std::sync::Arc;

use health_model::{CheckId, Outcome};
use health_runner::Board;
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    healthchecks::{self, Rendition},
    layers,
    serve::Service,
    telemetry::{Listener, Telemetry},
};

/// Why an engine does not take a heartbeat's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeartbeatRefused {
    /// Nobody declares such a heartbeat check (any more).
    #[error("there is no heartbeat check of that name")]
    Unknown,
    /// Too many reports are waiting; the same report may be sent again.
    #[error("too many reports are waiting to be taken in")]
    Busy,
}

/// Where reports of heartbeats go. Token, name and parameters have been checked before.
pub trait HeartbeatSink: Send + Sync + 'static {
    /// Takes in one report; never waits.
    ///
    /// # Errors
    /// When the check is gone, or too many reports are waiting.
    fn report(&self, id: &CheckId, outcome: Outcome) -> Result<(), HeartbeatRefused>;
}

impl HeartbeatSink for health_runner::EngineHandle {
    fn report(&self, id: &CheckId, outcome: Outcome) -> Result<(), HeartbeatRefused> {
        Self::report(self, id, outcome).map_err(|refused| match refused {
            health_runner::ReportError::Unknown => HeartbeatRefused::Unknown,
            health_runner::ReportError::Busy => HeartbeatRefused::Busy,
        })
    }
}

/// What the REST endpoint needs.
#[derive(Clone)]
pub struct RestState {
    /// What is known.
    pub board: Arc<Board>,
    /// Where heartbeats go: an [`health_runner::EngineHandle`].
    pub heartbeats: Arc<dyn HeartbeatSink>,
    /// Where requests are counted.
    pub telemetry: Arc<Telemetry>,
    /// Ends the streams.
    pub shutdown: CancellationToken,
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Rest {
    pub(crate) board: Arc<Board>,
    pub(crate) rendition: Arc<Rendition>,
    pub(crate) heartbeats: Arc<dyn HeartbeatSink>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) shutdown: CancellationToken,
}

/// The service for port 8082.
pub fn rest_router(state: RestState) -> Service {
    let RestState { board, heartbeats, telemetry, shutdown } = state;
    let rest = Rest { board, rendition: Arc::default(), heartbeats, telemetry: Arc::clone(&telemetry), shutdown };
    let (router, _description) = routes().split_for_parts();
    // A key may hold a slash; OpenAPI has no way to say so, so the description has {key} and the router this.
    let router = router.route("/healthchecks/{*key}", axum::routing::get(healthchecks::one));
    layers::finish(router.with_state(rest), Listener::Rest, telemetry)
}

fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(healthchecks::list))
}
