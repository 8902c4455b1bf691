#![no_main]
//! Bytes that a peer may send, through `health_probes::fuzzing::dialogue`: no panic, no hang, no secret shown.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| health_probes::fuzzing::dialogue(bytes));
