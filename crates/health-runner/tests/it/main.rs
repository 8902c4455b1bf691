//! The engine as its users see it: definitions in, rows out, with a scripted prober and a paused clock.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bounds;
mod edits;
mod faults;
mod following;
mod heartbeats;
mod network;
mod rig;
mod schedule;
mod shutdown;
