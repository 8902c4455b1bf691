//! What runs when, and what is known: registry, timetable, worker pool, board.
//!
//! A source hands definitions to an [`EngineHandle`]; one task, the engine, owns registry and timetable, starts probes
//! through the [`health_model::Prober`] it was handed, judges their outcomes and is the only writer of the [`Board`].
//! Readers hold rows by `Arc`; nothing that reads the board can slow a probe down. This crate must not know protocols,
//! Kubernetes or HTTP.

mod awake;
mod board;
mod declare;
mod engine;
mod judge;
mod launch;
mod pauses;
mod places;
mod pulse;
mod registry;
mod row;
mod running;
mod settings;
mod subscription;
mod timetable;
mod witness;

pub use board::Board;
pub use engine::{Engine, EngineHandle, ReportError};
pub use pulse::{LAG_BOUNDARIES, LagHistogram, Pulse};
pub use row::{Row, Tally};
pub use settings::{EngineSettings, WallClock};
pub use subscription::{Change, Subscription};
pub use witness::{TcpWitnesses, Witness, WitnessError};
