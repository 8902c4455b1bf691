//! How keeping goes, as metrics, read at scrape.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

use super::KeeperReport;

/// The metrics of what is kept over restarts.
#[derive(Debug)]
pub(crate) struct MemorySeries(Arc<Mutex<KeeperReport>>);

impl MemorySeries {
    /// Shows what is reported at the moment of a scrape.
    pub(crate) fn new(report: Arc<Mutex<KeeperReport>>) -> Self {
        Self(report)
    }
}

impl Collector for MemorySeries {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let KeeperReport { written, failed, trouble: _ } =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, help, value) in [
            ("healthcheck_state_writes", "Times that what is known was written to --state-dir", written),
            ("healthcheck_state_write_failures", "Times that what is known could not be written", failed),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        Ok(())
    }
}
