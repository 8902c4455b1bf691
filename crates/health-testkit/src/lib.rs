//! Test servers, faults, certificates and builders for the other crates' tests

pub mod control_plane;
pub mod scripted;
