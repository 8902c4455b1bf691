//! How the schedule itself is doing: its lag, what is in flight, what was skipped, late or held back by a bound.

use std::sync::Arc;

use health_runner::{Board, LAG_BOUNDARIES, Pulse};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::families::Families;

/// The series of the schedule.
#[derive(Debug)]
pub(super) struct Schedule {
    board: Arc<Board>,
}

impl Schedule {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self { board }
    }
}

impl Collector for Schedule {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let pulse = self.board.pulse();
        let mut families = Families(encoder);
        let boundaries = LAG_BOUNDARIES.iter().copied().chain([f64::INFINITY]);
        families.histogram(
            "healthcheck_schedule_lag_seconds",
            "How late probes started, from due to start",
            pulse.lag.sum_seconds,
            boundaries.zip(pulse.lag.buckets),
        )?;
        levels(&mut families, &pulse)?;
        counts(&mut families, &pulse)?;
        own_faults(&mut families, &pulse)
    }
}

fn levels(families: &mut Families<'_>, pulse: &Pulse) -> std::fmt::Result {
    families.level("healthcheck_probes_in_flight", "Probes under way", pulse.in_flight as u64)?;
    families.level(
        "healthcheck_probes_hung",
        "Probes under way that have waited longer than a second for an answer",
        pulse.hung as u64,
    )?;
    families.level("healthcheck_probes_waiting", "Probes that are due and wait for a place", pulse.waiting as u64)?;
    families.level(
        "healthcheck_schedule_silence_seconds",
        "Time since the engine last looked at its timetable",
        pulse.since_last_tick.as_secs_f64(),
    )?;
    families.level(
        "healthcheck_schedule_stands_still",
        "Whether the schedule stands still: 1 if so",
        u32::from(pulse.stands_still),
    )
}

fn counts(families: &mut Families<'_>, pulse: &Pulse) -> std::fmt::Result {
    let totals = [
        ("healthcheck_probes_started_total", "Probes started", pulse.started),
        ("healthcheck_probes_completed_total", "Probes whose outcome was taken in", pulse.completed),
        (
            "healthcheck_probes_skipped_total",
            "Probes not started because the check's previous one was still under way",
            pulse.skipped,
        ),
        ("healthcheck_probes_late_total", "Probes started more than 100 ms after they were due", pulse.late),
        (
            "healthcheck_probes_discarded_total",
            "Outcomes nobody wanted any more: the check was edited, suspended or removed",
            pulse.discarded,
        ),
    ];
    for (name, help, count) in totals {
        families.total(name, help, count)?;
    }
    families.counter(
        "healthcheck_probe_bound_hits_total",
        "Probes that had to wait because a bound was reached",
        [
            ([("bound", "process")], pulse.process_bound_hits),
            ([("bound", "host")], pulse.host_bound_hits),
            ([("bound", "hung")], pulse.hung_bound_hits),
        ],
    )
}

/// What went wrong on our side, and was not booked on a target.
fn own_faults(families: &mut Families<'_>, pulse: &Pulse) -> std::fmt::Result {
    let totals = [
        ("healthcheck_prober_panics_total", "Probes that panicked", pulse.panics),
        ("healthcheck_probe_overruns_total", "Probes cut because they ignored their deadline", pulse.overruns),
        (
            "healthcheck_starved_outcomes_total",
            "Outcomes set aside because this process was paused or starved during the probe",
            pulse.starved,
        ),
        ("healthcheck_process_pauses_total", "Pauses of this process that were noticed", pulse.pauses),
        (
            "healthcheck_network_lost_outcomes_total",
            "Outcomes set aside because our own network was lost",
            pulse.network_lost,
        ),
    ];
    for (name, help, count) in totals {
        families.total(name, help, count)?;
    }
    families.total(
        "healthcheck_process_paused_seconds_total",
        "Time lost in pauses of this process",
        pulse.paused.as_secs_f64(),
    )?;
    families.level(
        "healthcheck_network_lost",
        "Whether our own network is lost, as far as the witnesses say: 1 if so",
        u32::from(pulse.network_is_lost),
    )?;
    families.level(
        "healthcheck_starving_checks",
        "Checks that could not be judged several times in a row because this process is starved",
        pulse.starving_checks as u64,
    )
}
