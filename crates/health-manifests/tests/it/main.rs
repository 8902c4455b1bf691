//! Manifests as users write them, and what becomes of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod fixtures;
mod generated_files;
mod published_shapes;
