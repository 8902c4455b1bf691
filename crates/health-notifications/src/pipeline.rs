//! The one task that gives the [`Machine`] a clock, a ledger and a network.
//!
//! It never holds the machine's lock over an await, and nobody who observes ever waits for it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use health_model::RuleDefinition;
use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    channel::{Transport, TransportError, Verdict},
    counters::MetricsSnapshot,
    inbox::Inbox,
    input::Observation,
    lane::LaneId,
    ledger::{Entry, LedgerChange, LedgerKey, LedgerStore},
    machine::{Action, Delivery, Event, Machine},
    report::RuleReport,
    settings::NotificationSettings,
};

/// The longest sleep: a wall clock that jumps is noticed after at most this.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How long an unwritable ledger may hold up what must be told.
const LEDGER_PATIENCE: Duration = Duration::from_secs(2);
/// How soon the ledger is tried again.
const LEDGER_RETRY: Duration = Duration::from_secs(1);

/// The running pipeline.
#[derive(Debug)]
pub struct Notifications {
    shared: Arc<Shared>,
    ended: CancellationToken,
}

struct Shared {
    inbox: Inbox,
    /// `None` until the ledger has been read.
    machine: Mutex<Option<Machine>>,
    ledger: Mutex<LedgerHealth>,
    clock: crate::settings::Clock,
    changed: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct LedgerHealth {
    failures: u64,
    unwritten: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Notifications {
    /// Starts the pipeline on the current tokio runtime. It reads the ledger first, and tells nothing before it has
    /// been told the rules, the checks and that they are all ([`Notifications::synced`]).
    ///
    /// # Errors
    /// When the extra roots of trust cannot be used.
    pub fn start(
        settings: NotificationSettings,
        ledger: Arc<dyn LedgerStore>,
        shutdown: CancellationToken,
    ) -> Result<Self, TransportError> {
        let transport = Transport::new(settings.timeout, settings.extra_roots.clone())?;
        let shared = Arc::new(Shared {
            inbox: Inbox::default(),
            machine: Mutex::new(None),
            ledger: Mutex::new(LedgerHealth::default()),
            clock: Arc::clone(&settings.clock),
            changed: watch::Sender::new(0),
        });
        let work = Work {
            places: Arc::new(Semaphore::new(settings.most_in_flight)),
            settings,
            transport,
            ledger,
            shared: Arc::clone(&shared),
            shutdown,
            deliveries: JoinSet::new(),
            unwritten: BTreeMap::new(),
        };
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        tokio::spawn(async move {
            let _guard = guard;
            work.run().await;
        });
        Ok(Self { shared, ended })
    }

    /// Tells that a check has changed. Never blocks: what is not taken in yet is merged per check.
    pub fn observe(&self, observation: Observation) {
        self.shared.inbox.observe(observation);
    }

    /// Replaces all rules. A rule that cannot be understood keeps its last good version.
    pub fn set_rules(&self, rules: Vec<RuleDefinition>) {
        self.shared.inbox.set_rules(rules);
    }

    /// Tells that the source has been read to the end and every check it declares has been observed. Before, nothing is
    /// taken for deleted; from then on what is missing is.
    pub fn synced(&self) {
        self.shared.inbox.synced();
    }

    /// What is counted and what stands, as of now.
    pub fn metrics(&self) -> MetricsSnapshot {
        let now = (self.shared.clock)();
        let mut snapshot =
            locked(&self.shared.machine).as_ref().map(|machine| machine.metrics(now)).unwrap_or_default();
        let LedgerHealth { failures, unwritten } = *locked(&self.shared.ledger);
        snapshot.ledger_failures = failures;
        snapshot.ledger_unwritten = unwritten;
        snapshot
    }

    /// How every rule stands, ordered by identity: for `/api`, status and page.
    pub fn reports(&self) -> Vec<RuleReport> {
        let now = (self.shared.clock)();
        locked(&self.shared.machine).as_ref().map(|machine| machine.reports(now)).unwrap_or_default()
    }

    /// Turns whenever [`Notifications::reports`] may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Waits until the pipeline has stopped: after its shutdown was cancelled, or because it broke.
    pub async fn stopped(&self) {
        self.ended.cancelled().await;
    }
}

struct Work {
    settings: NotificationSettings,
    transport: Transport,
    ledger: Arc<dyn LedgerStore>,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    places: Arc<Semaphore>,
    deliveries: JoinSet<(LaneId, Arc<str>, Verdict)>,
    /// What the ledger has not taken yet, newest per key.
    unwritten: BTreeMap<LedgerKey, Option<Entry>>,
}

impl Work {
    async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        let Some(kept) = shutdown.run_until_cancelled(self.load()).await else { return };
        let NotificationSettings { flapping, retrying, rate_limited, .. } = &self.settings;
        *locked(&self.shared.machine) = Some(Machine::new(kept, *flapping, *retrying, *rate_limited));
        while !shutdown.is_cancelled() {
            if let Some(input) = self.shared.inbox.take() {
                self.happen(Event::Input(input)).await;
            }
            let Some(event) = self.next_event().await else { continue };
            self.happen(event).await;
        }
        self.wind_down().await;
    }

    async fn load(&self) -> Vec<(LedgerKey, Entry)> {
        loop {
            match self.ledger.load().await {
                Ok(kept) => return kept,
                Err(error) => {
                    locked(&self.shared.ledger).failures += 1;
                    tracing::error!(%error, "what has been told cannot be read; nothing is told until it can");
                    tokio::time::sleep(LEDGER_RETRY).await;
                }
            }
        }
    }

    /// Waits for an answer, for the time, or (`None`) for input or the end.
    async fn next_event(&mut self) -> Option<Event> {
        let shared = Arc::clone(&self.shared);
        let sleep = self.sleep();
        tokio::select! {
            () = self.shutdown.cancelled() => None,
            () = shared.inbox.filled.notified() => None,
            Some(done) = self.deliveries.join_next() => done.ok().map(answer),
            () = tokio::time::sleep(sleep) => Some(Event::Tick),
        }
    }

    fn sleep(&self) -> Duration {
        let now = self.now();
        let wake = locked(&self.shared.machine).as_ref().and_then(Machine::next_wakeup);
        let longest = if self.unwritten.is_empty() { LONGEST_SLEEP } else { LEDGER_RETRY };
        let until = wake.map(|wake| Duration::try_from(wake.duration_since(now)).unwrap_or_default());
        // Timers fire on whole milliseconds; a wake-up a hair too early would only be repeated.
        until.map_or(longest, |until| (until + Duration::from_micros(500)).min(longest))
    }

    fn now(&self) -> Timestamp {
        (self.settings.clock)()
    }

    async fn happen(&mut self, event: Event) {
        let now = self.now();
        let actions =
            locked(&self.shared.machine).as_mut().map(|machine| machine.handle(event, now)).unwrap_or_default();
        let changed = !actions.is_empty();
        for action in actions {
            match action {
                Action::Record(changes) => self.record(changes).await,
                Action::Send(delivery) => self.send(delivery),
            }
        }
        if !self.unwritten.is_empty() {
            self.record(Vec::new()).await;
        }
        if changed {
            self.shared.changed.send_modify(|revision| *revision += 1);
        }
    }

    /// Writes what changed. A ledger that cannot be written holds nothing up for long: telling twice is better than
    /// not telling.
    async fn record(&mut self, changes: Vec<LedgerChange>) {
        self.unwritten.extend(changes.into_iter().map(|LedgerChange { key, entry }| (key, entry)));
        let batch: Vec<_> =
            std::mem::take(&mut self.unwritten).into_iter().map(|(key, entry)| LedgerChange { key, entry }).collect();
        let written = tokio::time::timeout(LEDGER_PATIENCE, self.ledger.write(&batch)).await;
        let error = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {LEDGER_PATIENCE:?}")),
        };
        if let Some(error) = &error {
            tracing::warn!(%error, entries = batch.len(), "what has been told cannot be written; it is tried again");
            self.unwritten = batch.into_iter().map(|LedgerChange { key, entry }| (key, entry)).collect();
        }
        let mut health = locked(&self.shared.ledger);
        health.failures += u64::from(error.is_some());
        health.unwritten = self.unwritten.len();
    }

