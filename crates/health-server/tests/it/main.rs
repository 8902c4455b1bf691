//! The servers against real sockets, over an engine whose prober says what the test wrote.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod contract;
mod house;
