//! Probes against real peers: what comes out for everything that a peer may do.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod ask;
mod certificates;
mod http;
mod names;
mod tcp;