    fn send(&mut self, delivery: Delivery) {
        let (transport, places) = (self.transport.clone(), Arc::clone(&self.places));
        self.deliveries.spawn(async move {
            let Delivery { lane, destination, message } = delivery;
            let _place = places.acquire().await;
            let verdict = Box::pin(transport.deliver(&destination, &message)).await;
            log(&lane, &message, &verdict);
            (lane, message.id, verdict)
        });
    }

    /// Lets deliveries under way end within the grace period and records what they came to.
    async fn wind_down(&mut self) {
        let end = tokio::time::Instant::now() + self.settings.grace;
        while let Ok(Some(done)) = tokio::time::timeout_at(end, self.deliveries.join_next()).await {
            let Ok(done) = done else { continue };
            let now = self.now();
            let actions = locked(&self.shared.machine).as_mut().map(|machine| machine.handle(answer(done), now));
            for action in actions.unwrap_or_default() {
                // What would be sent now is owed, and goes out after the next start.
                if let Action::Record(changes) = action {
                    self.record(changes).await;
                }
            }
        }
        self.record(Vec::new()).await;
    }
}

fn answer((lane, id, verdict): (LaneId, Arc<str>, Verdict)) -> Event {
    Event::Answer { lane, id, verdict }
}

fn log(lane: &LaneId, message: &crate::message::Message, verdict: &Verdict) {
    let (rule, destination, telling) = (&lane.rule, &lane.destination, message.telling);
    let checks = message.members.len();
    match verdict {
        Verdict::Accepted => tracing::info!(%rule, %destination, ?telling, checks, "told"),
        Verdict::Retry { why, .. } => tracing::warn!(%rule, %destination, ?telling, checks, %why, "not told yet"),
        Verdict::Rejected { why } => tracing::error!(%rule, %destination, ?telling, checks, %why, "refused"),
    }
}
