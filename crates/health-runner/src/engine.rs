//! The one task that owns registry and timetable, starts probes, and writes the board.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use health_model::{
    CheckDefinition, CheckId, CheckSpec, Outcome, Probe, ProbeRequest, Prober, Reason, Standing, Transition,
    backoff_delay, first_delay, next_slot,
};
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Board, EngineSettings, Pulse, Row, Tally,
    awake::AwakeClock,
    board::{Pen, Remembered},
};

/// The engine looks at its timetable at least this often, so that its silence means something.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Starts later than this are counted as late.
const LATE: Duration = Duration::from_millis(100);
/// How long past its deadline a prober may take to say so before it is cut.
const OVERRUN: Duration = Duration::from_millis(500);
/// Commands and reports that may wait for the engine.
const QUEUE: usize = 1024;

/// Why a report was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Nobody has declared a heartbeat check of that name.
    #[error("there is no heartbeat check of that name")]
    Unknown,
    /// Too many reports wait to be taken in; try again.
    #[error("too many reports are waiting to be taken in")]
    Busy,
}

enum Command {
    Apply(Box<CheckDefinition>, oneshot::Sender<()>),
    Remove(CheckId, oneshot::Sender<()>),
    ReplaceAll(Vec<CheckDefinition>, oneshot::Sender<()>),
    Report(CheckId, Outcome),
    Remember(HashMap<CheckId, Standing>, oneshot::Sender<()>),
}

/// Starts the engine.
#[derive(Debug)]
pub struct Engine;

/// Hands definitions and reports to a running engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
    board: Arc<Board>,
    stopped: CancellationToken,
}

impl Engine {
    /// Spawns the engine on the current tokio runtime. It runs until `shutdown` is cancelled. A check that is
    /// declared later and is among `remembered` takes up its standing from there, stale until it is probed.
    pub fn start(
        settings: EngineSettings,
        prober: Arc<dyn Prober>,
        remembered: HashMap<CheckId, Standing>,
        shutdown: CancellationToken,
    ) -> EngineHandle {
        let clock = Arc::new(AwakeClock::new());
        let board = Arc::new(Board::new(Arc::clone(&clock)));
        let (commands, inbox) = mpsc::channel(QUEUE);
        let stopped = CancellationToken::new();
        let engine = Running::new(settings, prober, remembered, Arc::clone(&board), Arc::clone(&clock));
        let guard = stopped.clone().drop_guard();
        tokio::spawn(async move {
            let _guard = guard;
            tokio::select! {
                () = engine.run(inbox, shutdown) => {}
                () = clock.keep_wound() => {}
            }
        });
        EngineHandle { commands, board, stopped }
    }
}

impl EngineHandle {
    /// Registers a check or takes in how it is declared now; returns when the board shows it.
    pub async fn apply(&self, definition: CheckDefinition) {
        self.send(|done| Command::Apply(Box::new(definition), done)).await;
    }

    /// Forgets a check; returns when the board has lost it.
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

