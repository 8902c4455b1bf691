//! `/healthchecks`: the published answer, four fields per check.
//!
//! The body is put together incrementally: what has not changed since the last request is copied from the last body, so
//! ten thousand checks cost a walk over pointers, however many of them are probed per second. Bounded by one body and one
//! pointer per check.

use std::{
    hash::Hasher,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{body::Bytes, extract::State, response::Response};
use health_model::{CheckId, State as CheckState};
use health_runner::{Board, Row};
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;
use siphasher::sip::SipHasher13;

use crate::{
    etag::{EntityTag, fingerprint},
    keys::KeyTable,
    parameters::{Parameters, PathParts},
    problem::Problem,
    rest::Rest,
};

/// One entry of `/healthchecks`: exactly these four fields.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Entry<'a> {
    /// The check's bare name, also where the key is `namespace/name`.
    name: &'a str,
    /// What is believed; false while nothing is known, and when the check has not been probed for too long.
    healthy: bool,
    /// The last word.
    response: std::borrow::Cow<'a, str>,
    /// The last word's state.
    state: CheckState,
}

impl<'a> Entry<'a> {
    fn new(row: &'a Row, overdue: bool) -> Self {
        let response = if overdue { stale_words(row).into() } else { row.standing.response.as_str().into() };
        Self { name: row.id().name(), healthy: published_health(row, overdue), response, state: row.standing.state }
    }
}

/// `healthy` as `/healthchecks` and `healthcheck_status` say it: a check that is not being probed is not healthy.
pub(crate) fn published_health(row: &Row, overdue: bool) -> bool {
    row.standing.healthy() && !overdue
}

fn stale_words(row: &Row) -> String {
    match row.standing.last_checked {
        Some(at) => format!("Stale: not probed since {at}; last word: {}", row.standing.response),
        None => format!("Stale: never probed; last word: {}", row.standing.response),
    }
}

/// Whose checks are asked for.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Scope {
    /// One namespace alone; its checks go by their bare names.
    namespace: Option<String>,
}

impl Scope {
    /// Other parameters are ignored: scripts add their own.
    fn read(uri: &Uri) -> Result<Self, Problem> {
        Ok(Self { namespace: Parameters::read_lenient(uri, &["namespace"])?.text("namespace") })
    }
}

/// Every configured check by its key.
///
/// The key is the check's name; where several namespaces hold a name, the oldest object keeps the bare name and every
/// other is `namespace/name`.
#[utoipa::path(
    get, path = "/healthchecks", tag = "healthchecks", params(Scope),
    responses(
        (status = 200, description = "Entries by key", body = std::collections::BTreeMap<String, Entry<'static>>),
        (status = 304, description = "Unchanged since the entity tag in `If-None-Match`"),
    )
)]
pub(crate) async fn list(State(rest): State<Rest>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let scope = Scope::read(&uri)?;
    let rendered = tokio::task::spawn_blocking(move || match scope.namespace {
        None => rest.rendition.current(&rest.board),
        Some(namespace) => of_namespace(&rest.board, &namespace),
    });
    match rendered.await {
        Ok((tag, body)) => Ok(tag.answer(&headers, body)),
        Err(_panicked_or_stopping) => {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the checks could not be written"))
        }
    }
}

/// One check's entry.
///
/// Takes a key of `/healthchecks`, or `namespace/name` (with a slash or `%2F`) of any check.
#[utoipa::path(
    get, path = "/healthchecks/{key}", tag = "healthchecks",
    params(("key" = String, Path, description = "A key of `/healthchecks`, or `namespace/name`"), Scope),
    responses(
        (status = 200, description = "The entry", body = Entry<'static>),
        (status = 304, description = "Unchanged since the entity tag in `If-None-Match`"),
        (status = 404, description = "No such check", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(rest): State<Rest>,
    PathParts(key): PathParts<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let scope = Scope::read(&uri)?;
    let row = match &scope.namespace {
        Some(namespace) => rest.board.get(&CheckId::new(namespace.as_str(), key.as_str())),
        None => rest.rendition.find(&rest.board, &key),
    };
    let row = row.ok_or_else(|| match &scope.namespace {
        Some(namespace) => Problem::not_found(format!("no check is called {key} in namespace {namespace}")),
        None => Problem::not_found(format!("no check has the key {key}; /healthchecks lists them all")),
    })?;
    let body = serde_json::to_vec(&Entry::new(&row, row.overdue())).unwrap_or_default();
    Ok(EntityTag::from_fingerprint(fingerprint(&body)).answer(&headers, body.into()))
}

fn of_namespace(board: &Board, namespace: &str) -> (EntityTag, Bytes) {
    let mut body = BodyWriter::with_capacity(1024);
    for (position, row) in board.rows().iter().enumerate().filter(|(_, row)| row.id().namespace() == namespace) {
        body.render(row.id().name(), row, position);
    }
    body.finish()
}

/// The last body, and what it was made of.
#[derive(Debug, Default)]
pub(crate) struct Rendition(Mutex<Option<Rendered>>);

#[derive(Debug)]
struct Rendered {
    definitions_revision: u64,
    keys: Arc<KeyTable>,
    fragments: Vec<Fragment>,
    tag: EntityTag,
    body: Bytes,
}

/// One entry of the body, with its key.
#[derive(Debug)]
struct Fragment {
    row: Arc<Row>,
    /// Where the board lists the row.
    position: usize,
    overdue: bool,
    fingerprint: u64,
    text: Range<usize>,
}

impl Rendition {
    /// The body as it is now.
    fn current(&self, board: &Board) -> (EntityTag, Bytes) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let definitions_revision = board.definitions_revision();
        let rows = board.rows();
        let before = last.take().filter(|last| last.definitions_revision == definitions_revision);
        let now = match before {
            Some(before) => before.renew(&rows),
            None => Rendered::anew(definitions_revision, &rows),
        };
        let answer = (now.tag.clone(), now.body.clone());
        *last = Some(now);
        answer
    }

    /// The check that holds a key, or that `namespace/name` names.
    pub(crate) fn find(&self, board: &Board, key: &str) -> Option<Arc<Row>> {
        let keys = self.keys(board);
        let id = match keys.get(key) {
            Some(id) => id.clone(),
            None => key.split_once('/').map(|(namespace, name)| CheckId::new(namespace, name))?,
        };
        board.get(&id)
    }

    /// The keys as they are now.
    fn keys(&self, board: &Board) -> Arc<KeyTable> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = board.definitions_revision();
        match last.as_ref().filter(|last| last.definitions_revision == revision) {
            Some(last) => Arc::clone(&last.keys),
            None => {
                let rendered = last.insert(Rendered::anew(revision, &board.rows()));
                Arc::clone(&rendered.keys)
            }
        }
    }
}

