//! `/metrics`: what is known, in the Prometheus text format, made at the moment it is scraped.
//!
//! Gauges and counters of a check are read from its row, so every series of a check ends with the check and no truth is
//! kept twice. Always the classic text format 0.0.4, whatever the scraper would accept besides: OpenMetrics demands that
//! a counter's name ends in `_total`, and the published name `healthcheck_response_codes` does not.

mod checks;
mod classic;
mod families;
mod process;
mod schedule;
mod servers;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use health_runner::Board;
use http::{HeaderValue, StatusCode, header};
use prometheus_client::{collector::Collector, encoding::text, registry::Registry};

use crate::{
    layers,
    problem::Problem,
    serve::Service,
    telemetry::{Listener, Telemetry},
};

/// The media type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the metrics endpoint needs.
#[derive(Debug)]
pub struct MetricsState {
    /// What is known.
    pub board: Arc<Board>,
    /// What the servers counted.
    pub telemetry: Arc<Telemetry>,
    /// What other parts of the process measure.
    pub collectors: Vec<Box<dyn Collector>>,
}

/// The service for port 8080.
pub fn metrics_router(state: MetricsState) -> Service {
    let MetricsState { board, telemetry, collectors } = state;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(checks::Checks::new(Arc::clone(&board))));
    registry.register_collector(Box::new(schedule::Schedule::new(board)));
    registry.register_collector(Box::new(servers::Servers::new(Arc::clone(&telemetry))));
    registry.register_collector(Box::new(process::Process));
    collectors.into_iter().for_each(|collector| registry.register_collector(collector));
    let router = Router::new().route("/metrics", get(scrape)).with_state(Arc::new(registry));
    layers::finish(router, Listener::Metrics, telemetry)
}

/// Scraping ten thousand checks takes tens of milliseconds, which no probe shall wait for: a thread of its own does it.
async fn scrape(State(registry): State<Arc<Registry>>) -> Response {
    match tokio::task::spawn_blocking(move || exposition(&registry)).await {
        Ok(Ok(body)) => ([(header::CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT))], body).into_response(),
        Ok(Err(std::fmt::Error)) | Err(_) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written").into_response()
        }
    }
}

fn exposition(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut open_metrics = String::new();
    text::encode_registry(&mut open_metrics, registry)?;
    Ok(classic::from_open_metrics(&open_metrics))
}
