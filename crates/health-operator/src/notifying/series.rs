//! How telling goes, as metrics, read at scrape. Labels are the kinds of channels and closed sets of words.

use std::{fmt, sync::Arc};

use health_notifications::{Delivered, MetricsSnapshot, Notifications};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// The metrics of the notification pipeline.
pub(crate) struct NotificationSeries(Arc<Notifications>);

impl NotificationSeries {
    /// Shows what the pipeline says at the moment of a scrape.
    pub(crate) fn new(notifications: Arc<Notifications>) -> Self {
        Self(notifications)
    }
}

impl fmt::Debug for NotificationSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotificationSeries")
    }
}

impl Collector for NotificationSeries {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let snapshot = self.0.metrics();
        encode_delivered(&mut encoder, &snapshot)?;
        encode_queued(&mut encoder, &snapshot)?;
        let MetricsSnapshot {
            oldest_undelivered_seconds,
            not_delivering,
            abandoned,
            ledger_failures,
            ledger_unwritten,
            ..
        } = snapshot;
        let gauges = [
            (
                "healthcheck_notifications_oldest_undelivered_seconds",
                "Age of the oldest alert that is due and not accepted yet",
                oldest_undelivered_seconds,
            ),
            (
                "healthcheck_notifications_destinations_not_delivering",
                "Destinations whose last attempt failed",
                count(not_delivering.len()),
            ),
            (
                "healthcheck_notifications_ledger_unwritten",
                "Entries of the ledger that are not written yet",
                count(ledger_unwritten),
            ),
        ];
        for (name, help, value) in gauges {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)
                .and_then(|metric| ConstGauge::new(value).encode(metric))?;
        }
        let counters = [
            (
                "healthcheck_notifications_abandoned",
                "Open alerts that could not be closed because the way to close them is gone",
                abandoned,
            ),
            ("healthcheck_notifications_ledger_failures", "Writes of the ledger that failed", ledger_failures),
        ];
        for (name, help, value) in counters {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)
                .and_then(|metric| ConstCounter::new(value).encode(metric))?;
        }
        Ok(())
    }
}

fn encode_delivered(encoder: &mut DescriptorEncoder, snapshot: &MetricsSnapshot) -> fmt::Result {
    let help = "Messages by kind of channel and by what the provider said";
    let mut family = encoder.encode_descriptor("healthcheck_notifications", help, None, MetricType::Counter)?;
    for (kind, delivered) in &snapshot.delivered {
        let Delivered { accepted, retried, rejected, merged: _ } = *delivered;
        for (outcome, value) in [("accepted", accepted), ("retried", retried), ("rejected", rejected)] {
            let labels = [("channel", kind.as_str()), ("outcome", outcome)];
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Alerts that went out in a message together with others";
    let mut family = encoder.encode_descriptor("healthcheck_notifications_merged", help, None, MetricType::Counter)?;
    for (kind, delivered) in &snapshot.delivered {
        ConstCounter::new(delivered.merged).encode(family.encode_family(&[("channel", kind.as_str())])?)?;
    }
    Ok(())
}

fn encode_queued(encoder: &mut DescriptorEncoder, snapshot: &MetricsSnapshot) -> fmt::Result {
    let help = "Alerts that are due and not accepted yet";
    let mut family = encoder.encode_descriptor("healthcheck_notifications_queued", help, None, MetricType::Gauge)?;
    for (kind, queued) in &snapshot.queued {
        ConstGauge::new(count(*queued)).encode(family.encode_family(&[("channel", kind.as_str())])?)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of alerts are far below 2^53")]
fn count(number: usize) -> f64 {
    number as f64
}
