//! Test servers, faults, certificates and builders for the other crates' tests

pub mod certificates;
pub mod control_plane;
pub mod daemon;
pub mod daemons;
pub mod name_server;
pub mod peer;
pub mod scripted;

/// Whether `LONG_TESTS` is set: then experiments are as long as the documentation says, and take minutes.
pub fn long_tests() -> bool {
    std::env::var_os("LONG_TESTS").is_some()
}
