//! What definitions do to the registry: only what has changed is touched.

use std::{collections::HashSet, sync::Arc, time::Duration};

use health_model::{
    CheckDefinition, CheckId, CheckSpec, Outcome, Probe, SpecProblem, Standing, Transition, first_delay,
};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    Tally,
    board::Remembered,
    pauses::PATIENCE,
    registry::{Activity, Check, Slot},
    running::{Running, Write},
    timetable::after,
};

/// How much a restart may put off a missing heartbeat, whatever was known before.
const RESTART_FORGIVES: Duration = Duration::from_secs(600);

/// Whether two specs ask the same question in the same way; what is only for people or for alerts may differ.
fn asks_the_same(one: &CheckSpec, other: &CheckSpec) -> bool {
    // Destructured in full: a field that is added must be placed.
    let CheckSpec {
        interval,
        timeout,
        suspend,
        failure_threshold,
        success_threshold,
        retry_interval,
        max_latency,
        ip_family,
        depends_on: _,
        maintenance: _,
        description: _,
        runbook_url: _,
        severity: _,
        probe,
    } = one;
    *interval == other.interval
        && *timeout == other.timeout
        && *suspend == other.suspend
        && *failure_threshold == other.failure_threshold
        && *success_threshold == other.success_threshold
        && *retry_interval == other.retry_interval
        && *max_latency == other.max_latency
        && *ip_family == other.ip_family
        && *probe == other.probe
}

/// What an edit comes to.
#[derive(Debug, PartialEq, Eq)]
enum Edit {
    /// Nothing at all.
    Nothing,
    /// What is shown; probing goes on as it was.
    Words,
    /// What is asked, or whether.
    Question,
}

fn compare(old: &CheckDefinition, new: &CheckDefinition) -> Edit {
    if old == new {
        return Edit::Nothing;
    }
    match (&old.spec, &new.spec) {
        (Ok(old), Ok(new)) if asks_the_same(old, new) => Edit::Words,
        (Err(old), Err(new)) if old == new => Edit::Words,
        _ => Edit::Question,
    }
}

impl Running {
    pub(crate) fn replace_all(&mut self, definitions: Vec<CheckDefinition>) {
        let kept: HashSet<&CheckId> = definitions.iter().map(|definition| &definition.meta.id).collect();
        let gone: Vec<CheckId> = self.registry.ids().filter(|id| !kept.contains(id)).cloned().collect();
        drop(kept);
        gone.iter().for_each(|id| self.remove(id));
        definitions.into_iter().for_each(|definition| self.apply(definition));
    }

    pub(crate) fn apply(&mut self, definition: CheckDefinition) {
        let definition = Arc::new(definition);
        match self.registry.find(&definition.meta.id) {
            Some(slot) => self.edit(slot, definition),
            None => self.register(definition),
        }
    }

    pub(crate) fn remember(&mut self, standings: Remembered) {
        self.remembered.extend(standings.into_iter().filter(|(id, _)| self.registry.find(id).is_none()));
    }

    fn register(&mut self, definition: Arc<CheckDefinition>) {
        let id = &definition.meta.id;
        let standing = self.remembered.remove(id).map_or_else(Standing::pending, Standing::restore);
        let host = self.places.enlist(host_name(&definition));
        let slot = self.registry.insert(Check {
            definition,
            standing,
            tally: Tally::default(),
            host,
            activity: Activity::Idle,
            due: None,
            suspect: false,
            silent_since: self.board.clock().now(),
            starved: 0,
            fault_logged: false,
            respread: false,
            reprieves: 0,
        });
        self.take_up(slot);
    }

    fn edit(&mut self, slot: Slot, definition: Arc<CheckDefinition>) {
        let Some(check) = self.registry.get_mut(slot) else { return };
        match compare(&check.definition, &definition) {
            Edit::Nothing => {}
            Edit::Words => {
                check.standing.observed_generation = definition.meta.generation;
                check.definition = definition;
                self.show(slot, None, true);
            }
            Edit::Question => {
                self.call_off(slot);
                self.forget_faults(slot);
                self.change_question(slot, definition);
                self.take_up(slot);
            }
        }
    }

