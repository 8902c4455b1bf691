//! The pipeline from the outside: what goes in as observations, what comes out at a provider.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "tests fail by panicking; helpers are shared between modules"
)]

mod build;
mod channels;
mod gallery;
mod model;
mod picture;
mod pipeline;
mod promise;
mod provider;
mod render;
mod scenarios;
mod schema;
