//! The spec of a HealthCheck as a whole.

use std::{sync::Arc, time::Duration};

use health_model::{
    CheckSpec, IpFamily, MaintenanceWindow, Probe, ProbeKind, RecurringWindow, Severity, WindowError, default_timeout,
};
use jiff::Timestamp;

use super::{
    Conversion,
    duration::Bounds,
    http::Beside,
    url::{UrlShape, without_user_info},
};
use crate::{
    path::FieldPath,
    resource::{
        dns::Dns,
        grpc::Grpc,
        health_check::{HealthCheckSpec, IpFamilySpec, MaintenanceSpec, SeveritySpec},
        heartbeat::Heartbeat,
        http::{Http, UrlText},
        icmp::Icmp,
        tcp::Tcp,
        udp::Udp,
        value::NumberOrText,
        websocket::WebSocket,
    },
};

const CRON_REMEDY: &str = "write minute, hour, day of month, month and day of week, as in \"0 3 * * 0\"";

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
        let probe = self.probe(&root, spec, interval);
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

    pub(crate) fn window(&mut self, path: &FieldPath<'_>, window: &MaintenanceSpec) -> Option<MaintenanceWindow> {
        let MaintenanceSpec { schedule, duration, time_zone, start, end } = window;
        let window = match (schedule, duration, start, end) {
            (Some(schedule), Some(duration), None, None) => {
                if schedule.split_whitespace().count() != 5 {
                    let message = "is no cron expression of five fields";
                    self.fault_showing(path.key("schedule"), format_args!("{schedule:?}"), (message, CRON_REMEDY));
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
        window.map_err(|error| self.window_refused(path, error)).ok()
    }

    fn window_refused(&mut self, path: &FieldPath<'_>, error: WindowError) {
        match error {
            WindowError::Schedule(schedule, why) => {
                let message = format!("is no cron expression of five fields ({})", why.trim_end_matches('.'));
                self.fault_showing(path.key("schedule"), format_args!("{schedule:?}"), (message, CRON_REMEDY));
            }
            WindowError::TimeZone(zone) => {
                let said = ("is not in the time zone database", "write one like \"Europe/Zurich\" or \"UTC\"");
                self.fault_showing(path.key("timeZone"), format_args!("{zone:?}"), said);
            }
            WindowError::Order => self.fault(path, "ends before it starts", "put end after start"),
            WindowError::Duration => self.fault(path.key("duration"), "is nothing", "write a duration such as \"2h\""),
        }
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
        self.url(path, text, UrlShape::PAGE).map(|(url, _)| url.to_string())
    }

    fn probe(&mut self, root: &FieldPath<'_>, spec: &HealthCheckSpec, interval: Option<Duration>) -> Option<Probe> {
        let beside = Beside { search_for: spec.search_for.as_ref(), ssl_check: spec.ssl_check.as_ref() };
        let section = self.section(root, spec)?;
        self.beside_fits(root, section, beside);
        match section {
            Section::Flat(url) => {
                let flat = Http { url: url.clone(), ..Http::default() };
                self.http(root, &flat, beside).map(Box::new).map(Probe::Http)
            }
            Section::Http(http) => self.http(&root.key("http"), http, beside).map(Box::new).map(Probe::Http),
            Section::Tcp(tcp) => self.tcp(&root.key("tcp"), tcp, beside.ssl_check).map(Box::new).map(Probe::Tcp),
            Section::Dns(dns) => self.dns(&root.key("dns"), dns).map(Box::new).map(Probe::Dns),
            Section::Grpc(grpc) => self.grpc(&root.key("grpc"), grpc, beside.ssl_check).map(Box::new).map(Probe::Grpc),
            Section::Icmp(icmp) => self.icmp(&root.key("icmp"), icmp).map(Probe::Icmp),
            Section::WebSocket(websocket) => {
                self.websocket(&root.key("websocket"), websocket).map(Box::new).map(Probe::WebSocket)
            }
            Section::Udp(udp) => self.udp(&root.key("udp"), udp).map(Box::new).map(Probe::Udp),
            Section::Heartbeat(heartbeat) => {
                let interval = interval.unwrap_or_default();
                self.heartbeat(&root.key("heartbeat"), heartbeat, interval).map(Probe::Heartbeat)
            }
        }
    }

    fn section<'s>(&mut self, root: &FieldPath<'_>, spec: &'s HealthCheckSpec) -> Option<Section<'s>> {
        match sections(spec).as_slice() {
            [section] => Some(*section),
            [_, _] if spec.http.is_some() && spec.url.is_some() => {
                self.fault(root, "has url beside http", "keep one of the two");
                None
            }
            _ => {
                let remedy = "give one of http, tcp, dns, grpc, icmp, websocket, udp and heartbeat";
                self.fault(root, "needs exactly one probe", remedy);
                None
            }
        }
    }

    fn beside_fits(&mut self, root: &FieldPath<'_>, section: Section<'_>, beside: Beside<'_>) {
        let is_http = matches!(section, Section::Flat(_) | Section::Http(_));
        if beside.search_for.is_some() && !is_http {
            self.fault(root, "has searchFor without http", "remove it");
        }
        if beside.ssl_check.is_some() && !is_http && !matches!(section, Section::Tcp(_) | Section::Grpc(_)) {
            self.fault(root, "has sslCheck for a probe that sees no certificate", "remove it");
        }
    }
}

/// The probe section of a spec.
#[derive(Clone, Copy)]
enum Section<'a> {
    Flat(&'a UrlText),
    Http(&'a Http),
    Tcp(&'a Tcp),
    Dns(&'a Dns),
    Grpc(&'a Grpc),
    Icmp(&'a Icmp),
    WebSocket(&'a WebSocket),
    Udp(&'a Udp),
    Heartbeat(&'a Heartbeat),
}

fn sections(spec: &HealthCheckSpec) -> Vec<Section<'_>> {
    let HealthCheckSpec { http, tcp, dns, grpc, icmp, websocket, udp, heartbeat, url, .. } = spec;
    [
        url.as_ref().map(Section::Flat),
        http.as_ref().map(Section::Http),
        tcp.as_ref().map(Section::Tcp),
        dns.as_ref().map(Section::Dns),
        grpc.as_ref().map(Section::Grpc),
        icmp.as_ref().map(Section::Icmp),
        websocket.as_ref().map(Section::WebSocket),
        udp.as_ref().map(Section::Udp),
        heartbeat.as_ref().map(Section::Heartbeat),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The target and kind of a spec as far as they can be read, for a check that cannot be probed.
pub(crate) fn outline(spec: &HealthCheckSpec) -> (Option<String>, Option<ProbeKind>) {
    let sections = sections(spec);
    let Some(section) = sections.first() else { return (None, None) };
    let (target, kind) = match section {
        Section::Flat(url) => (url.0.clone(), ProbeKind::Http),
        Section::Http(http) => (http.url.0.clone(), ProbeKind::Http),
        Section::Tcp(tcp) => {
            let host = tcp.host.as_deref().or(tcp.ipv4.as_deref()).unwrap_or_default();
            (format!("tcp://{host}:{}", tcp.port), ProbeKind::Tcp)
        }
        Section::Dns(dns) => {
            let server = dns.server.as_deref().unwrap_or_default();
            (format!("dns://{server}/{}", dns.name), ProbeKind::Dns)
        }
        Section::Grpc(grpc) => (format!("grpc://{}:{}", grpc.host, grpc.port), ProbeKind::Grpc),
        Section::Icmp(icmp) => (format!("icmp://{}", icmp.host), ProbeKind::Icmp),
        Section::WebSocket(websocket) => (websocket.url.0.clone(), ProbeKind::WebSocket),
        Section::Udp(udp) => (format!("udp://{}:{}", udp.host, udp.port), ProbeKind::Udp),
        Section::Heartbeat(_) => ("heartbeat".to_owned(), ProbeKind::Heartbeat),
    };
    (Some(without_user_info(&target)), Some(kind))
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
