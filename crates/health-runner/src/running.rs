//! The running engine: one task that owns everything that changes, woken by outcomes, commands and the timetable.
//!
//! Each turn takes in what has come, starts what is due, and then writes the board once. `declare.rs` holds what
//! definitions do, `launch.rs` how probes start and end, `judge.rs` what outcomes mean.

use std::{sync::Arc, time::Duration};

use health_model::{CheckId, Outcome, Prober, Transition};
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use crate::{
    Board, EngineSettings, Pulse, Row,
    board::Remembered,
    engine::{Command, Inboxes},
    launch::{Ageing, Landed},
    pauses::Pauses,
    places::{Bounds, Places},
    registry::{Registry, Slot},
    timetable::Timetable,
    witness::Consultation,
};

/// The engine looks at its timetable at least this often, so that its silence means something.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// While probes are in flight it wakes up at least this often, so that it notices pauses.
const WATCHFUL_SLEEP: Duration = Duration::from_millis(25);
/// What falls due within this starts together, and what ends within it is taken in together: wake-ups cost more than
/// probes.
const TICK: Duration = Duration::from_millis(4);
/// How long a shutdown waits for probes that were cut to be gone.
const LAST_CALL: Duration = Duration::from_secs(1);
/// More places than any machine has ports for.
const MOST_PLACES: usize = 1 << 20;
/// A process that stumbles all the time says so at most this often.
const PAUSES_ARE_LOGGED_EVERY: Duration = Duration::from_secs(10);
/// Messages taken in one turn.
const BATCH: usize = 1024;

/// What tasks tell the engine.
#[derive(Debug)]
pub(crate) enum Message {
    /// A probe ended.
    Landed(Landed),
    /// The witnesses were asked whether our network is lost.
    Witnessed(bool),
}

/// What the board will be told at the end of the turn.
pub(crate) enum Write {
    Put { slot: Slot, row: Arc<Row>, transition: Option<Transition>, declared: bool },
    Erase(Slot, CheckId),
}

pub(crate) struct Running {
    pub(crate) settings: EngineSettings,
    pub(crate) prober: Arc<dyn Prober>,
    pub(crate) remembered: Remembered,
    pub(crate) board: Arc<Board>,
    pub(crate) registry: Registry,
    pub(crate) timetable: Timetable,
    pub(crate) places: Places,
    pub(crate) ageing: Ageing,
    pub(crate) pauses: Pauses,
    pub(crate) consultation: Consultation,
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) tasks: TaskTracker,
    pub(crate) pulse: Pulse,
    /// Awake time when a probe last ended.
    pub(crate) probed: Option<Duration>,
    /// The length of a long pause that ended with this turn.
    pub(crate) resumed_after: Option<Duration>,
    pub(crate) writes: Vec<Write>,
    acknowledgements: Vec<oneshot::Sender<()>>,
    pause_logged: Option<Instant>,
    inbox: Option<mpsc::Receiver<Message>>,
    last_number: u64,
    /// Probes were started or ended in this turn.
    pub(crate) rest: bool,
    /// Until then outcomes wait to be taken in together.
    rested: Instant,
}

impl Running {
    pub(crate) fn new(
        settings: EngineSettings,
        prober: Arc<dyn Prober>,
        remembered: Remembered,
        board: Arc<Board>,
    ) -> Self {
        let now = Instant::now();
        let since_1970 = Duration::try_from((settings.wall_clock)().duration_since(Timestamp::UNIX_EPOCH));
        let bounds = Bounds {
            quick: settings.max_in_flight.clamp(1, MOST_PLACES),
            quick_per_host: settings.max_in_flight_per_host.clamp(1, MOST_PLACES),
            hung: settings.max_hung.clamp(1, MOST_PLACES),
        };
        // Every probe in flight sends one message, so none of them ever waits to be heard.
        let (messages, inbox) = mpsc::channel(bounds.quick.saturating_add(bounds.hung).saturating_add(1));
        Self {
            consultation: Consultation::new(settings.witness.clone()),
            settings,
            prober,
            remembered,
            board,
            registry: Registry::default(),
            timetable: Timetable::new(now, since_1970.unwrap_or_default()),
            places: Places::new(bounds),
            ageing: Ageing::default(),
            pauses: Pauses::default(),
            messages,
            tasks: TaskTracker::new(),
            pulse: Pulse::default(),
            probed: None,
            resumed_after: None,
            writes: Vec::new(),
            acknowledgements: Vec::new(),
            pause_logged: None,
            inbox: Some(inbox),
            last_number: 0,
            rest: false,
            rested: now,
        }
    }

