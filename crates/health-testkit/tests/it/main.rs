//! What is true of the project as a whole: the walls between its crates, the habits of its files, its chart, its image,
//! and the control plane that the cluster tests run against. Tests of one crate's behaviour belong to that crate.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod boundaries;
mod chart;
mod chart_in_a_cluster;
mod control_plane;
mod hygiene;
mod image;
mod installing;
mod project;
mod scripts;