    fn change_question(&mut self, slot: Slot, definition: Arc<CheckDefinition>) {
        let host = self.places.enlist(host_name(&definition));
        let awake = self.board.clock().now();
        let Some(check) = self.registry.get_mut(slot) else { return };
        let left = std::mem::replace(&mut check.host, host);
        check.definition = definition;
        check.silent_since = awake;
        check.due = None;
        check.suspect = false;
        check.respread = false;
        check.reprieves = 0;
        check.standing.edited();
        self.places.discharge(left);
    }

    /// Begins with the definition the check has now.
    fn take_up(&mut self, slot: Slot) {
        let now = Instant::now();
        let wall = self.wall_now();
        let max_backoff = self.settings.max_backoff;
        let Some(check) = self.registry.get_mut(slot) else { return };
        let mut transition = None;
        let mut due = None;
        match &check.definition.spec {
            Ok(spec) if spec.suspend => check.standing.suspend(),
            Ok(spec) => {
                check.standing.resume();
                let id = &check.definition.meta.id;
                let left_alone = still_left_alone(&check.standing, wall).map(|span| span.min(max_backoff));
                check.silent_since += left_alone.unwrap_or_default();
                let wait = left_alone.unwrap_or_else(|| first_wait(id, spec, &check.standing, wall));
                due = Some(after(now, wait));
            }
            Err(problem) => {
                let generation = check.definition.meta.generation;
                transition = refuse(&mut check.standing, generation, problem, wall);
                check.silent_since = self.board.clock().now();
            }
        }
        if let Some(due) = due {
            self.set_due(slot, due);
        }
        self.show(slot, transition, true);
    }

    pub(crate) fn remove(&mut self, id: &CheckId) {
        let Some(slot) = self.registry.find(id) else { return };
        self.call_off(slot);
        self.forget_faults(slot);
        if let Some(check) = self.registry.remove(slot) {
            self.places.discharge(check.host);
            self.writes.push(Write::Erase(slot, id.clone()));
        }
    }

    fn forget_faults(&mut self, slot: Slot) {
        let Some(check) = self.registry.get_mut(slot) else { return };
        if check.starved > PATIENCE {
            self.pulse.starving_checks -= 1;
        }
        check.starved = 0;
        check.fault_logged = false;
    }
}

fn host_name(definition: &CheckDefinition) -> Option<String> {
    definition.spec.as_ref().ok().and_then(|spec| spec.probe.host_key())
}

/// A probe comes at once, spread; a heartbeat has its interval and grace to come in.
fn first_wait(id: &CheckId, spec: &CheckSpec, standing: &Standing, wall: Timestamp) -> Duration {
    let Probe::Heartbeat(heartbeat) = &spec.probe else { return first_delay(id, spec.interval) };
    let allowed = spec.interval.saturating_add(heartbeat.grace);
    let Some(last) = standing.last_checked.filter(|_| standing.restored) else { return allowed };
    if spec.interval <= RESTART_FORGIVES {
        return allowed;
    }
    // A restart is no report: the time since the last one counts, or a process that restarts each day would never miss a
    // daily one. Of the reports since, one may have come while nobody was there to take it in; not two.
    let silent = Duration::try_from(wall.duration_since(last)).unwrap_or_default();
    let expected = [1, 2].map(|reports| spec.interval.saturating_mul(reports));
    match expected.into_iter().find(|expected| silent < *expected) {
        Some(expected) => expected.saturating_add(heartbeat.grace).saturating_sub(silent),
        None => RESTART_FORGIVES.saturating_add(heartbeat.grace),
    }
}

/// For how much longer a target that had answered 429 before a restart is left alone.
fn still_left_alone(standing: &Standing, wall: Timestamp) -> Option<Duration> {
    let until = standing.backoff_until.filter(|until| standing.restored && *until > wall)?;
    Duration::try_from(until.duration_since(wall)).ok()
}

fn refuse(standing: &mut Standing, generation: i64, problem: &SpecProblem, wall: Timestamp) -> Option<Transition> {
    standing.refuse(generation, &Outcome::new(problem.reason, problem.message.clone()), wall)
}