    /// Takes in what a heartbeat check was told from outside; never waits.
    ///
    /// # Errors
    /// When nobody declares such a heartbeat check, or too many reports are waiting.
    pub fn report(&self, id: &CheckId, outcome: Outcome) -> Result<(), ReportError> {
        let passive =
            |row: Arc<Row>| row.definition.spec.as_ref().is_ok_and(|spec| matches!(spec.probe, Probe::Heartbeat(_)));
        if !self.board.get(id).is_some_and(passive) {
            return Err(ReportError::Unknown);
        }
        self.commands.try_send(Command::Report(id.clone(), outcome)).map_err(|_full| ReportError::Busy)
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

struct Check {
    definition: Arc<CheckDefinition>,
    standing: Standing,
    tally: Tally,
    /// Due times and outcomes of another version are not this check's any more.
    version: u64,
    in_flight: Option<AbortHandle>,
    due: Option<Instant>,
    silent_since: Duration,
}

struct Done {
    id: CheckId,
    version: u64,
    outcome: Outcome,
}

struct Running {
    settings: EngineSettings,
    prober: Arc<dyn Prober>,
    remembered: Remembered,
    board: Arc<Board>,
    clock: Arc<AwakeClock>,
    checks: HashMap<CheckId, Check>,
    heap: BinaryHeap<Reverse<(Instant, u64, CheckId)>>,
    versions: u64,
    epoch: (Instant, Duration),
    outcomes: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
    pulse: Pulse,
    probed: Option<Duration>,
}

impl Running {
    fn new(
        settings: EngineSettings,
        prober: Arc<dyn Prober>,
        remembered: Remembered,
        board: Arc<Board>,
        clock: Arc<AwakeClock>,
    ) -> Self {
        let since_1970 = Duration::try_from((settings.wall_clock)().duration_since(Timestamp::UNIX_EPOCH));
        Self {
            settings,
            prober,
            remembered,
            board,
            clock,
            checks: HashMap::new(),
            heap: BinaryHeap::new(),
            versions: 0,
            epoch: (Instant::now(), since_1970.unwrap_or_default()),
            outcomes: mpsc::unbounded_channel(),
            pulse: Pulse::default(),
            probed: None,
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command>, shutdown: CancellationToken) {
        loop {
            let wake = self.heap.peek().map_or(Instant::now() + LONGEST_SLEEP, |Reverse((due, _, _))| *due);
            let wake = wake.min(Instant::now() + LONGEST_SLEEP);
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(done) = self.outcomes.1.recv() => self.take_outcome(done),
                command = inbox.recv() => match command {
                    Some(command) => self.take_command(command),
                    None => break,
                },
                () = tokio::time::sleep_until(wake) => {}
            }
            self.start_due();
            self.pulse.checks = self.checks.len();
            self.pulse.in_flight = self.checks.values().filter(|check| check.in_flight.is_some()).count();
            self.board.write().note(self.pulse.clone(), self.clock.now(), self.probed);
        }
        for check in self.checks.values() {
            check.in_flight.iter().for_each(AbortHandle::abort);
        }
    }

    fn now(&self) -> Timestamp {
        (self.settings.wall_clock)()
    }

    fn take_command(&mut self, command: Command) {
        let board = Arc::clone(&self.board);
        let mut pen = board.write();
        match command {
            Command::Apply(definition, done) => {
                self.apply(*definition, &mut pen);
                drop(pen);
                let _nobody_waits = done.send(());
            }
            Command::Remove(id, done) => {
                self.remove(&id, &mut pen);
                drop(pen);
                let _nobody_waits = done.send(());
            }
            Command::ReplaceAll(definitions, done) => {
                let kept: HashSet<CheckId> = definitions.iter().map(|definition| definition.meta.id.clone()).collect();
                let gone: Vec<CheckId> = self.checks.keys().filter(|id| !kept.contains(*id)).cloned().collect();
                gone.iter().for_each(|id| self.remove(id, &mut pen));
                definitions.into_iter().for_each(|definition| self.apply(definition, &mut pen));
                drop(pen);
                let _nobody_waits = done.send(());
            }
            Command::Report(id, outcome) => self.observe(&id, outcome, &mut pen),
            Command::Remember(mut standings, done) => {
                standings.retain(|id, _| !self.checks.contains_key(id));
                self.remembered.extend(standings);
                let _nobody_waits = done.send(());
            }
        }
    }

    fn apply(&mut self, definition: CheckDefinition, pen: &mut Pen<'_>) {
        let id = definition.meta.id.clone();
        let definition = Arc::new(definition);
        self.versions += 1;
        let check = self.checks.entry(id.clone()).or_insert_with(|| Check {
            definition: Arc::clone(&definition),
            standing: self.remembered.remove(&id).map_or_else(Standing::pending, Standing::restore),
            tally: Tally::default(),
            version: 0,
            in_flight: None,
            due: None,
            silent_since: self.clock.now(),
        });
        let unchanged = check.version != 0 && check.definition.spec == definition.spec;
        check.definition = Arc::clone(&definition);
        let mut transition = None;
        if !unchanged {
            if check.version != 0 {
                check.standing.edited();
            }
            check.version = self.versions;
            check.due = None;
            if let Some(probe) = check.in_flight.take() {
                probe.abort();
                self.pulse.discarded += 1;
            }
            match &definition.spec {
                Ok(spec) if spec.suspend => check.standing.suspend(),
                Ok(spec) => {
                    check.standing.resume();
                    if !matches!(spec.probe, Probe::Heartbeat(_)) {
                        let due = Instant::now() + first_delay(&id, spec.interval);
                        check.due = Some(due);
                        self.heap.push(Reverse((due, check.version, id.clone())));
                    }
                }
                Err(problem) => {
                    let outcome = Outcome::new(problem.reason, problem.message.clone());
                    transition =
                        check.standing.refuse(definition.meta.generation, &outcome, (self.settings.wall_clock)());
                }
            }
        }
        self.publish(&id, transition.as_ref(), true, pen);
    }

    fn remove(&mut self, id: &CheckId, pen: &mut Pen<'_>) {
        let Some(check) = self.checks.remove(id) else { return };
        if let Some(probe) = check.in_flight {
            probe.abort();
            self.pulse.discarded += 1;
        }
        pen.erase(id);
    }

    fn take_outcome(&mut self, done: Done) {
        let Some(check) = self.checks.get_mut(&done.id).filter(|check| check.version == done.version) else { return };
        check.in_flight = None;
        let board = Arc::clone(&self.board);
        self.observe(&done.id, done.outcome, &mut board.write());
    }

    fn observe(&mut self, id: &CheckId, outcome: Outcome, pen: &mut Pen<'_>) {
        let now = self.now();
        let Some(check) = self.checks.get_mut(id) else { return };
        let Ok(spec) = check.definition.spec.clone() else { return };
        check.tally.count(&outcome);
        let outcome = Arc::new(outcome);
        let generation = check.definition.meta.generation;
        let transition = check.standing.observe(&spec, generation, Arc::clone(&outcome), now);
        self.pulse.completed += 1;
        check.silent_since = self.clock.now();
        self.probed = Some(check.silent_since);
        if outcome.reason == Reason::RateLimited {
            let delay = backoff_delay(
                spec.interval,
                check.standing.backoff_attempts,
                outcome.retry_after,
                self.settings.max_backoff,
                rand::random(),
            );
            self.schedule(id, Instant::now() + delay);
        } else if spec.retry_interval < spec.interval
            && self.checks.get(id).is_some_and(|check| check.standing.unconfirmed())
        {
            self.schedule(id, Instant::now() + spec.retry_interval);
        }
        self.publish(id, transition.as_ref(), false, pen);
    }

    fn schedule(&mut self, id: &CheckId, due: Instant) {
        let Some(check) = self.checks.get_mut(id) else { return };
        check.due = Some(due);
        self.heap.push(Reverse((due, check.version, id.clone())));
    }

    fn publish(&mut self, id: &CheckId, transition: Option<&Transition>, declared: bool, pen: &mut Pen<'_>) {
        let Some(check) = self.checks.get(id) else { return };
        let next_check =
            check.due.and_then(|due| self.now().checked_add(due.saturating_duration_since(Instant::now())).ok());
        let row = Row {
            definition: Arc::clone(&check.definition),
            standing: check.standing.clone(),
            next_check,
            tally: check.tally.clone(),
            revision: 0,
            silent_since: check.silent_since,
            clock: Arc::clone(&self.clock),
        };
        pen.put(row, transition, declared);
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((due, version, id))) =
            self.heap.peek().filter(|Reverse((due, _, _))| *due <= now).cloned()
        {
            self.heap.pop();
            let Some(check) =
                self.checks.get_mut(&id).filter(|check| check.version == version && check.due == Some(due))
            else {
                continue;
            };
            let Ok(spec) = check.definition.spec.clone() else { continue };
            let elapsed = self.epoch.1 + now.saturating_duration_since(self.epoch.0);
            let next = now + (next_slot(&id, spec.interval, elapsed) - elapsed);
            if check.in_flight.is_some() {
                check.tally.skipped += 1;
                self.pulse.skipped += 1;
            } else {
                let lag = now.saturating_duration_since(due);
                self.pulse.lag.record(lag);
                self.pulse.late += u64::from(lag > LATE);
                self.pulse.started += 1;
                let probe = self.start(id.clone(), version, spec.clone());
                if let Some(check) = self.checks.get_mut(&id) {
                    check.in_flight = Some(probe);
                }
            }
            self.schedule(&id, next);
        }
    }

    fn start(&self, id: CheckId, version: u64, spec: Arc<CheckSpec>) -> AbortHandle {
        let deadline = Instant::now() + spec.timeout;
        let prober = Arc::clone(&self.prober);
        let outcomes = self.outcomes.0.clone();
        let request = ProbeRequest { id: id.clone(), spec, deadline: deadline.into_std() };
        let task = tokio::spawn(async move {
            let probe = AssertUnwindSafe(async { prober.probe(request).await }).catch_unwind();
            let outcome = match tokio::time::timeout_at(deadline + OVERRUN, probe).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_panic)) => Outcome::new(Reason::ProberFault, "the prober broke down: this is a fault of ours"),
                Err(_late) => Outcome::new(Reason::ProberFault, "the prober ignored its deadline and was cut"),
            };
            let _engine_gone = outcomes.send(Done { id, version, outcome });
        });
        task.abort_handle()
    }
}