impl Rendered {
    /// Renders everything.
    fn anew(definitions_revision: u64, rows: &[Arc<Row>]) -> Self {
        let keys = Arc::new(KeyTable::new(rows.iter().map(|row| &row.definition.meta)));
        let mut body = BodyWriter::with_capacity(rows.len() * 128);
        let mut fragments = Vec::with_capacity(rows.len());
        for (key, id) in keys.iter() {
            if let Ok(position) = rows.binary_search_by(|row| row.id().cmp(id)) {
                fragments.push(body.render(key, &rows[position], position));
            }
        }
        let (tag, body) = body.finish();
        Self { definitions_revision, keys, fragments, tag, body }
    }

    /// Renders what has changed and copies the rest.
    fn renew(self, rows: &[Arc<Row>]) -> Self {
        if !self.is_of(rows) {
            return Self::anew(self.definitions_revision, rows);
        }
        let mut body = BodyWriter::with_capacity(self.body.len() + 1024);
        let mut fragments = Vec::with_capacity(self.fragments.len());
        for ((key, _), old) in self.keys.iter().zip(&self.fragments) {
            let row = &rows[old.position];
            let same = Arc::ptr_eq(row, &old.row) && row.overdue() == old.overdue;
            fragments.push(match same {
                true => body.copy(old, &self.body[old.text.clone()]),
                false => body.render(key, row, old.position),
            });
        }
        let (tag, body) = body.finish();
        Self { fragments, tag, body, ..self }
    }

    /// Whether the same checks are on the board as when this was rendered.
    fn is_of(&self, rows: &[Arc<Row>]) -> bool {
        let same = |fragment: &Fragment| {
            rows.get(fragment.position)
                .is_some_and(|row| Arc::ptr_eq(row, &fragment.row) || row.id() == fragment.row.id())
        };
        rows.len() == self.fragments.len() && self.fragments.iter().all(same)
    }
}

/// Writes the object entry by entry, and its fingerprint along the way.
struct BodyWriter {
    bytes: Vec<u8>,
    hasher: SipHasher13,
}

impl BodyWriter {
    fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(bytes);
        buffer.push(b'{');
        Self { bytes: buffer, hasher: SipHasher13::new() }
    }

    fn render(&mut self, key: &str, row: &Arc<Row>, position: usize) -> Fragment {
        let overdue = row.overdue();
        let start = self.begin();
        // Strings and booleans into memory: neither step can fail.
        let _ = serde_json::to_writer(&mut self.bytes, key);
        self.bytes.push(b':');
        let _ = serde_json::to_writer(&mut self.bytes, &Entry::new(row, overdue));
        let text = start..self.bytes.len();
        let fingerprint = fingerprint(&self.bytes[text.clone()]);
        self.hasher.write_u64(fingerprint);
        Fragment { row: Arc::clone(row), position, overdue, fingerprint, text }
    }

    fn copy(&mut self, old: &Fragment, text: &[u8]) -> Fragment {
        let start = self.begin();
        self.bytes.extend_from_slice(text);
        self.hasher.write_u64(old.fingerprint);
        Fragment {
            row: Arc::clone(&old.row),
            position: old.position,
            overdue: old.overdue,
            fingerprint: old.fingerprint,
            text: start..self.bytes.len(),
        }
    }

    fn begin(&mut self) -> usize {
        if self.bytes.len() > 1 {
            self.bytes.push(b',');
        }
        self.bytes.len()
    }

    fn finish(mut self) -> (EntityTag, Bytes) {
        self.bytes.push(b'}');
        (EntityTag::from_fingerprint(self.hasher.finish()), self.bytes.into())
    }
}
