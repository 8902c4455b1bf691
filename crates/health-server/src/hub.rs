//! What all event streams share: the checks as last told, numbered changes, and a bounded channel to every reader.
//!
//! One task follows the board and numbers what changes; readers take a snapshot at a number and follow from there, so
//! nothing is missed or told out of order between the two. A change is written as JSON once, whoever reads it. Bounded
//! by one pointer per check, the removals kept for those who resume, and the channel.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use health_model::CheckId;
use health_runner::{Board, Row, Subscription};
use serde_json::json;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::checks::brief;

/// Changes a reader may be behind before it is given a fresh snapshot.
const READER_QUEUE: usize = 4096;
/// Removals kept for readers that resume.
const MOST_REMOVALS: usize = 4096;
/// Changes within this time are told together: a thousand probes per second are no thousand wake-ups.
const GATHER: Duration = Duration::from_millis(20);
/// How often checks are looked at that may have become overdue by nothing happening.
const OVERDUE_LOOK: Duration = Duration::from_secs(1);

/// A numbered change of one check.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) number: u64,
    id: CheckId,
    row: Option<Arc<Row>>,
    json: OnceLock<String>,
}

impl Change {
    fn new(number: u64, id: CheckId, row: Option<Arc<Row>>) -> Self {
        Self { number, id, row, json: OnceLock::new() }
    }

    /// `check` or `removed`.
    pub(crate) fn event(&self) -> &'static str {
        if self.row.is_some() { "check" } else { "removed" }
    }

    /// The event's data.
    pub(crate) fn json(&self) -> &str {
        self.json.get_or_init(|| match &self.row {
            Some(row) => serde_json::to_string(&brief(row)).unwrap_or_default(),
            None => json!({"namespace": self.id.namespace(), "name": self.id.name()}).to_string(),
        })
    }
}

/// Shared by all streams.
#[derive(Debug)]
pub(crate) struct Hub {
    told: Mutex<Told>,
    live: broadcast::Sender<Arc<Change>>,
    /// Tells numbers of this process from those of another.
    epoch: u64,
}

#[derive(Debug, Default)]
struct Told {
    number: u64,
    checks: BTreeMap<CheckId, Known>,
    removed: VecDeque<(u64, CheckId)>,
    /// Number of the last removal that is no longer kept.
    forgotten: u64,
}

#[derive(Debug)]
struct Known {
    row: Arc<Row>,
    number: u64,
    overdue: bool,
}

/// Where a reader begins.
pub(crate) struct Beginning {
    /// The state up to this number is in `from`.
    pub(crate) number: u64,
    pub(crate) from: First,
    /// Everything after.
    pub(crate) live: broadcast::Receiver<Arc<Change>>,
}

/// What a reader is told first.
pub(crate) enum First {
    /// Everything.
    Snapshot(Vec<Arc<Row>>),
    /// What it has missed, in order.
    Missed(Vec<Arc<Change>>),
}

impl First {
    /// Rows of a snapshot and missed changes, still to be told.
    pub(crate) fn told(self) -> (VecDeque<Arc<Row>>, VecDeque<Arc<Change>>) {
        match self {
            Self::Snapshot(rows) => (rows.into(), VecDeque::new()),
            Self::Missed(changes) => (VecDeque::new(), changes.into()),
        }
    }
}

impl Hub {
    /// Follows the board until `shutdown`.
    pub(crate) fn start(board: &Arc<Board>, shutdown: CancellationToken) -> Arc<Self> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = u64::try_from(started.as_micros()).unwrap_or_default();
        let (live, _) = broadcast::channel(READER_QUEUE);
        let hub = Arc::new(Self { told: Mutex::default(), live, epoch });
        let changes = board.subscribe();
        board.rows().into_iter().for_each(|row| hub.lock().take(row.id().clone(), Some(row), &hub.live));
        let following = Arc::clone(&hub);
        tokio::spawn(async move {
            tokio::select! {
                () = following.follow(changes) => {}
                () = shutdown.cancelled() => {}
            }
        });
        hub
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(&self, mut changes: Subscription) {
        let mut looks = tokio::time::interval(OVERDUE_LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = changes.next() => {
                    let mut told = self.lock();
                    batch.into_iter().for_each(|change| told.take(change.id, change.row, &self.live));
                }
                _ = looks.tick() => self.lock().look_for_overdue(&self.live),
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Where to begin for a reader that has seen everything up to `seen`, or nothing.
    pub(crate) fn begin(&self, seen: Option<u64>) -> Beginning {
        let told = self.lock();
        let from = match seen.filter(|seen| (told.forgotten..=told.number).contains(seen)) {
            Some(seen) => First::Missed(told.since(seen)),
            None => First::Snapshot(told.checks.values().map(|known| Arc::clone(&known.row)).collect()),
        };
        Beginning { number: told.number, from, live: self.live.subscribe() }
    }

    /// The id of an event after which a reader can resume.
    pub(crate) fn event_id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.epoch)
    }

    /// The id of a part of a snapshot: who has only parts begins anew.
    pub(crate) fn partial_id(&self, number: u64, part: usize) -> String {
        format!("{:x}-{number}.{part}", self.epoch)
    }

    /// The number behind an event's id; nothing for another process's, a snapshot's part's, or anything else.
    pub(crate) fn read_id(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('-')?;
        (u64::from_str_radix(epoch, 16).ok()? == self.epoch).then(|| number.parse().ok())?
    }
}

impl Told {
    /// Takes in how a check is now, and tells whoever listens.
    fn take(&mut self, id: CheckId, row: Option<Arc<Row>>, live: &broadcast::Sender<Arc<Change>>) {
        let number = self.number + 1;
        match &row {
            Some(row) => {
                if self.checks.get(&id).is_some_and(|known| Arc::ptr_eq(&known.row, row)) {
                    return;
                }
                let known = Known { row: Arc::clone(row), number, overdue: row.overdue() };
                self.checks.insert(id.clone(), known);
            }
            None => {
                if self.checks.remove(&id).is_none() {
                    return;
                }
                self.removed.push_back((number, id.clone()));
                if self.removed.len() > MOST_REMOVALS {
                    self.forgotten = self.removed.pop_front().map_or(self.forgotten, |(number, _)| number);
                }
            }
        }
        self.number = number;
        // Nobody listens: then nobody is told.
        let _ = live.send(Arc::new(Change::new(number, id, row)));
    }

    /// Tells of checks that became overdue, or are no longer, though their rows did not change.
    fn look_for_overdue(&mut self, live: &broadcast::Sender<Arc<Change>>) {
        for (id, known) in &mut self.checks {
            let overdue = known.row.overdue();
            if overdue != known.overdue {
                self.number += 1;
                known.overdue = overdue;
                known.number = self.number;
                let _ = live.send(Arc::new(Change::new(self.number, id.clone(), Some(Arc::clone(&known.row)))));
            }
        }
    }

    /// What has changed after a number, each check once, in order.
    fn since(&self, seen: u64) -> Vec<Arc<Change>> {
        let changed = self
            .checks
            .iter()
            .filter(|(_, known)| known.number > seen)
            .map(|(id, known)| Change::new(known.number, id.clone(), Some(Arc::clone(&known.row))));
        let removed = self
            .removed
            .iter()
            .filter(|(number, id)| *number > seen && !self.checks.contains_key(id))
            .map(|(number, id)| Change::new(*number, id.clone(), None));
        let mut all: Vec<Arc<Change>> = changed.chain(removed).map(Arc::new).collect();
        all.sort_by_key(|change| change.number);
        all
    }
}
