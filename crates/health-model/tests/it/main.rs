//! The model's rules as properties: what must hold for every sequence of outcomes and every moment.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod expressions;
mod schedule;
mod standing;
