//! The engine's public face: how it is started, and how definitions and reports reach it.

use std::{collections::HashMap, sync::Arc};

use health_model::{CheckDefinition, CheckId, Outcome, Probe, Prober, Standing};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{Board, EngineSettings, Row, awake::AwakeClock, running::Running};

/// Commands that may wait for the engine; whoever sends more waits.
const COMMANDS: usize = 256;
/// Reports that may wait for the engine; more are refused.
const REPORTS: usize = 4096;

/// Why a report was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Nobody has declared a heartbeat check of that name.
    #[error("there is no heartbeat check of that name")]
    Unknown,
    /// Too many reports wait to be taken in, or the engine is stopping; try again.
    #[error("too many reports are waiting to be taken in")]
    Busy,
}

/// What is asked of the engine; each is acknowledged when the board shows it.
pub(crate) enum Command {
    Apply(Box<CheckDefinition>, oneshot::Sender<()>),
    Remove(CheckId, oneshot::Sender<()>),
    ReplaceAll(Vec<CheckDefinition>, oneshot::Sender<()>),
    Remember(HashMap<CheckId, Standing>, oneshot::Sender<()>),
}

/// Ways into a running engine.
pub(crate) struct Inboxes {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) reports: mpsc::Receiver<(CheckId, Outcome)>,
    pub(crate) shutdown: CancellationToken,
}

/// Starts the engine.
#[derive(Debug)]
pub struct Engine;

/// Hands definitions and reports to a running engine. Cheap to clone; the engine outlives its handles.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
    reports: mpsc::Sender<(CheckId, Outcome)>,
    board: Arc<Board>,
    stopped: CancellationToken,
}

impl Engine {
    /// Spawns the engine on the current tokio runtime. It runs until `shutdown` is cancelled. A check that is declared
    /// later and is among `remembered` takes up its standing from there, stale until it is probed.
    pub fn start(
        settings: EngineSettings,
        prober: Arc<dyn Prober>,
        remembered: HashMap<CheckId, Standing>,
        shutdown: CancellationToken,
    ) -> EngineHandle {
        let clock = Arc::new(AwakeClock::new());
        let board = Arc::new(Board::new(Arc::clone(&clock)));
        let (commands, command_inbox) = mpsc::channel(COMMANDS);
        let (reports, report_inbox) = mpsc::channel(REPORTS);
        let stopped = CancellationToken::new();
        let running = Running::new(settings, prober, remembered, Arc::clone(&board));
        let inboxes = Inboxes { commands: command_inbox, reports: report_inbox, shutdown };
        // Winding is a task of its own: checks must become overdue even if the engine should hang or stop.
        tokio::spawn(AwakeClock::keep_wound(Arc::downgrade(&clock)));
        // Dropped with the task, however it ends: nobody waits for an engine that is gone.
        let at_the_end = stopped.clone().drop_guard();
        tokio::spawn(async move {
            let _at_the_end = at_the_end;
            running.run(inboxes).await;
        });
        EngineHandle { commands, reports, board, stopped }
    }
}

impl EngineHandle {
    /// Registers a check or takes in how it is declared now; returns when the board shows it. What has not changed is
    /// not touched: labels may change without a probe, and a spec that asks the same keeps phase, streaks and standing.
    pub async fn apply(&self, definition: CheckDefinition) {
        self.send(|done| Command::Apply(Box::new(definition), done)).await;
    }

    /// Forgets a check; returns when the board has lost it. Its probe in flight is cut.
    pub async fn remove(&self, id: CheckId) {
        self.send(|done| Command::Remove(id, done)).await;
    }

    /// Applies every definition and removes the checks that are not among them; returns when the board shows it.
    pub async fn replace_all(&self, definitions: Vec<CheckDefinition>) {
        self.send(|done| Command::ReplaceAll(definitions, done)).await;
    }

    /// Adds standings from before a restart, for a source that learns them only as it lists its checks. Those of checks
    /// that are registered already change nothing.
    pub async fn remember(&self, standings: HashMap<CheckId, Standing>) {
        self.send(|done| Command::Remember(standings, done)).await;
    }

    /// Takes in what a heartbeat check was told from outside; never waits. A report to a suspended check is accepted
    /// and set aside.
    ///
    /// # Errors
    /// When nobody declares such a heartbeat check, or too many reports are waiting.
    pub fn report(&self, id: &CheckId, outcome: Outcome) -> Result<(), ReportError> {
        let is_heartbeat =
            |row: Arc<Row>| row.definition.spec.as_ref().is_ok_and(|spec| matches!(spec.probe, Probe::Heartbeat(_)));
        if !self.board.get(id).is_some_and(is_heartbeat) {
            return Err(ReportError::Unknown);
        }
        self.reports.try_send((id.clone(), outcome)).map_err(|_full_or_stopped| ReportError::Busy)
    }

    /// What is known.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Resolves when the engine has stopped and no probe is in flight any more.
    pub async fn stopped(self) {
        self.stopped.cancelled().await;
    }

    /// A stopped engine takes no commands, and nobody waits for it.
    async fn send(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, applied) = oneshot::channel();
        if self.commands.send(command(done)).await.is_ok() {
            let _engine_gone = applied.await;
        }
    }
}
