//! What one probe found, for people: the verdict first, then who was asked, where the time went, what was presented.
//!
//! Made from the published view alone, so that nothing is said here that REST does not say too.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use comfy_table::{ContentArrangement, Table, presets};
use health_model::{CertificateView, CheckView, EvidenceView, PhasesView, Reason, ReasonClass};
use jiff::Timestamp;

use super::advice::advice;

/// Cells in a bar that is as long as the whole probe.
const BAR_CELLS: f64 = 32.0;
/// Columns where the reader's terminal does not tell.
const DEFAULT_WIDTH: u16 = 110;
/// Names of a certificate shown.
const MOST_NAMES: usize = 8;
/// Lines of a body shown.
const MOST_BODY_LINES: usize = 12;

/// How a report is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// With colours.
    pub(crate) colours: bool,
    /// The terminal's columns, where there is one.
    pub(crate) width: Option<u16>,
}

/// Writes what was found of one check.
pub(crate) fn report(view: &CheckView, deadline: Duration, now: Timestamp, style: Style) -> String {
    let mut text = verdict(view, style);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(style.width.unwrap_or(DEFAULT_WIDTH));
    for (label, content) in facts(view, deadline, now) {
        table.add_row([format!("  {label}"), content]);
    }
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn verdict(view: &CheckView, style: Style) -> String {
    let (mark, word, colour) = match view.reason.class() {
        ReasonClass::Good => ("✓", "healthy", "32"),
        ReasonClass::Judged | ReasonClass::NotCarriedOut => ("✗", "not healthy", "31"),
        ReasonClass::NotAsked => ("~", "not judged", "33"),
        ReasonClass::Ours => ("!", "could not be asked", "33"),
    };
    let target = view.target.as_deref().unwrap_or("unknown target");
    let plain = format!("{mark} {word}: {}", view.reason);
    let painted = if style.colours { format!("\u{1b}[1;{colour}m{plain}\u{1b}[0m") } else { plain };
    format!("{painted}  {target}\n")
}

fn facts(view: &CheckView, deadline: Duration, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut facts = vec![("check", format!("{}/{}{}", view.namespace, view.name, kind(view)))];
    let evidence = view.evidence.as_ref();
    if let Some(attempts) = evidence.map(|evidence| &evidence.attempts).filter(|attempts| !attempts.is_empty()) {
        facts.push(("tried", attempts.join("\n")));
    }
    if let Some(address) = &view.remote_address {
        facts.push(("dialled", format!("{address}{}", family(address))));
    }
    facts.push(("said", view.response.clone()));
    if let Some(seconds) = view.response_time_seconds {
        facts.push(("took", format!("{} of the {} allowed", span(seconds), span(deadline.as_secs_f64()))));
        facts.extend(view.phases.as_ref().and_then(|phases| waterfall(phases, seconds)).map(|bars| ("", bars)));
    }
    facts.extend(view.certificate.as_ref().map(|facts| ("certificate", certificate(facts, now))));
    facts.extend(evidence.and_then(answer).map(|answer| ("answer", answer)));
    facts.extend(advice(view.reason).map(|advice| ("try", advice.to_owned())));
    facts
}

fn kind(view: &CheckView) -> String {
    view.kind.map(|kind| format!(" ({})", kind.as_str())).unwrap_or_default()
}

fn family(address: &str) -> &'static str {
    // A protocol without ports is shown without one.
    let ip = address.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| address.parse());
    match ip {
        Ok(IpAddr::V4(_)) => " (IPv4)",
        Ok(IpAddr::V6(_)) => " (IPv6)",
        Err(_) => "",
    }
}

/// One bar per phase that was reached, each beginning where the one before ended.
fn waterfall(phases: &PhasesView, total: f64) -> Option<String> {
    let PhasesView { resolve, connect, tls, processing, transfer } = phases;
    let reached: Vec<(&str, f64)> =
        [("resolve", resolve), ("connect", connect), ("tls", tls), ("processing", processing), ("transfer", transfer)]
            .into_iter()
            .filter_map(|(name, seconds)| Some((name, (*seconds)?)))
            .collect();
    let cell = total.max(reached.iter().map(|(_, seconds)| seconds).sum()) / BAR_CELLS;
    let (mut text, mut before) = (String::new(), 0.0);
    for (name, seconds) in &reached {
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{name:<11}{:>9}  {}{}",
            span(*seconds),
            " ".repeat(cells(before, cell)),
            bar(*seconds, cell)
        );
        before += seconds;
    }
    (!reached.is_empty() && cell > 0.0).then(|| text.trim_end().to_owned())
}

fn bar(seconds: f64, cell: f64) -> String {
    "█".repeat(cells(seconds, cell).max(1))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and BAR_CELLS")]
fn cells(seconds: f64, cell: f64) -> usize {
    (seconds / cell).round().clamp(0.0, BAR_CELLS) as usize
}

fn certificate(facts: &CertificateView, now: Timestamp) -> String {
    let CertificateView { not_after, not_before, chain_not_after, issuer, subject, dns_names, fingerprint } = facts;
    let mut names = dns_names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if dns_names.len() > MOST_NAMES {
        let _ = write!(names, " and {} more", dns_names.len() - MOST_NAMES);
    }
    let mut text = format!(
        "subject  {subject}\nissuer   {issuer}\nnames    {names}\nvalid    from {} to {} ({})\nsha256   {fingerprint}",
        day(*not_before),
        day(*not_after),
        expiry(*not_after, now),
    );
    if chain_not_after < not_after {
        let _ = write!(text, "\nchain    ends sooner: {} ({})", day(*chain_not_after), expiry(*chain_not_after, now));
    }
    text
}

fn day(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d").to_string()
}

fn expiry(not_after: Timestamp, now: Timestamp) -> String {
    let days = not_after.duration_since(now).as_hours() / 24;
    match days {
        _ if not_after <= now => format!("expired {} days ago", -days),
        0 => "less than a day left".to_owned(),
        1 => "1 day left".to_owned(),
        _ => format!("{days} days left"),
    }
}

fn answer(evidence: &EvidenceView) -> Option<String> {
    let mut lines: Vec<String> = evidence.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    if let Some(body) = evidence.body.as_deref().filter(|body| !body.trim().is_empty()) {
        let clean = |line: &str| line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        lines.extend(std::iter::once(String::new()).chain(body.lines().take(MOST_BODY_LINES).map(clean)));
        if body.lines().count() > MOST_BODY_LINES {
            lines.push("…".to_owned());
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A span the way people say it: `430 µs`, `12.3 ms`, `1.20 s`.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s.fract() == 0.0 => format!("{s:.0} s"),
        s => format!("{s:.2} s"),
    }
}

/// The last line when several checks were asked.
pub(crate) fn summary(views: &[CheckView]) -> String {
    let count = |wanted: &[ReasonClass]| views.iter().filter(|view| wanted.contains(&view.reason.class())).count();
    let healthy = count(&[ReasonClass::Good]);
    let refused = views.iter().filter(|view| could_not_be_asked(view.reason)).count();
    format!(
        "{} checks: {healthy} healthy, {} not, {refused} could not be asked\n",
        views.len(),
        views.len() - healthy - refused
    )
}

/// Whether a reason says that no question was put at all.
pub(crate) fn could_not_be_asked(reason: Reason) -> bool {
    reason == Reason::InvalidConfiguration || reason.class() == ReasonClass::Ours
}
