//! Probes against real peers: what comes out for everything that a peer may do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod access;
mod ask;
mod assertions;
mod certificates;
mod hostile;
mod http;
mod names;
mod redirects;
mod secrets;
mod servers;
mod tcp;
