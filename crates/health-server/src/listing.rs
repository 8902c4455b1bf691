//! Which checks a list holds, in which order, and where its next page begins. Pure.
//!
//! Pages are cut by position in the order, not by number: a check that comes or goes between two pages neither repeats
//! nor hides another. What a continuation means is checked against the query it came from.

use std::{cmp::Ordering, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use health_model::{LabelSelector, Reason, State, Verdict};
use health_runner::Row;
use serde::{Deserialize, Serialize};

use crate::{etag::fingerprint, parameters::Parameters, problem::Problem};

/// Items in a page when no limit is given.
const DEFAULT_LIMIT: usize = 500;
/// Most items in a page.
const LARGEST_LIMIT: usize = 10_000;

/// Which checks, in which order, how many.
#[derive(Debug, Default, utoipa::IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct Listing {
    /// Checks of this namespace alone.
    namespace: Option<String>,
    /// Checks that are, or are not, healthy by their last confirmed word.
    healthy: Option<bool>,
    /// Checks in this state.
    state: Option<State>,
    /// Checks with this reason.
    reason: Option<Reason>,
    /// Checks whose labels match, in the syntax of `kubectl -l`.
    #[param(value_type = Option<String>)]
    label_selector: Option<LabelSelector>,
    /// Checks with this text, in any case, in name, namespace, target, response, reason, description or a label.
    q: Option<String>,
    /// `name` (default), `status` (failing first), `lastTransition`, `responseTime`; with `-` in front descending. What
    /// has no such value comes last either way.
    #[param(value_type = Option<String>, example = "-lastTransition")]
    sort: Order,
    /// Most items in the answer.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 10000, default = 500)]
    limit: usize,
    /// Where to go on: `continue` of the page before, with all other parameters the same.
    #[param(rename = "continue", value_type = Option<String>)]
    after: Option<Position>,
    /// What the query asks, limit and continuation apart.
    #[param(ignore)]
    fingerprint: u64,
}

/// By what a list is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Name,
    Status,
    LastTransition,
    ResponseTime,
}

/// By what, and in which direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Order {
    sort: Sort,
    descending: bool,
}

/// A check's place in an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// Fingerprint of the query that it belongs to.
    query: u64,
    value: Option<i64>,
    name: String,
    namespace: String,
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Arc<Row>>,
    /// How many checks match, on all pages.
    pub(crate) total: usize,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<String>,
}

