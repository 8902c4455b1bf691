//! The REST endpoint: its routes and what their handlers share.

use std::sync::Arc;

use axum::Router;
use health_model::{CheckId, Outcome};
use health_runner::Board;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    checks, events, gate,
    healthchecks::{self, Rendition},
    heartbeats,
    hub::Hub,
    layers,
    openapi::{self, Description},
    problems::{self, SourceProblems},
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
    /// What is wrong with where checks and rules come from.
    pub problems: Arc<dyn SourceProblems>,
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
    pub(crate) hub: Arc<Hub>,
    pub(crate) heartbeats: Arc<dyn HeartbeatSink>,
    pub(crate) problems: Arc<dyn SourceProblems>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) description: Description,
}

/// The service for port 8082. Must be called on a tokio runtime: the streams follow the board in a task of their own.
pub fn rest_router(state: RestState) -> Service {
    let RestState { board, heartbeats, problems, telemetry, shutdown } = state;
    let (router, api) = described_router();
    let rest = Rest {
        rendition: Arc::default(),
        hub: Hub::start(&board, shutdown.clone()),
        heartbeats,
        problems,
        telemetry: Arc::clone(&telemetry),
        shutdown,
        description: Description::new(&api),
        board,
    };
    layers::finish(router.with_state(rest), Listener::Rest, telemetry)
}

/// The description of the REST endpoint (OpenAPI 3.1), as JSON.
pub fn openapi() -> String {
    let (_, api) = described_router();
    let mut json = api.to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}

fn described_router() -> (Router<Rest>, OpenApi) {
    let (router, mut api) = OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(openapi::root))
        .routes(routes!(healthchecks::list))
        .routes(routes!(checks::list))
        .routes(routes!(checks::one))
        .routes(routes!(gate::gate))
        .routes(routes!(heartbeats::report))
        .routes(routes!(events::stream))
        .routes(routes!(problems::list))
        .routes(routes!(openapi::openapi_json))
        .split_for_parts();
    // A key may hold a slash. OpenAPI cannot say so: it is told {key}, and the router takes the rest of the path.
    api.merge(OpenApiRouter::<Rest>::new().routes(routes!(healthchecks::one)).into_openapi());
    (router.route("/healthchecks/{*key}", axum::routing::get(healthchecks::one)), api)
}
