//! The spec of a HealthCheck as a whole.

use std::{sync::Arc, time::Duration};

use health_model::{
    CheckSpec, IpFamily, MaintenanceWindow, Probe, ProbeKind, RecurringWindow, Severity, default_timeout,
};
use jiff::Timestamp;

use super::{Conversion, duration::Bounds, http::Beside, url::without_user_info};
use crate::{
    path::FieldPath,
    resource::{
        health_check::{HealthCheckSpec, IpFamilySpec, MaintenanceSpec, SeveritySpec},
        http::Http,
        value::NumberOrText,
    },
};

/// The probe sections, as the spec names them.
const SECTIONS: &str = "http, tcp, dns, grpc, icmp, websocket, udp or heartbeat";

impl Conversion<'_> {
    /// Reads the spec of a check with this name.
    pub(crate) fn check(&mut self, name: &str, spec: &HealthCheckSpec) -> Option<CheckSpec> {
        let root = FieldPath::root("spec");
        let interval = self.duration(root.key("testInterval"), &spec.test_interval, Bounds::INTERVAL);
        let timeout = self.optional_duration(&root.key("timeout"), spec.timeout.as_ref(), Bounds::POSITIVE);
        let retry = self.optional_duration(&root.key("retryInterval"), spec.retry_interval.as_ref(), Bounds::INTERVAL);
        let max_latency = self.optional_duration(&root.key("maxLatency"), spec.max_latency.as_ref(), Bounds::POSITIVE);
        let depends_on = self.depends_on(&root.key("dependsOn"), name, &spec.depends_on);
        let maintenance = self.windows(&root.key("maintenance"), &spec.maintenance);
        let runbook_url = spec.runbook_url.as_deref().and_then(|url| self.runbook(&root.key("runbookUrl"), url));
        let probe = self.probe(&root, spec);
        let interval = interval?;
        Some(CheckSpec {
            interval,
            timeout: timeout?.unwrap_or_else(|| default_timeout(interval)),
            suspend: spec.suspend.unwrap_or(false),
            failure_threshold: threshold(spec.failure_threshold),
            success_threshold: threshold(spec.success_threshold),
            retry_interval: retry?.unwrap_or(interval),
            max_latency: max_latency?,
            ip_family: ip_family(spec.ip_family),
            depends_on,
            maintenance: maintenance?,
            description: spec.description.clone(),
            runbook_url,
            severity: severity(spec.severity),
            probe: probe?,
        })
    }

    pub(crate) fn optional_duration(
        &mut self,
        path: &FieldPath<'_>,
        value: Option<&NumberOrText>,
        bounds: Bounds,
    ) -> Option<Option<Duration>> {
        match value {
            None => Some(None),
            Some(value) => self.duration(path, value, bounds).map(Some),
        }
    }

    fn depends_on(&mut self, path: &FieldPath<'_>, own: &str, names: &[String]) -> Vec<Arc<str>> {
        for (index, name) in names.iter().enumerate() {
            if name == own {
                self.fault_showing(path.index(index), name, ("is this check itself", "remove it"));
            }
        }
        names.iter().map(|name| Arc::from(name.as_str())).collect()
    }

    /// Reads a list of windows.
    pub(crate) fn windows(
        &mut self,
        path: &FieldPath<'_>,
        windows: &[MaintenanceSpec],
    ) -> Option<Vec<MaintenanceWindow>> {
        self.each(path, windows, Self::window)
    }

    fn window(&mut self, path: &FieldPath<'_>, window: &MaintenanceSpec) -> Option<MaintenanceWindow> {
        let MaintenanceSpec { schedule, duration, time_zone, start, end } = window;
        let window = match (schedule, duration, start, end) {
            (Some(schedule), Some(duration), None, None) => {
                if schedule.split_whitespace().count() != 5 {
                    let remedy = "write minute, hour, day of month, month and day of week, as in \"0 3 * * 0\"";
                    self.fault_showing(
                        path.key("schedule"),
                        schedule,
                        ("is no cron expression of five fields", remedy),
                    );
                    return None;
                }
                let duration = self.duration(path.key("duration"), duration, Bounds::POSITIVE)?;
                RecurringWindow::new(schedule, duration, time_zone.as_deref()).map(MaintenanceWindow::Recurring)
            }
            (None, None, Some(start), Some(end)) if time_zone.is_none() => {
                let start = self.instant(&path.key("start"), start);
                let end = self.instant(&path.key("end"), end);
                MaintenanceWindow::once(start?, end?)
            }
            _ => {
                self.fault(path, "is neither recurring nor once", "give schedule and duration, or start and end");
                return None;
            }
        };
        window.map_err(|error| self.fault(path, error.to_string(), "mend it")).ok()
    }

    fn instant(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Timestamp> {
        let instant = text.parse::<Timestamp>().ok();
        if instant.is_none() {
            let remedy = "write RFC 3339, as in 2026-01-31T22:00:00Z";
            self.fault_showing(path, format_args!("{text:?}"), ("is no time", remedy));
        }
        instant
    }

    fn runbook(&mut self, path: &FieldPath<'_>, text: &str) -> Option<String> {
        self.url(path, text, &["http", "https"]).map(|(url, _)| url.to_string())
    }

    fn probe(&mut self, root: &FieldPath<'_>, spec: &HealthCheckSpec) -> Option<Probe> {
        let beside = Beside { search_for: spec.search_for.as_ref(), ssl_check: spec.ssl_check.as_ref() };
        let HealthCheckSpec { http, tcp, url, .. } = spec;
        let given = [http.is_some(), tcp.is_some(), url.is_some()].into_iter().filter(|given| *given).count();
        if given != 1 {
            let message = if given == 0 { "has no probe" } else { "has more than one probe" };
            self.fault(root, message, format!("give exactly one of {SECTIONS}"));
            return None;
        }
        if let Some(url) = url {
            let flat = Http { url: url.clone(), ..Http::default() };
            return self.http(root, &flat, beside).map(|probe| Probe::Http(Box::new(probe)));
        }
        if let Some(http) = http {
            return self.http(&root.key("http"), http, beside).map(|probe| Probe::Http(Box::new(probe)));
        }
        if beside.search_for.is_some() {
            self.fault(root.key("searchFor"), "works with http only", "remove it");
        }
        let tcp = tcp.as_ref()?;
        self.tcp(&root.key("tcp"), tcp, beside.ssl_check).map(|probe| Probe::Tcp(Box::new(probe)))
    }
}

