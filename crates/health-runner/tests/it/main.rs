//! The engine as its users see it: definitions in, rows out, with a scripted prober and a paused clock.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod board_and_probes;
