//! The series of each check, read from its row.

use std::sync::Arc;

use health_model::Outcome;
use health_runner::{Board, Row};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::families::Families;
use crate::healthchecks::published_health;

/// The series of each check.
#[derive(Debug)]
pub(super) struct Checks {
    board: Arc<Board>,
}

/// A row with its time-dependent part read once, so that all families of a scrape agree.
struct Seen {
    row: Arc<Row>,
    overdue: bool,
}

impl Seen {
    fn labels(&self) -> [(&str, &str); 2] {
        [("namespace", self.row.id().namespace()), ("name", self.row.id().name())]
    }

    fn labels_and<'a>(&'a self, key: &'a str, value: &'a str) -> [(&'a str, &'a str); 3] {
        let [namespace, name] = self.labels();
        [namespace, name, (key, value)]
    }

    fn outcome(&self) -> Option<&Outcome> {
        self.row.standing.last_outcome.as_deref()
    }
}

impl Checks {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self { board }
    }
}

impl Collector for Checks {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let rows = self.board.rows();
        let seen: Vec<Seen> = rows.into_iter().map(|row| Seen { overdue: row.overdue(), row }).collect();
        let mut families = Families(encoder);
        published(&mut families, &seen)?;
        probes(&mut families, &seen)?;
        totals(&mut families, &seen)
    }
}

/// The three that existing dashboards read.
fn published(families: &mut Families<'_>, seen: &[Seen]) -> std::fmt::Result {
    families.gauge(
        "healthcheck_status",
        "Whether the check is healthy: 1, or 0 when it fails, is not known yet or is overdue",
        seen.iter().map(|seen| (seen.labels(), u32::from(published_health(&seen.row, seen.overdue)))),
    )?;
    families.gauge(
        "healthcheck_response_time",
        "How long the last probe took, in milliseconds",
        seen.iter().filter_map(|seen| Some((seen.labels(), seen.outcome()?.measured()?.as_secs_f64() * 1e3))),
    )?;
    let codes = seen.iter().flat_map(|seen| seen.row.tally.status_codes.iter().map(move |(code, n)| (seen, *code, *n)));
    let mut text = CodeText::default();
    let codes: Vec<_> = codes.map(|(seen, code, count)| (seen, text.of(code), count)).collect();
    families.counter(
        "healthcheck_response_codes",
        "Answers by the protocol's status code",
        codes.iter().map(|(seen, code, count)| (seen.labels_and("code", code), *count)),
    )
}

/// What the last probe of each check saw.
fn probes(families: &mut Families<'_>, seen: &[Seen]) -> std::fmt::Result {
    families.gauge(
        "healthcheck_last_probe_timestamp_seconds",
        "When a probe of the check last ended, in Unix time",
        seen.iter().filter_map(|seen| Some((seen.labels(), unix_seconds(seen.row.standing.last_checked?)))),
    )?;
    let phases = seen.iter().filter_map(|seen| Some((seen, seen.outcome()?))).flat_map(|(seen, outcome)| {
        outcome
            .phases
            .named()
            .into_iter()
            .filter_map(move |(phase, span)| Some((seen.labels_and("phase", phase), span?.as_secs_f64())))
    });
    families.gauge("healthcheck_probe_duration_seconds", "Where the time of the last probe went", phases)?;
    families.gauge(
        "healthcheck_certificate_expiry_timestamp_seconds",
        "When the first certificate of the chain the target last showed expires, in Unix time",
        seen.iter().filter_map(|seen| {
            let certificate = seen.outcome()?.certificate.as_deref()?;
            Some((seen.labels(), unix_seconds(certificate.chain_not_after)))
        }),
    )?;
    let failures = seen.iter().flat_map(|seen| {
        seen.row.tally.failures.iter().map(move |(reason, count)| (seen.labels_and("reason", reason.as_str()), *count))
    });
    families.counter("healthcheck_failures_total", "Probes that came to nothing good, by reason", failures)
}

/// Name, help, and which checks are counted.
type Level = (&'static str, &'static str, fn(&Seen) -> bool);

/// How many checks there are, and how many of them nobody can vouch for.
fn totals(families: &mut Families<'_>, seen: &[Seen]) -> std::fmt::Result {
    let levels: [Level; 4] = [
        ("healthcheck_checks", "Checks that are configured", |_| true),
        (
            "healthcheck_overdue_checks",
            "Checks that no probe has ended of for longer than three intervals and a timeout",
            |seen| seen.overdue,
        ),
        (
            "healthcheck_stale_checks",
            "Checks whose last word may no longer be true: overdue, not probed since a restart, or a fault of ours",
            |seen| seen.overdue || seen.row.standing.stale(),
        ),
        (
            "healthcheck_invalid_checks",
            "Checks that cannot be probed because of their manifest or a Secret or ConfigMap it refers to",
            |seen| seen.row.definition.spec.is_err(),
        ),
    ];
    for (name, help, matches) in levels {
        families.level(name, help, seen.iter().filter(|seen| matches(seen)).count() as u64)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit a float exactly")]
fn unix_seconds(at: jiff::Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}

/// Status codes as text, each written once per scrape.
#[derive(Default)]
struct CodeText(std::collections::HashMap<u16, Arc<str>>);

impl CodeText {
    fn of(&mut self, code: u16) -> Arc<str> {
        Arc::clone(self.0.entry(code).or_insert_with(|| code.to_string().into()))
    }
}
