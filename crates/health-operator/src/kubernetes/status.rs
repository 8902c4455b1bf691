//! Writes statuses by server-side apply under our own field manager, in the order and at the rate the queue allows.
//!
//! Nothing upstream waits for this task: it follows the board and holds at most one entry per check.

use std::{collections::HashMap, sync::Arc, time::Duration};

use health_manifests::status::{HealthCheckStatus, StatusParts};
use health_model::{CheckId, CheckMeta, Reason, State};
use health_runner::{Board, Change, Row};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    events::{COMPONENT, EventSender},
    metrics::ClusterMetrics,
    status_queue::{StatusQueue, Urgency, Written},
};

/// Writes under way at once.
const WRITERS: usize = 16;
/// The longest one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often statuses are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusSettings {
    /// Writes a second for the whole operator, on average; turns are charged but never held back. Default 5.
    pub(crate) budget: f64,
    /// How old `lastChecked` may grow in an object before it is refreshed, when the budget allows. Default 30 s.
    pub(crate) refresh: Duration,
}

/// The part of a status whose change is worth more than a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    healthy: bool,
    state: State,
    reason: Reason,
    generation: i64,
}

impl Word {
    fn of(row: &Row) -> Self {
        let standing = &row.standing;
        Self {
            healthy: standing.healthy(),
            state: standing.state,
            reason: standing.reason,
            generation: judged_generation(row),
        }
    }
}

/// The generation that the last word is about. An edited check's is the old one until it was probed, so that who waits
/// for `observedGeneration` never reads an answer to another question.
fn judged_generation(row: &Row) -> i64 {
    match row.standing.reason {
        Reason::Suspended => row.definition.meta.generation,
        _ => row.standing.observed_generation,
    }
}

/// The task that writes statuses and tells events.
pub(super) struct StatusWriter {
    client: Client,
    resource: ApiResource,
    board: Arc<Board>,
    events: EventSender,
    metrics: ClusterMetrics,
    queue: StatusQueue,
    said: HashMap<CheckId, Word>,
    /// What was last written, whose conditions keep their transition times.
    written: HashMap<CheckId, Arc<HealthCheckStatus>>,
    writes: JoinSet<(CheckId, Written)>,
}

impl StatusWriter {
    pub(super) fn new(
        client: Client,
        resource: ApiResource,
        board: Arc<Board>,
        events: EventSender,
        (settings, metrics): (StatusSettings, ClusterMetrics),
    ) -> Self {
        let queue = StatusQueue::new(settings.budget, settings.refresh, Instant::now().into_std());
        Self {
            client,
            resource,
            board,
            events,
            metrics,
            queue,
            said: HashMap::new(),
            written: HashMap::new(),
            writes: JoinSet::new(),
        }
    }

    /// Follows the board until shutdown; then writes the turns that still wait, for as long as `grace` lasts.
    pub(super) async fn run(mut self, shutdown: CancellationToken, grace: Duration) {
        let mut changes = self.board.subscribe();
        loop {
            self.start_writes();
            let wake = self.queue.wake_at(Instant::now().into_std()).filter(|_| self.writes.len() < WRITERS);
            tokio::select! {
                () = shutdown.cancelled() => break,
                changes = changes.next() => changes.iter().for_each(|change| self.note(change)),
                Some(done) = self.writes.join_next() => self.settle(done.ok()),
                () = sleep_until(wake) => {}
            }
        }
        let _ = tokio::time::timeout(grace, self.finish()).await;
    }

    async fn finish(&mut self) {
        while let Some(done) = self.writes.join_next().await {
            self.settle(done.ok());
            self.start_writes();
        }
    }

