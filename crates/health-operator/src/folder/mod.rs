//! A folder of manifests as the source of checks, followed as it changes.
//!
//! Nothing is applied before the first complete reading; from then on a folder that cannot be read changes nothing and
//! says so. Each trouble is logged when it appears and when it has gone, not at every reading.

mod files;
mod series;
mod shelf;
mod watch;

pub(crate) use files::{MAX_FILE_BYTES, list, read};
pub(crate) use series::FolderSeries;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use health_manifests::Problem;
use health_model::CheckDefinition;
use health_runner::EngineHandle;
use health_server::{ConditionState, SourceProblems};
use jiff::Timestamp;
use tokio::sync::watch as state;
use tokio_util::sync::CancellationToken;

use self::{
    shelf::{Reading, Shelf},
    watch::FolderWatch,
};
use crate::{collection::Collection, notifying::Rules};

/// Lines logged per reading; beyond, only their number.
const MOST_LINES: usize = 50;

/// How the folder is doing; for readiness, metrics and people.
#[derive(Clone, Debug, Default)]
pub(crate) struct FolderReport {
    /// Readings that were complete.
    pub(crate) readings: u64,
    /// When the last of them was.
    pub(crate) last_reading: Option<Timestamp>,
    /// Why the folder cannot be read now; `None` while it can.
    pub(crate) unreadable: Option<String>,
    /// Whether all that the folder declares was known at the last reading: a file that is no YAML may declare anything.
    pub(crate) whole: bool,
    /// Files found.
    pub(crate) files: usize,
    /// Files of which an earlier version is in force.
    pub(crate) kept: usize,
    /// Checks in force.
    pub(crate) checks: usize,
    /// Rules in force.
    pub(crate) rules: usize,
    /// Everything wrong with files and documents, one line each.
    pub(crate) troubles: Arc<BTreeSet<String>>,
    /// Objects of other kinds.
    pub(crate) ignored: usize,
}

/// What is wrong with a folder, for REST.
pub(crate) struct FolderProblems(pub(crate) state::Receiver<FolderReport>);

impl SourceProblems for FolderProblems {
    fn problems(&self) -> Vec<String> {
        let report = self.0.borrow();
        let folder = report
            .unreadable
            .iter()
            .map(|why| format!("the folder cannot be read: {why}; what was known stays in force"));
        folder.chain(report.troubles.iter().cloned()).collect()
    }
}

/// The folder cannot be used as a source.
#[derive(Debug, thiserror::Error)]
#[error("{directory} (--manifests) cannot be read: {cause}; name a folder that holds *.yaml files")]
pub(crate) struct FolderError {
    directory: String,
    cause: io::Error,
}

/// A folder that is followed.
#[derive(Debug)]
pub(crate) struct Folder {
    directory: PathBuf,
    poll_interval: Duration,
    shelf: Shelf,
    problems: BTreeSet<String>,
    applied: Vec<CheckDefinition>,
    rules: state::Sender<Rules>,
    report: state::Sender<FolderReport>,
}

impl Folder {
    /// A folder that has not been looked at yet.
    pub(crate) fn new(directory: PathBuf, poll_interval: Duration) -> Self {
        Self {
            shelf: Shelf::new(directory.clone()),
            directory,
            poll_interval,
            problems: BTreeSet::new(),
            applied: Vec::new(),
            rules: state::Sender::default(),
            report: state::Sender::default(),
        }
    }

    /// Reads the folder for the first time and tells the engine what it holds.
    ///
    /// # Errors
    /// When there is no such folder or it cannot be read: most likely a typing error, and not to be waited for.
    pub(crate) async fn open(&mut self, engine: &EngineHandle) -> Result<(), FolderError> {
        let reading = self.read().await;
        let reading =
            reading.map_err(|cause| FolderError { directory: self.directory.display().to_string(), cause })?;
        self.take_in(reading, engine).await;
        Ok(())
    }

    /// Whether what the folder holds is known.
    pub(crate) fn condition(report: &FolderReport) -> ConditionState {
        match report.readings {
            0 => ConditionState::NotReady("the folder has not been read yet".to_owned()),
            _ => ConditionState::Ready,
        }
    }

    /// Which folder it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The rules of the folder, as they change.
    pub(crate) fn rules(&self) -> state::Receiver<Rules> {
        self.rules.subscribe()
    }

