//! What the servers count of themselves.

use std::sync::Arc;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::families::Families;
use crate::telemetry::{CODE_CLASSES, Listener, ListenerCounts, ReportFate, Telemetry};

/// The series of the listeners, the streams and the heartbeats.
#[derive(Debug)]
pub(super) struct Servers {
    telemetry: Arc<Telemetry>,
}

impl Servers {
    pub(super) fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { telemetry }
    }

    fn per_listener(
        &self,
        read: fn(&ListenerCounts) -> u64,
    ) -> impl Iterator<Item = ([(&'static str, &'static str); 1], u64)> {
        Listener::ALL
            .into_iter()
            .map(move |listener| ([("listener", listener.as_str())], read(self.telemetry.listener(listener))))
    }
}

impl Collector for Servers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut families = Families(encoder);
        families.gauge(
            "healthcheck_http_connections",
            "Connections open",
            self.per_listener(|counts| counts.connections.get() as u64),
        )?;
        families.counter(
            "healthcheck_http_connection_bound_hits_total",
            "How often a connection had to wait because all places were taken",
            self.per_listener(|counts| counts.limit_hits.get()),
        )?;
        families.counter(
            "healthcheck_http_connections_cut_total",
            "Connections that broke, or were cut because the client was too slow",
            self.per_listener(|counts| counts.cut.get()),
        )?;
        families.counter(
            "healthcheck_http_panics_total",
            "Handlers that panicked",
            self.per_listener(|counts| counts.panics.get()),
        )?;
        let answers = Listener::ALL.into_iter().flat_map(|listener| {
            let counts = self.telemetry.listener(listener);
            CODE_CLASSES
                .into_iter()
                .zip(&counts.answers)
                .map(move |(class, count)| ([("listener", listener.as_str()), ("class", class)], count.get()))
        });
        families.counter("healthcheck_http_answers_total", "Answers, by class of status", answers)?;
        self.streams_and_reports(&mut families)
    }
}

impl Servers {
    fn streams_and_reports(&self, families: &mut Families<'_>) -> std::fmt::Result {
        families.level("healthcheck_event_streams", "Event streams open", self.telemetry.streams.get() as u64)?;
        families.total(
            "healthcheck_event_stream_bound_hits_total",
            "Event streams refused because there were too many",
            self.telemetry.streams_refused.get(),
        )?;
        families.total(
            "healthcheck_event_stream_restarts_total",
            "Fresh snapshots sent to readers that had fallen behind",
            self.telemetry.streams_restarted.get(),
        )?;
        families.counter(
            "healthcheck_heartbeat_reports_total",
            "Reports of heartbeats, by what came of them",
            ReportFate::ALL.into_iter().map(|fate| ([("outcome", fate.as_str())], self.telemetry.reports(fate).get())),
        )
    }
}
