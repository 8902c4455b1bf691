//! `/healthz` and `/readyz`, in the plain words that Kubernetes uses.
//!
//! Ready means: what the other ports answer can be relied on. Alive means: a restart would not help. So a target that is
//! down, an API server that is away or a bad manifest never makes the process unhealthy.

use std::{fmt::Write, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
    routing::get,
};
use health_runner::{Board, Pulse};
use http::{HeaderValue, StatusCode, header};

use crate::{
    layers,
    serve::Service,
    telemetry::{Listener, Telemetry},
};

/// Silence of the engine, while our process ran, after which only a restart can help.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// How one part of the process is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionState {
    /// It works.
    Ready,
    /// It does not work yet, or not now; the words say why. Fails `/readyz`.
    NotReady(String),
    /// It has ended and will not come back without a restart; the words say why. Fails `/readyz` and `/healthz`.
    Dead(String),
}

/// A part of the process and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// One word, such as `source`.
    pub name: &'static str,
    /// How it is doing.
    pub state: ConditionState,
}

/// What only the wiring knows: whether the source has been read for the first time, whether a task has ended. The
/// schedule's progress need not be reported, it is read from the board.
pub trait Readiness: Send + Sync + 'static {
    /// Every part there is, ready or not, in the order in which they are listed. Never waits.
    fn conditions(&self) -> Vec<Condition>;
}

/// What the health endpoints need.
#[derive(Clone)]
pub struct HealthState {
    /// Whose schedule is watched.
    pub board: Arc<Board>,
    /// Everything else that matters.
    pub readiness: Arc<dyn Readiness>,
    /// Where requests are counted.
    pub telemetry: Arc<Telemetry>,
}

/// The service for port 8081.
pub fn health_router(state: HealthState) -> Service {
    let telemetry = Arc::clone(&state.telemetry);
    let router = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).with_state(state);
    layers::finish(router, Listener::Health, telemetry)
}

async fn alive(State(state): State<HealthState>, RawQuery(query): RawQuery) -> Response {
    let fails = |condition: &Condition| matches!(condition.state, ConditionState::Dead(_));
    answer("healthz", &state.all(), fails, query.as_deref())
}

async fn ready(State(state): State<HealthState>, RawQuery(query): RawQuery) -> Response {
    let fails = |condition: &Condition| condition.state != ConditionState::Ready;
    answer("readyz", &state.all(), fails, query.as_deref())
}

impl HealthState {
    fn all(&self) -> Vec<Condition> {
        let mut all = self.readiness.conditions();
        all.push(schedule(&self.board.pulse()));
        all
    }
}

/// How the schedule is doing.
fn schedule(pulse: &Pulse) -> Condition {
    let silence = pulse.since_last_tick;
    let state = match pulse {
        _ if silence > DEAD_AFTER => ConditionState::Dead(format!("the engine has not moved for {silence:.0?}")),
        Pulse { stands_still: false, .. } => ConditionState::Ready,
        _ if pulse.starving_checks > 0 => ConditionState::NotReady(format!(
            "{} checks cannot be judged because this process gets too little time to run",
            pulse.starving_checks
        )),
        Pulse { since_last_probe: Some(since), .. } => ConditionState::NotReady(format!(
            "the schedule stands still: the engine moved {silence:.1?} ago, the last probe ended {since:.1?} ago"
        )),
        _ => ConditionState::NotReady(format!(
            "the schedule stands still: the engine moved {silence:.1?} ago, no probe has ended yet"
        )),
    };
    Condition { name: "schedule", state }
}

fn answer(name: &str, all: &[Condition], fails: impl Fn(&Condition) -> bool, query: Option<&str>) -> Response {
    let failed = all.iter().any(&fails);
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    let (status, word) = if failed { (StatusCode::SERVICE_UNAVAILABLE, "failed") } else { (StatusCode::OK, "passed") };
    let mut body = String::new();
    if !failed && !verbose {
        body.push_str("ok");
    } else {
        for condition in all {
            let (mark, words) = match &condition.state {
                _ if !fails(condition) => ("+", "ok"),
                ConditionState::Ready => ("+", "ok"),
                ConditionState::NotReady(why) | ConditionState::Dead(why) => ("-", why.as_str()),
            };
            // Writing into a string cannot fail.
            let _ = writeln!(body, "[{mark}]{} {words}", condition.name);
        }
        let _ = writeln!(body, "{name} check {word}");
    }
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    (status, [(header::CONTENT_TYPE, plain)], body).into_response()
}
