//! `/api/v1/problems`: what is wrong with what checks and rules are read from, for the page and for scripts.
//!
//! A check that names itself but is invalid is in `/healthchecks` too; here is also what has no check to be shown at: a
//! file that is no YAML, a document without a name, a second Secret of one name. What is said here is in the log as well.

use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;

use crate::{
    etag::{EntityTag, fingerprint},
    parameters::Parameters,
    problem::Problem,
    rest::Rest,
};

/// Most problems told; `total` says how many there are.
const MOST_TOLD: usize = 1_000;

/// Where problems of the source are had.
pub trait SourceProblems: Send + Sync + 'static {
    /// Everything wrong now, one line each, in an order that stays: file, line, field, remedy. Never a secret.
    fn problems(&self) -> Vec<String>;
}

/// One problem.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SourceProblem {
    /// File, line and field as far as they are known, what is wrong, and the remedy.
    #[schema(
        example = "web.yaml:3: is no valid YAML; mend indentation, quotes or colons at this line or just above it"
    )]
    problem: String,
}

/// What is wrong with the source.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SourceProblemList {
    /// The first thousand.
    items: Vec<SourceProblem>,
    /// How many there are.
    total: usize,
}

/// What is wrong with the files that checks and rules are read from.
///
/// Empty where nothing is, and in a cluster, which refuses what is wrong or shows it at the object.
#[utoipa::path(
    get, path = "/api/v1/problems", tag = "problems",
    responses(
        (status = 200, description = "What is wrong now", body = SourceProblemList),
        (status = 304, description = "Unchanged since the entity tag in `If-None-Match`"),
        (status = 400, description = "A parameter, where none is read", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(State(rest): State<Rest>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    Parameters::read(&uri, &[])?;
    let problems = rest.problems.problems();
    let total = problems.len();
    let items = problems.into_iter().take(MOST_TOLD).map(|problem| SourceProblem { problem }).collect();
    let body = serde_json::to_vec(&SourceProblemList { items, total })
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the problems could not be written"))?;
    Ok(EntityTag::from_fingerprint(fingerprint(&body)).answer(&headers, body.into()))
}
