//! REST, metrics and health endpoints over what the runner knows.
//!
//! Three routers, one way to serve them:
//! [`rest_router`] (port 8082), [`metrics_router`] (8080) and [`health_router`] (8081), each handed to [`serve()`] with a
//! listener. All of it reads the [`health_runner::Board`]; nothing here can hold a probe up, and nothing here knows
//! protocols or Kubernetes. What only the process knows (has the source been read?) comes in through the port
//! [`Readiness`]; reports of heartbeats go out through the port [`HeartbeatSink`].

mod checks;
mod etag;
mod events;
mod gate;
mod health;
mod healthchecks;
mod heartbeats;
mod hub;
mod keys;
mod layers;
mod listing;
mod metrics;
mod openapi;
mod parameters;
mod problem;
mod problems;
mod rest;
mod serve;
mod stall;
mod telemetry;

pub use health::{Condition, ConditionState, HealthState, Readiness, health_router};
pub use metrics::{MetricsState, metrics_router};
pub use problem::Problem;
pub use problems::SourceProblems;
pub use rest::{HeartbeatRefused, HeartbeatSink, RestState, openapi, rest_router};
pub use serve::{Service, serve};
pub use telemetry::{Listener, Telemetry};
