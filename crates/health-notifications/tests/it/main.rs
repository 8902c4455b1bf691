//! The pipeline from the outside: what goes in as observations, what comes out at a provider.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "tests fail by panicking; helpers are shared between modules"
)]

mod books;
mod build;
mod certificates;
mod channels;
mod closing;
mod desk;
mod file_ledger;
mod gallery;
mod held;

mod limits;
mod model;
mod picture;
mod pipeline;
mod promise;
mod provider;
mod real_alertmanager;
mod real_mail;
mod render;
mod scenarios;
mod schema;
mod storms;
