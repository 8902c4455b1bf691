//! What the cluster side counts, shown on `/metrics` beside the checks' series.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Counters and gauges of watches, status writes and events. Cheap to clone; all clones count into the same numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterMetrics(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    watch_events: AtomicU64,
    watch_errors: AtomicU64,
    relists: AtomicU64,
    objects: AtomicU64,
    status_written: AtomicU64,
    status_failed: AtomicU64,
    status_refused: AtomicU64,
    status_coalesced: AtomicU64,
    status_waiting: AtomicU64,
    events_sent: AtomicU64,
    events_dropped: AtomicU64,
    material_reads: AtomicU64,
    material_failures: AtomicU64,
    ledgers_truncated: AtomicU64,
}

macro_rules! counters {
    ($($method:ident => $field:ident),+ $(,)?) => {
        impl ClusterMetrics {
            $(pub(super) fn $method(&self) {
                self.0.$field.fetch_add(1, Relaxed);
            })+
        }
    };
}

counters! {
    watch_event => watch_events,
    watch_error => watch_errors,
    relisted => relists,
    status_written => status_written,
    status_failed => status_failed,
    status_refused => status_refused,
    event_sent => events_sent,
    event_dropped => events_dropped,
    material_read => material_reads,
    material_failed => material_failures,
    ledger_truncated => ledgers_truncated,
}

impl ClusterMetrics {
    /// How the status queue stands.
    pub(super) fn status_queue(&self, waiting: usize, coalesced: u64) {
        self.0.status_waiting.store(waiting as u64, Relaxed);
        self.0.status_coalesced.store(coalesced, Relaxed);
    }

    /// How many of our objects are known.
    pub(super) fn objects(&self, known: usize) {
        self.0.objects.store(known as u64, Relaxed);
    }
}

impl Collector for ClusterMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let numbers = &*self.0;
        let counters = [
            ("healthcheck_watch_events", "Watch events received from the API server", &numbers.watch_events),
            ("healthcheck_watch_errors", "Watches or lists that failed", &numbers.watch_errors),
            ("healthcheck_watch_relists", "Complete lists taken", &numbers.relists),
            ("healthcheck_status_writes", "Statuses written", &numbers.status_written),
            (
                "healthcheck_status_write_failures",
                "Status writes that failed and are tried again",
                &numbers.status_failed,
            ),
            ("healthcheck_status_write_refusals", "Status writes that the API server refused", &numbers.status_refused),
            (
                "healthcheck_status_coalesced",
                "Changes that went into a write waiting already",
                &numbers.status_coalesced,
            ),
            ("healthcheck_events_sent", "Events created", &numbers.events_sent),
            ("healthcheck_events_dropped", "Events given up at the bound or after failures", &numbers.events_dropped),
            (
                "healthcheck_ledger_truncations",
                "Writes of a rule's ledger that had no room for all of it",
                &numbers.ledgers_truncated,
            ),
            ("healthcheck_reference_reads", "Secrets and ConfigMaps read", &numbers.material_reads),
            ("healthcheck_reference_read_failures", "Secrets and ConfigMaps not readable", &numbers.material_failures),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value.load(Relaxed));
            counter.encode(encoder.encode_descriptor(name, help, None::<&Unit>, MetricType::Counter)?)?;
        }
        let gauges = [
            ("healthcheck_status_queue", "Checks whose status waits to be written", &numbers.status_waiting),
            ("healthcheck_watched_objects", "HealthChecks and NotificationRules known", &numbers.objects),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value.load(Relaxed)).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None::<&Unit>, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
