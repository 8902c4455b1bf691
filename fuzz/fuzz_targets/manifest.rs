#![no_main]
//! Texts that a user may write, through parsing and resolving: no panic, no hang, no secret in a problem.

libfuzzer_sys::fuzz_target!(|text: &str| health_manifests::fuzzing::manifest(text));