    pub(crate) async fn run(mut self, inboxes: Inboxes) {
        let Inboxes { mut commands, mut reports, shutdown } = inboxes;
        let Some(mut inbox) = self.inbox.take() else { return };
        let (mut landed, mut ordered, mut reported) = (Vec::new(), Vec::new(), Vec::new());
        let (mut commands_open, mut reports_open) = (true, true);
        while !shutdown.is_cancelled() {
            let now = Instant::now();
            let resting = self.rested > now;
            let planned = if resting { self.rested } else { self.next_wake(now).max(now) };
            tokio::select! {
                () = shutdown.cancelled() => {}
                _some = inbox.recv_many(&mut landed, BATCH), if !resting => {}
                count = commands.recv_many(&mut ordered, BATCH), if commands_open => commands_open = count > 0,
                count = reports.recv_many(&mut reported, BATCH), if reports_open => reports_open = count > 0,
                () = tokio::time::sleep_until(planned) => {}
            }
            // Whatever woke it: a turn takes in all that has come.
            while landed.len() < BATCH
                && let Ok(message) = inbox.try_recv()
            {
                landed.push(message);
            }
            self.notice_pauses(planned);
            ordered.drain(..).for_each(|command| self.obey(command));
            reported.drain(..).for_each(|(id, outcome)| self.take_report(&id, outcome));
            landed.drain(..).for_each(|message| self.take_message(message));
            self.tend();
            self.publish();
            if std::mem::take(&mut self.rest) {
                self.rested = Instant::now() + TICK;
            }
        }
        self.wind_down(inbox).await;
    }

    fn take_message(&mut self, message: Message) {
        match message {
            Message::Landed(landed) => self.land(landed),
            Message::Witnessed(lost) => self.take_testimony(lost),
        }
    }

    /// What time itself asks for.
    fn tend(&mut self) {
        let now = Instant::now();
        self.age_flights(now);
        self.start_due(now);
        self.start_waiting();
        self.put_question(now);
        let registry = &self.registry;
        self.timetable.sweep(registry.len(), |(_, slot, number)| {
            registry.get(*slot).is_some_and(|check| check.due.is_some_and(|(_, held)| held == *number))
        });
        self.resumed_after = None;
    }

    fn next_wake(&self, now: Instant) -> Instant {
        let longest = if self.places.in_flight() > 0 { WATCHFUL_SLEEP } else { LONGEST_SLEEP };
        let due = self.timetable.earliest();
        let question = if self.consultation.is_possible() { self.consultation.next_question() } else { None };
        let earliest = [due, self.ageing.next(), question].into_iter().flatten().min();
        earliest.map_or(now + longest, |earliest| earliest.min(now + longest))
    }

    fn notice_pauses(&mut self, planned: Instant) {
        let now = Instant::now();
        let Some(pause) = self.pauses.woke(planned, now, self.wall_now()) else { return };
        if self.pause_logged.is_none_or(|logged| now.saturating_duration_since(logged) >= PAUSES_ARE_LOGGED_EVERY) {
            self.pause_logged = Some(now);
            tracing::warn!(
                milliseconds = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "this process stood still: what it may have spoiled will be asked again"
            );
        }
        self.resumed_after = Some(pause);
        self.reprieve_heartbeats(pause, now);
    }

    pub(crate) fn wall_now(&self) -> Timestamp {
        (self.settings.wall_clock)()
    }

