//! Manifests as users write them, and what becomes of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod dependencies;
mod examples;
mod fixtures;
mod generated_files;
mod properties;
mod published_shapes;
mod reference;
mod secrets;
mod status;
mod targets;
mod yaml;
