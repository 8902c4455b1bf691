//! What a first run tells: where to look, and what was found. On a terminal in plain words, in the log always.

use std::{
    fmt::Write,
    io::{IsTerminal, stderr},
    net::SocketAddr,
};

use crate::{
    folder::FolderReport,
    output::{self, many},
};

/// Problems shown at the start; the rest is in the log.
const MOST_PROBLEMS: usize = 10;

/// Where the servers listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// REST and page.
    pub(crate) rest: SocketAddr,
    /// Metrics.
    pub(crate) metrics: SocketAddr,
    /// `/healthz`, `/readyz`.
    pub(crate) health: SocketAddr,
}

impl Addresses {
    /// One line per server in the log, with the port that the system chose where it was asked to.
    pub(crate) fn log(&self) {
        let Self { rest, metrics, health } = self;
        for (server, address) in [("rest", rest), ("metrics", metrics), ("health", health)] {
            tracing::info!(server, %address, "listening");
        }
    }
}

/// Tells what a folder holds and where its checks can be seen.
pub(crate) fn folder(report: &FolderReport, directory: &std::path::Path, addresses: &Addresses) {
    let FolderReport { files, checks, rules, ignored, troubles, .. } = report;
    let problems = troubles.len();
    tracing::info!(folder = %directory.display(), checks, rules, files, ignored, problems, "following the folder");
    if stderr().is_terminal() {
        output::tell(&words(report, directory, addresses));
    }
}

fn words(report: &FolderReport, directory: &std::path::Path, addresses: &Addresses) -> String {
    let Addresses { rest, metrics, health } = addresses;
    let mut text = format!(
        "\nFollowing {} in {} of {}:\n",
        many(report.checks, "check"),
        many(report.files, "file"),
        directory.display()
    );
    for (what, address, path) in
        [("checks", rest, "/healthchecks"), ("metrics", metrics, "/metrics"), ("readiness", health, "/readyz")]
    {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "  {what:<10} http://{}{path}", reachable(*address));
    }
    if report.ignored > 0 {
        let _ = writeln!(text, "  passed over: {} of other kinds", many(report.ignored, "object"));
    }
    for problem in report.troubles.iter().take(MOST_PROBLEMS) {
        let _ = writeln!(text, "  problem: {problem}");
    }
    if report.troubles.len() > MOST_PROBLEMS {
        let _ = writeln!(text, "  and {} more problems, see the log", report.troubles.len() - MOST_PROBLEMS);
    }
    text
}

/// The address as somebody on this machine types it.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}
