//! `/api/v1/checks`: everything known, of many checks or of one.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use health_model::{CheckId, CheckView};
use health_runner::Row;
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;

use crate::{
    etag::{EntityTag, fingerprint},
    listing::Listing,
    parameters::{Parameters, PathParts},
    problem::Problem,
    rest::Rest,
};

/// A page of checks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CheckList {
    /// The checks, without what failed probes saw; ask for one check to get that.
    items: Vec<CheckView>,
    /// Where the next page begins; absent on the last.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// How many checks match, on all pages.
    total: usize,
}

/// A check as lists and streams show it: without what a failed probe saw.
pub(crate) fn brief(row: &Row) -> CheckView {
    CheckView { evidence: None, ..row.view() }
}

/// Everything known about checks.
#[utoipa::path(
    get, path = "/api/v1/checks", tag = "checks", params(Listing),
    responses(
        (status = 200, description = "A page of checks", body = CheckList),
        (status = 304, description = "Unchanged since the entity tag in `If-None-Match`"),
        (status = 400, description = "A parameter that cannot be read", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(State(rest): State<Rest>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let listing = Listing::read(&uri)?;
    let written = tokio::task::spawn_blocking(move || {
        let page = listing.page(rest.board.rows());
        let items = page.rows.iter().map(|row| brief(row)).collect();
        serde_json::to_vec(&CheckList { items, next: page.next, total: page.total })
    });
    match written.await {
        Ok(Ok(body)) => Ok(EntityTag::from_fingerprint(fingerprint(&body)).answer(&headers, body.into())),
        Ok(Err(_)) | Err(_) => {
            Ok(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the list could not be written").into_response())
        }
    }
}

/// Everything known about one check, with what a failed probe saw.
#[utoipa::path(
    get, path = "/api/v1/checks/{namespace}/{name}", tag = "checks",
    params(
        ("namespace" = String, Path, description = "The check's namespace"),
        ("name" = String, Path, description = "The check's name"),
    ),
    responses(
        (status = 200, description = "The check", body = CheckView),
        (status = 304, description = "Unchanged since the entity tag in `If-None-Match`"),
        (status = 404, description = "No such check", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(rest): State<Rest>,
    PathParts((namespace, name)): PathParts<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Parameters::read(&uri, &[])?;
    let row = rest
        .board
        .get(&CheckId::new(namespace.as_str(), name.as_str()))
        .ok_or_else(|| Problem::not_found(format!("no check is called {name} in namespace {namespace}")))?;
    let body = serde_json::to_vec(&row.view())
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the check could not be written"))?;
    Ok(EntityTag::from_fingerprint(fingerprint(&body)).answer(&headers, body.into()))
}
