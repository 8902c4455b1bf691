//! Writing metric families under exactly the names they are published by.
//!
//! The encoder's own counters append `_total`; the published `healthcheck_response_codes` has none. So a counter is
//! described as one and its samples are written like a gauge's, under the name as given.

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, NoLabelSet},
    metrics::MetricType,
};

/// Writes families one after the other.
pub(super) struct Families<'a>(pub(super) DescriptorEncoder<'a>);

impl Families<'_> {
    pub(super) fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> std::fmt::Result {
        self.write(name, help, MetricType::Gauge, samples)
    }

    pub(super) fn counter<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> std::fmt::Result {
        self.write(name, help, MetricType::Counter, samples)
    }

    /// A gauge without labels.
    pub(super) fn level(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> std::fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A counter without labels.
    pub(super) fn total(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> std::fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Counter)?.encode_gauge(&value)
    }

    /// `buckets` are upper bounds with the number of observations in each bucket alone.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        sum: f64,
        buckets: impl IntoIterator<Item = (f64, u64)>,
    ) -> std::fmt::Result {
        let buckets: Vec<(f64, u64)> = buckets.into_iter().collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn write<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> std::fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
