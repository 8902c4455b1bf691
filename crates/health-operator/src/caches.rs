//! How full the caches that probes share are, and how full they may be, as metrics, read at scrape.

use std::{fmt, sync::Arc};

use health_probes::Probes;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

/// The metrics of the shared caches.
#[derive(Debug)]
pub(crate) struct CacheSeries(Arc<Probes>);

impl CacheSeries {
    /// Shows the caches of these probes.
    pub(crate) fn new(probes: Arc<Probes>) -> Self {
        Self(probes)
    }
}

impl Collector for CacheSeries {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let caches = self.0.caches();
        let help = "What probes keep for each other: resolved names, TLS configurations, OAuth 2 tokens";
        let mut family = encoder.encode_descriptor("healthcheck_cache_entries", help, None, MetricType::Gauge)?;
        for cache in caches {
            let entries = ConstGauge::new(i64::try_from(cache.entries).unwrap_or(i64::MAX));
            entries.encode(family.encode_family(&[("cache", cache.name)])?)?;
        }
        let help = "How much of it may be kept; beyond that it is had anew each time";
        let mut family = encoder.encode_descriptor("healthcheck_cache_entries_limit", help, None, MetricType::Gauge)?;
        for cache in caches {
            let limit = ConstGauge::new(i64::try_from(cache.limit).unwrap_or(i64::MAX));
            limit.encode(family.encode_family(&[("cache", cache.name)])?)?;
        }
        Ok(())
    }
}
