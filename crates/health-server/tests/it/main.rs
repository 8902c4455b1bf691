//! The servers against real sockets, over an engine whose prober says what the test wrote.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod caching;
mod contract;
mod events;
mod gate;
mod generated;
mod health;
mod healthchecks;
mod heartbeats;
mod house;
mod limits;
mod lists;
mod metrics;
mod problems;
mod prometheus;