    /// Ends when the folder has been read for the first time.
    pub(crate) fn synced(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut rules = self.rules();
        async move {
            if rules.wait_for(Option::is_some).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Ends when a reading has understood everything in the folder. Until then nobody can say that a check is gone: it may
    /// be in a file that is broken just now.
    pub(crate) fn known_as_a_whole(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut report = self.report();
        async move {
            if report.wait_for(|report| report.whole).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How the folder is doing, now and later.
    pub(crate) fn report(&self) -> state::Receiver<FolderReport> {
        self.report.subscribe()
    }

    /// Follows the folder until `stop`.
    pub(crate) async fn follow(mut self, engine: EngineHandle, stop: CancellationToken) {
        let mut watch = FolderWatch::start(&self.directory, self.poll_interval);
        loop {
            tokio::select! {
                () = watch.next() => {}
                () = stop.cancelled() => return,
            }
            match self.read().await {
                Ok(reading) => {
                    if self.report.borrow().unreadable.is_some() {
                        // It may be another folder than the one that was watched.
                        watch.renew(&self.directory);
                    }
                    self.take_in(reading, &engine).await;
                }
                Err(error) => self.note_unreadable(&error),
            }
        }
    }

    async fn read(&mut self) -> io::Result<Reading> {
        let mut shelf = std::mem::replace(&mut self.shelf, Shelf::new(self.directory.clone()));
        let now = Timestamp::now().as_second();
        let reading = tokio::task::spawn_blocking(move || {
            let reading = shelf.read(now);
            (shelf, reading)
        });
        let (shelf, reading) = reading.await.map_err(io::Error::other)?;
        self.shelf = shelf;
        reading
    }

    async fn take_in(&mut self, reading: Reading, engine: &EngineHandle) {
        let Reading { collection, troubles: in_files, whole, files, kept } = reading;
        let ignored = collection.as_ref().map(|collection| collection.ignored.len());
        if let Some(collection) = collection {
            self.problems = lines(&collection);
            if self.report.borrow().readings == 0 || collection.checks != self.applied {
                self.applied.clone_from(&collection.checks);
                engine.replace_all(collection.checks).await;
            }
            self.rules.send_if_modified(|rules| {
                let differs = rules.as_ref() != Some(&collection.rules);
                *rules = Some(collection.rules);
                differs
            });
        }
        // A folder that is empty from the start never differs from what was known; it has been read all the same.
        self.rules.send_if_modified(|rules| {
            let first = rules.is_none();
            rules.get_or_insert_default();
            first
        });
        let troubles: BTreeSet<String> = in_files.union(&self.problems).cloned().collect();
        let before = self.report.borrow().clone();
        let troubles = Arc::new(troubles);
        self.report.send_replace(FolderReport {
            readings: before.readings + 1,
            last_reading: Some(Timestamp::now()),
            unreadable: None,
            whole,
            files,
            kept,
            checks: self.applied.len(),
            rules: self.rules.borrow().as_ref().map_or(0, Vec::len),
            troubles: Arc::clone(&troubles),
            ignored: ignored.unwrap_or(before.ignored),
        });
        tell_difference(&before, &troubles);
    }

    fn note_unreadable(&self, error: &io::Error) {
        let said = error.to_string();
        let checks = self.applied.len();
        self.report.send_if_modified(|report| {
            let differs = report.unreadable.as_ref() != Some(&said);
            if differs {
                let folder = self.directory.display();
                tracing::error!(%folder, error = said, checks, "the folder cannot be read: what was known stays in force");
            }
            report.unreadable = Some(said);
            differs
        });
    }
}

fn lines(collection: &Collection) -> BTreeSet<String> {
    collection
        .problems
        .iter()
        .chain(&collection.missing)
        .chain(&collection.undeclared)
        .map(Problem::to_string)
        .collect()
}

fn tell_difference(before: &FolderReport, now: &BTreeSet<String>) {
    if before.unreadable.is_some() {
        tracing::info!("the folder can be read again");
    }
    let appeared: Vec<_> = now.difference(&before.troubles).collect();
    for problem in appeared.iter().take(MOST_LINES) {
        tracing::warn!(problem, "manifest problem");
    }
    if appeared.len() > MOST_LINES {
        tracing::warn!(more = appeared.len() - MOST_LINES, "manifest problems that are not listed");
    }
    let solved = before.troubles.difference(now).count();
    if solved > 0 {
        tracing::info!(solved, left = now.len(), "manifest problems are solved");
    }
}
