//! The real binary, started as users start it, on ports of its own.
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

mod cluster;
mod commands;
mod docs;
mod examples;
mod folder;
mod killed;
mod operator;
mod running;
mod secrets;
mod state_dir;
mod target;
mod telling;