/// The target and kind of a spec as far as they can be read, for a check that cannot be probed.
pub(crate) fn outline(spec: &HealthCheckSpec) -> (Option<String>, Option<ProbeKind>) {
    let HealthCheckSpec { http, tcp, url, .. } = spec;
    if let Some(url) = http.as_ref().map(|http| &http.url).or(url.as_ref()) {
        return (Some(without_user_info(&url.0)), Some(ProbeKind::Http));
    }
    if let Some(tcp) = tcp {
        let host = tcp.host.as_ref().or(tcp.ipv4.as_ref());
        return (host.map(|host| format!("tcp://{host}:{}", tcp.port)), Some(ProbeKind::Tcp));
    }
    (None, None)
}

fn threshold(number: Option<i64>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(1).max(1)
}

const fn ip_family(family: Option<IpFamilySpec>) -> IpFamily {
    match family {
        None | Some(IpFamilySpec::Any) => IpFamily::Any,
        Some(IpFamilySpec::IPv4) => IpFamily::V4,
        Some(IpFamilySpec::IPv6) => IpFamily::V6,
        Some(IpFamilySpec::Both) => IpFamily::Both,
    }
}

/// The severity, critical by default.
pub(crate) const fn severity(severity: Option<SeveritySpec>) -> Severity {
    match severity {
        Some(SeveritySpec::Info) => Severity::Info,
        Some(SeveritySpec::Warning) => Severity::Warning,
        None | Some(SeveritySpec::Critical) => Severity::Critical,
    }
}
