//! Test servers, faults, certificates and builders for the other crates' tests

pub mod certificates;
pub mod control_plane;
pub mod daemon;
pub mod daemons;
pub mod name_server;
pub mod peer;
pub mod scripted;