    fn note(&mut self, change: &Change) {
        self.events.tell(change);
        let now = Instant::now().into_std();
        let Some(row) = &change.row else {
            self.said.remove(&change.id);
            self.written.remove(&change.id);
            return self.queue.forget(&change.id);
        };
        let word = Word::of(row);
        let before = self.said.insert(change.id.clone(), word);
        let urgency = match before {
            // Restored from this very status: it says so already.
            None if row.standing.restored => return,
            None if row.standing.reason == Reason::Pending => Urgency::Word,
            None => Urgency::Turn,
            Some(before) if before.healthy != word.healthy || !change.transitions.is_empty() => Urgency::Turn,
            Some(before) if before != word => Urgency::Word,
            Some(_) => Urgency::Refresh,
        };
        self.queue.note(&change.id, urgency, now);
        self.metrics.status_queue(self.queue.depth(), self.queue.coalesced());
    }

    fn start_writes(&mut self) {
        while self.writes.len() < WRITERS {
            let now = Instant::now().into_std();
            let Some(id) = self.queue.take(now) else { break };
            let Some(row) = self.board.get(&id) else {
                self.queue.done(&id, Written::Settled, now);
                continue;
            };
            let status = Arc::new(status_of(&row, self.written.get(&id).map(Arc::as_ref)));
            self.written.insert(id.clone(), Arc::clone(&status));
            let meta = row.definition.meta.clone();
            let write = write(self.client.clone(), self.resource.clone(), meta, status, self.metrics.clone());
            self.writes.spawn(async move { (id, write.await) });
        }
        self.metrics.status_queue(self.queue.depth(), self.queue.coalesced());
    }

    fn settle(&mut self, done: Option<(CheckId, Written)>) {
        if let Some((id, written)) = done {
            self.queue.done(&id, written, Instant::now().into_std());
        }
    }
}

async fn sleep_until(wake: Option<std::time::Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

/// What a row says, in the shape of the object's status.
fn status_of(row: &Row, previous: Option<&HealthCheckStatus>) -> HealthCheckStatus {
    let definition = &row.definition;
    let search = definition.spec.as_ref().ok().and_then(|spec| spec.probe.search());
    let parts = StatusParts {
        view: &row.view(),
        standing: &row.standing,
        search: search.map(|search| (search.type_word(), search.used())),
        problem: definition.spec.as_ref().err(),
        generation: judged_generation(row),
    };
    HealthCheckStatus::from_parts(parts, previous, Timestamp::now())
}

async fn write(
    client: Client,
    resource: ApiResource,
    meta: CheckMeta,
    status: Arc<HealthCheckStatus>,
    metrics: ClusterMetrics,
) -> Written {
    let api = Api::<DynamicObject>::namespaced_with(client, meta.id.namespace(), &resource);
    // The uid makes the API server refuse to write the status of an object onto its namesake.
    let body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": meta.id.name(), "namespace": meta.id.namespace(), "uid": meta.uid},
        "status": status,
    });
    let parameters = PatchParams::apply(COMPONENT).force();
    let patch = Patch::Apply(&body);
    let write = api.patch_status(meta.id.name(), &parameters, &patch);
    match tokio::time::timeout(WRITE_TIMEOUT, write).await {
        Ok(Ok(_)) => {
            metrics.status_written();
            Written::Settled
        }
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 409 | 429) || status.code >= 500 => {
            metrics.status_failed();
            let after = status.details.as_ref().map(|details| Duration::from_secs(details.retry_after_seconds.into()));
            Written::TryAgain { after: after.filter(|after| !after.is_zero()) }
        }
        // Gone, replaced by a namesake, or refused: the watch tells, and the next change is written anew.
        Ok(Err(kube::Error::Api(status))) => {
            metrics.status_refused();
            if status.code != 404 {
                tracing::warn!(check = %meta.id, code = status.code, message = %status.message, "a status was refused");
            }
            Written::Settled
        }
        Ok(Err(error)) => {
            metrics.status_failed();
            tracing::debug!(check = %meta.id, %error, "a status could not be written and is tried again");
            Written::TryAgain { after: None }
        }
        Err(_) => {
            metrics.status_failed();
            Written::TryAgain { after: None }
        }
    }
}
