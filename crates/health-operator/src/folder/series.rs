//! How the folder is doing, as metrics, read at scrape.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use tokio::sync::watch::Receiver;

use super::FolderReport;

/// The metrics of a folder.
#[derive(Debug)]
pub(crate) struct FolderSeries {
    report: Receiver<FolderReport>,
}

impl FolderSeries {
    /// Shows what is reported at the moment of a scrape.
    pub(crate) fn new(report: Receiver<FolderReport>) -> Self {
        Self { report }
    }
}

impl Collector for FolderSeries {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let report = self.report.borrow().clone();
        let gauges = [
            ("healthcheck_manifest_files", "Manifest files found in the folder", report.files),
            ("healthcheck_manifest_files_kept", "Files of which an earlier, good version is in force", report.kept),
            (
                "healthcheck_manifest_problems",
                "Problems in files and documents, as listed in the log",
                report.troubles.len(),
            ),
            ("healthcheck_manifest_ignored_objects", "Objects of kinds that are not ours", report.ignored),
            (
                "healthcheck_manifest_folder_readable",
                "1 when the folder could be read last time",
                usize::from(report.unreadable.is_none()),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        if let Some(moment) = report.last_reading {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
            let seconds = ConstGauge::new(moment.as_millisecond() as f64 / 1000.0);
            let name = "healthcheck_manifest_last_reading_timestamp_seconds";
            let help = "When the folder was last read completely";
            let metric = encoder.encode_descriptor(name, help, None, seconds.metric_type())?;
            seconds.encode(metric)?;
        }
        let readings = ConstCounter::new(report.readings);
        let help = "Complete readings of the folder";
        let metric = encoder.encode_descriptor("healthcheck_manifest_readings", help, None, readings.metric_type())?;
        readings.encode(metric)
    }
}
