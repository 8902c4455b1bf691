//! `POST /api/v1/heartbeats/{namespace}/{name}`: something reports in.
//!
//! Names, token and parameters are checked here; what a report means is the engine's business. The body is not looked at.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use health_model::{CheckId, Outcome, Probe, Reason, Sensitive};
use health_runner::Row;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use subtle::ConstantTimeEq;

use crate::{
    parameters::{Parameters, PathParts},
    problem::Problem,
    rest::{HeartbeatRefused, Rest},
    telemetry::ReportFate,
};

/// Longest `response`, in characters.
const LONGEST_RESPONSE: usize = 1024;
/// Largest body that is read (and thrown away), in bytes.
const LARGEST_BODY: usize = 16 * 1024;
/// How long the body may take.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// What a report may say.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters; they are read one by one, each with an error of its own")]
pub(crate) struct ReportParameters {
    /// Whether what reports is healthy; true when absent.
    healthy: Option<bool>,
    /// A line for people, at most 1024 characters.
    response: Option<String>,
}

/// Report in.
///
/// Something that cannot be asked says that it lives: at least every `testInterval` + `grace`.
#[utoipa::path(
    post, path = "/api/v1/heartbeats/{namespace}/{name}", tag = "heartbeats",
    params(
        ("namespace" = String, Path, description = "The check's namespace"),
        ("name" = String, Path, description = "The check's name"),
        ReportParameters,
    ),
    security((), ("bearer" = [])),
    responses(
        (status = 202, description = "Taken in"),
        (status = 400, description = "A parameter that cannot be read", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The check has a token, and this is not it", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No heartbeat check of that name", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than 16 KiB", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The check's token cannot be read, or too many reports are waiting", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn report(
    State(rest): State<Rest>,
    PathParts((namespace, name)): PathParts<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let id = CheckId::new(namespace.as_str(), name.as_str());
    let taken = match admit(&rest, &id, &headers) {
        Ok(()) => take_in(&rest, &id, &uri, body).await,
        Err(refused) => Err(refused),
    };
    let (fate, response) = match taken {
        Ok(()) => (ReportFate::Accepted, StatusCode::ACCEPTED.into_response()),
        Err(Refusal::Unauthorized) => (ReportFate::Unauthorized, unauthorized()),
        Err(Refusal::Problem(problem)) => (ReportFate::Refused, problem.into_response()),
    };
    rest.telemetry.reports(fate).add();
    response
}

enum Refusal {
    Unauthorized,
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Whether there is such a heartbeat check and the caller may report for it.
fn admit(rest: &Rest, id: &CheckId, headers: &HeaderMap) -> Result<(), Refusal> {
    match rest.board.get(id).as_deref().and_then(token) {
        None => Err(nobody(id).into()),
        Some(Err(())) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "the manifest of {id} cannot be used now, so nobody's token can be checked; see the check's response"
            ),
        )
        .into()),
        Some(Ok(None)) => Ok(()),
        Some(Ok(Some(token))) if bearer(headers).is_some_and(|given| same(given, &token)) => Ok(()),
        Some(Ok(Some(_))) => Err(Refusal::Unauthorized),
    }
}

/// The token of a heartbeat check; nothing when it is none, an error when its manifest could not be resolved.
fn token(row: &Row) -> Option<Result<Option<Sensitive>, ()>> {
    match &row.definition.spec {
        Ok(spec) => match &spec.probe {
            Probe::Heartbeat(heartbeat) => Some(Ok(heartbeat.token.clone())),
            _ => None,
        },
        Err(problem) => (problem.kind == Some(health_model::ProbeKind::Heartbeat)).then_some(Err(())),
    }
}

fn nobody(id: &CheckId) -> Problem {
    Problem::not_found(format!("no heartbeat check is called {} in namespace {}", id.name(), id.namespace()))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Compared in a time that does not tell how much of it was right.
fn same(given: &[u8], token: &Sensitive) -> bool {
    given.ct_eq(token.expose().as_bytes()).into()
}

fn unauthorized() -> Response {
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "this check takes reports only with its token: Authorization: Bearer <token>",
    );
    let challenge = HeaderValue::from_static("Bearer realm=\"heartbeats\"");
    ([(header::WWW_AUTHENTICATE, challenge)], problem).into_response()
}

async fn take_in(rest: &Rest, id: &CheckId, uri: &Uri, body: Body) -> Result<(), Refusal> {
    let outcome = outcome(uri)?;
    swallow(body).await?;
    rest.heartbeats.report(id, outcome).map_err(|refused| match refused {
        HeartbeatRefused::Unknown => nobody(id).into(),
        HeartbeatRefused::Busy => {
            Refusal::Problem(Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{refused}; send it again")))
        }
    })
}

fn outcome(uri: &Uri) -> Result<Outcome, Problem> {
    let given = Parameters::read(uri, &["healthy", "response"])?;
    let healthy = given.boolean("healthy")?.unwrap_or(true);
    let one_line = |text: &str| {
        let fits = text.chars().count() <= LONGEST_RESPONSE && !text.chars().any(char::is_control);
        fits.then(|| text.trim().to_owned())
    };
    let allowed = "one line of at most 1024 characters";
    let response = given.parsed("response", allowed, one_line)?.filter(|text| !text.is_empty());
    let (reason, default) =
        if healthy { (Reason::Succeeded, "Reported in") } else { (Reason::ReportedUnhealthy, "Reported unhealthy") };
    Ok(Outcome::new(reason, response.unwrap_or_else(|| default.to_owned())))
}

/// Reads the body to its end, so that the answer does not meet a client that is still sending.
async fn swallow(body: Body) -> Result<(), Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, LARGEST_BODY).collect()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a report needs no body; this one is too large")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took longer than 10 s")),
    }
}
