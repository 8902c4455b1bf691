//! `/api/v1/gate`: one status for several checks, for load balancers and scripts.
//!
//! What is not known to be healthy closes the gate: failing, pending or stale. Maintenance and severity do not matter
//! here; who asks has named what must be up.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use health_model::{CheckId, Verdict};
use health_runner::Row;
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{listing::selector, parameters::Parameters, problem::Problem, rest::Rest};

/// How many of the checks that close a gate are told about one by one.
const MOST_TOLD: usize = 100;

/// Which checks must be healthy: `checks` or `labelSelector`.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the parameters; they are read one by one, each with an error of its own")]
pub(crate) struct GateParameters {
    /// Names, separated by commas: keys of `/healthchecks`, or `namespace/name`.
    #[param(example = "web,shop/api")]
    checks: Option<String>,
    /// Checks whose labels match, in the syntax of `kubectl -l`.
    label_selector: Option<String>,
    /// The namespace in which bare names and labels are looked up.
    namespace: Option<String>,
}

/// An open gate.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Open {
    /// Always true.
    healthy: bool,
    /// How many checks were asked about.
    total: usize,
}

/// Whether all of these checks are known to be healthy.
///
/// Failing, pending and stale checks close the gate; the answer says which and why.
#[utoipa::path(
    get, path = "/api/v1/gate", tag = "gate", params(GateParameters),
    responses(
        (status = 200, description = "All are healthy", body = Open),
        (status = 400, description = "Neither or both of `checks` and `labelSelector`, or an empty one", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "A name nobody has, or a selector that matches nothing", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "At least one is not known to be healthy; `checks` says which and why", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn gate(State(rest): State<Rest>, uri: Uri) -> Result<Response, Problem> {
    let given = Parameters::read(&uri, &["checks", "labelSelector", "namespace"])?;
    refuse_what_names_nothing(&given)?;
    let rows = match (given.get("checks"), selector(&given)?) {
        (Some(names), None) => named(&rest, names, given.get("namespace"))?,
        (None, Some(selector)) => {
            let in_scope = |row: &Arc<Row>| {
                given.get("namespace").is_none_or(|namespace| row.id().namespace() == namespace)
                    && selector.matches(&row.definition.meta.labels)
            };
            rest.board.rows().into_iter().filter(in_scope).collect()
        }
        _ => return Err(Problem::new(StatusCode::BAD_REQUEST, "say either checks= or labelSelector=")),
    };
    if rows.is_empty() {
        return Err(Problem::not_found("no check matches"));
    }
    let closing: Vec<Closing> = rows.iter().filter_map(|row| Closing::by(row)).collect();
    if closing.is_empty() {
        return Ok(Json(Open { healthy: true, total: rows.len() }).into_response());
    }
    Ok(closed(&closing, rows.len()).into_response())
}

/// An empty `checks` or `labelSelector` is most likely a script's variable that was never set. It asks about nothing, so
/// it must neither open the gate nor look like a check that is gone; and an empty selector would mean all checks there are.
fn refuse_what_names_nothing(given: &Parameters) -> Result<(), Problem> {
    let nothing = |value: &str| value.split(',').all(|part| part.trim().is_empty());
    match (given.get("checks"), given.get("labelSelector")) {
        (Some(names), _) if nothing(names) => {
            Err(Problem::parameter("checks", names, "names separated by commas, at least one"))
        }
        (_, Some(selector)) if nothing(selector) => {
            Err(Problem::parameter("labelSelector", selector, "a selector that is not empty, such as tier=web"))
        }
        _ => Ok(()),
    }
}

/// The checks of a comma-separated list, each once.
fn named(rest: &Rest, names: &str, namespace: Option<&str>) -> Result<Vec<Arc<Row>>, Problem> {
    let mut rows = Vec::<Arc<Row>>::new();
    let mut nobodys = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let found = match namespace {
            Some(namespace) if !name.contains('/') => rest.board.get(&CheckId::new(namespace, name)),
            _ => rest.rendition.find(&rest.board, name),
        };
        match found {
            Some(row) if rows.iter().any(|known| known.id() == row.id()) => {}
            Some(row) => rows.push(row),
            None => nobodys.push(name),
        }
    }
    if nobodys.is_empty() {
        return Ok(rows);
    }
    Err(Problem::not_found(format!("nobody has the name {}", nobodys.join(", "))).with("missing", json!(nobodys)))
}

/// A check that closes a gate, and why.
struct Closing<'a> {
    row: &'a Row,
    why: &'static str,
}

impl<'a> Closing<'a> {
    fn by(row: &'a Row) -> Option<Self> {
        let why = match row.standing.verdict {
            Verdict::Failing => "failing",
            Verdict::Unknown => "pending",
            Verdict::Healthy if row.stale() => "stale",
            Verdict::Healthy => return None,
        };
        Some(Self { row, why })
    }

    fn told(&self) -> Value {
        let Self { row, why } = self;
        let standing = &row.standing;
        json!({
            "namespace": row.id().namespace(),
            "name": row.id().name(),
            "why": why,
            "healthy": standing.healthy(),
            "stale": row.stale(),
            "state": standing.state,
            "reason": standing.reason,
            "response": standing.response,
        })
    }
}

fn closed(closing: &[Closing<'_>], total: usize) -> Problem {
    let words: Vec<String> = closing
        .iter()
        .take(10)
        .map(|Closing { row, why }| {
            format!("{} is {why} ({}: {})", row.id(), row.standing.reason, row.standing.response)
        })
        .collect();
    let rest = closing.len().saturating_sub(words.len());
    let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    let detail = format!("{} of {total} not known to be healthy: {}{more}", closing.len(), words.join("; "));
    let told: Vec<Value> = closing.iter().take(MOST_TOLD).map(Closing::told).collect();
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        .titled("Not all checks are healthy")
        .with("healthy", false)
        .with("total", total)
        .with("notHealthy", closing.len())
        .with("checks", told)
}