impl Listing {
    const PARAMETERS: [&'static str; 9] =
        ["namespace", "healthy", "state", "reason", "labelSelector", "q", "sort", "limit", "continue"];

    /// Reads a request's query.
    ///
    /// # Errors
    /// A 400 that names what could not be read.
    pub(crate) fn read(uri: &http::Uri) -> Result<Self, Problem> {
        let given = Parameters::read(uri, &Self::PARAMETERS)?;
        let fingerprint = query_fingerprint(&given);
        let states = [State::Active, State::CheckBackoff, State::Errored];
        let limit = |value: &str| value.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
        let position = |token: &str| Position::read(token).filter(|position| position.query == fingerprint);
        Ok(Self {
            namespace: given.text("namespace"),
            healthy: given.boolean("healthy")?,
            state: given.parsed("state", &words(&states.map(State::as_str)), |word| {
                states.into_iter().find(|state| state.as_str() == word)
            })?,
            reason: given.parsed("reason", &reasons(), Reason::parse)?,
            label_selector: selector(&given)?,
            q: given.get("q").map(str::to_lowercase),
            sort: given
                .parsed(
                    "sort",
                    "name, status, lastTransition or responseTime, with - in front for descending",
                    Order::read,
                )?
                .unwrap_or_default(),
            limit: given.parsed("limit", "a number from 1 to 10000", limit)?.unwrap_or(DEFAULT_LIMIT),
            after: given.parsed("continue", "what a page of this very query said", position)?,
            fingerprint,
        })
    }

    /// Cuts the page out of all rows there are.
    pub(crate) fn page(&self, rows: Vec<Arc<Row>>) -> Page {
        let mut matching: Vec<(Option<i64>, Arc<Row>)> =
            rows.into_iter().filter(|row| self.matches(row)).map(|row| (self.sort.value(&row), row)).collect();
        let total = matching.len();
        if let Some(after) = &self.after {
            let place = (after.value, after.name.as_str(), after.namespace.as_str());
            matching.retain(|(value, row)| self.sort.compare(key(*value, row), place).is_gt());
        }
        matching.sort_by(|(left_value, left), (right_value, right)| {
            self.sort.compare(key(*left_value, left), key(*right_value, right))
        });
        let more = matching.len() > self.limit;
        matching.truncate(self.limit);
        let next =
            matching.last().filter(|_| more).map(|(value, row)| Position::of(self.fingerprint, *value, row).token());
        Page { rows: matching.into_iter().map(|(_, row)| row).collect(), total, next }
    }

    fn matches(&self, row: &Row) -> bool {
        let Self { namespace, healthy, state, reason, label_selector, q, sort: _, limit: _, after: _, fingerprint: _ } =
            self;
        namespace.as_ref().is_none_or(|namespace| row.id().namespace() == namespace)
            && healthy.is_none_or(|healthy| row.standing.healthy() == healthy)
            && state.is_none_or(|state| row.standing.state == state)
            && reason.is_none_or(|reason| row.standing.reason == reason)
            && label_selector.as_ref().is_none_or(|selector| selector.matches(&row.definition.meta.labels))
            && q.as_ref().is_none_or(|text| mentions(row, text))
    }
}

/// Reads `labelSelector`.
///
/// # Errors
/// A 400 that names the part that could not be read.
pub(crate) fn selector(given: &Parameters) -> Result<Option<LabelSelector>, Problem> {
    let Some(text) = given.get("labelSelector") else { return Ok(None) };
    LabelSelector::parse(text).map(Some).map_err(|part| {
        Problem::parameter("labelSelector", text, &format!("like a=b,c!=d,e in (f,g),!h; could not read {part:?}"))
    })
}

/// Everything that decides what is listed in which order; a continuation of one query is none of another.
fn query_fingerprint(given: &Parameters) -> u64 {
    let mut text = String::new();
    for name in Listing::PARAMETERS.into_iter().filter(|name| !["limit", "continue"].contains(name)) {
        text.push_str(given.get(name).map_or("\u{1}", |value| value));
        text.push('\0');
    }
    fingerprint(text.as_bytes())
}

fn words(words: &[&str]) -> String {
    match words {
        [all_but_last @ .., last] if !all_but_last.is_empty() => format!("{} or {last}", all_but_last.join(", ")),
        _ => words.concat(),
    }
}

fn reasons() -> String {
    let all: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    words(&all)
}

/// Whether a text in lower case is somewhere in what people see of a check.
fn mentions(row: &Row, text: &str) -> bool {
    let has = |part: &str| part.to_lowercase().contains(text);
    let meta = &row.definition.meta;
    let spec = row.definition.spec.as_ref();
    has(meta.id.name())
        || has(meta.id.namespace())
        || has(&row.standing.response)
        || has(row.standing.reason.as_str())
        || meta.labels.iter().any(|(label, value)| has(&format!("{label}={value}")))
        || match spec {
            Ok(spec) => has(&spec.probe.target()) || spec.description.as_deref().is_some_and(has),
            Err(problem) => problem.target.as_deref().is_some_and(has),
        }
}

type Key<'a> = (Option<i64>, &'a str, &'a str);

fn key(value: Option<i64>, row: &Row) -> Key<'_> {
    (value, row.id().name(), row.id().namespace())
}

impl Order {
    fn read(text: &str) -> Option<Self> {
        let (descending, word) = text.strip_prefix('-').map_or((false, text), |word| (true, word));
        let sort = match word {
            "name" => Sort::Name,
            "status" => Sort::Status,
            "lastTransition" => Sort::LastTransition,
            "responseTime" => Sort::ResponseTime,
            _ => return None,
        };
        Some(Self { sort, descending })
    }

    /// What a row is ordered by, before its name.
    fn value(self, row: &Row) -> Option<i64> {
        match self.sort {
            Sort::Name => Some(0),
            Sort::Status => Some(match row.standing.verdict {
                Verdict::Failing => 0,
                Verdict::Unknown => 1,
                Verdict::Healthy if row.stale() => 1,
                Verdict::Healthy => 2,
            }),
            Sort::LastTransition => row.standing.last_transition.map(jiff::Timestamp::as_microsecond),
            Sort::ResponseTime => row
                .standing
                .last_outcome
                .as_ref()
                .and_then(|outcome| i64::try_from(outcome.measured()?.as_nanos()).ok()),
        }
    }

    fn compare(self, left: Key<'_>, right: Key<'_>) -> Ordering {
        let turned = |ordering: Ordering| if self.descending { ordering.reverse() } else { ordering };
        let values = match (left.0, right.0) {
            (Some(left), Some(right)) => turned(left.cmp(&right)),
            (left, right) => left.is_none().cmp(&right.is_none()),
        };
        let names = (left.1, left.2).cmp(&(right.1, right.2));
        values.then(if self.sort == Sort::Name { turned(names) } else { names })
    }
}

impl Position {
    fn of(query: u64, value: Option<i64>, row: &Row) -> Self {
        Self { query, value, name: row.id().name().to_owned(), namespace: row.id().namespace().to_owned() }
    }

    fn token(&self) -> String {
        // Numbers and strings: serialising them cannot fail.
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn read(token: &str) -> Option<Self> {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()
    }
}