    /// A number that nothing else has: it tells a flight, a waiter or a due time from an outdated one.
    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn acknowledge(&mut self, done: oneshot::Sender<()>) {
        self.acknowledgements.push(done);
    }

    /// Sets the moment at which the check is due next; an earlier setting no longer holds.
    pub(crate) fn set_due(&mut self, slot: Slot, due: Instant) {
        let number = self.number();
        if let Some(check) = self.registry.get_mut(slot) {
            check.due = Some((due, number));
            self.timetable.enter((due, slot, number));
        }
    }

    /// Notes how the check stands now, for the board.
    pub(crate) fn show(&mut self, slot: Slot, transition: Option<Transition>, declared: bool) {
        let Some(check) = self.registry.get(slot) else { return };
        let passive = check.is_heartbeat();
        let until = |due: Instant| self.wall_now().checked_add(due.saturating_duration_since(Instant::now())).ok();
        let row = Row {
            definition: Arc::clone(&check.definition),
            standing: check.standing.clone(),
            next_check: check.due.filter(|_| !passive).and_then(|(due, _)| until(due)),
            tally: check.tally.clone(),
            revision: 0,
            silent_since: check.silent_since,
            clock: Arc::clone(self.board.clock()),
        };
        self.writes.push(Write::Put { slot, row: Arc::new(row), transition, declared });
    }

    fn publish(&mut self) {
        let hits = self.places.hits();
        self.pulse.checks = self.registry.len();
        self.pulse.in_flight = self.places.in_flight();
        self.pulse.hung = self.places.hung();
        self.pulse.waiting = self.places.waiting();
        self.pulse.process_bound_hits = hits.process;
        self.pulse.host_bound_hits = hits.host;
        self.pulse.hung_bound_hits = hits.hung;
        self.pulse.pauses = self.pauses.count();
        self.pulse.paused = self.pauses.total();
        self.pulse.network_is_lost = self.consultation.network_is_lost();
        let awake = self.board.clock().now();
        let mut pen = self.board.write();
        for write in self.writes.drain(..) {
            match write {
                Write::Put { slot, row, transition, declared } => pen.put(slot, row, transition.as_ref(), declared),
                Write::Erase(slot, id) => pen.erase(slot, &id),
            }
        }
        pen.note(&self.pulse, awake, self.probed);
        drop(pen);
        for done in self.acknowledgements.drain(..) {
            let _nobody_waits = done.send(());
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Apply(definition, done) => {
                self.apply(*definition);
                self.acknowledge(done);
            }
            Command::Remove(id, done) => {
                self.remove(&id);
                self.acknowledge(done);
            }
            Command::ReplaceAll(definitions, done) => {
                self.replace_all(definitions);
                self.acknowledge(done);
            }
            Command::Remember(standings, done) => {
                self.remember(standings);
                self.acknowledge(done);
            }
        }
    }

    fn take_report(&mut self, id: &CheckId, outcome: Outcome) {
        if let Some(slot) = self.registry.find(id) {
            self.report(slot, outcome);
        }
    }

    /// Starts nothing more; takes in what ends within the grace, cuts the rest without booking it on anybody.
    async fn wind_down(mut self, mut inbox: mpsc::Receiver<Message>) {
        let end = Instant::now() + self.settings.shutdown_grace;
        while self.places.in_flight() > 0 {
            let planned = end.min(Instant::now() + WATCHFUL_SLEEP);
            match tokio::time::timeout_at(planned, inbox.recv()).await {
                Ok(Some(message)) => {
                    self.notice_pauses(planned);
                    self.take_message(message);
                    self.publish();
                }
                Ok(None) => break,
                Err(_elapsed) => {
                    self.notice_pauses(planned);
                    if Instant::now() >= end {
                        break;
                    }
                }
            }
        }
        self.cut_everything();
        self.publish();
        self.tasks.close();
        // A prober that never yields cannot be cut; nobody is to wait for it.
        let _blocked = tokio::time::timeout(LAST_CALL, self.tasks.wait()).await;
    }
}
