//! Test servers, faults, certificates and builders for the other crates' tests

pub mod scripted;
