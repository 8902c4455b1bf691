//! Probes against real peers: what comes out for everything that a peer may do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod access;
mod ask;
mod assertions;
mod certificates;
mod dns;
mod documented;
mod explained;
mod grpc;
mod hostile;
mod http;
mod icmp;
mod names;
mod redirects;
mod secrets;
mod servers;
mod starttls;
mod tcp;
mod udp;
mod websocket;
