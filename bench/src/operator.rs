//! The release binary on a folder of manifests, read from outside.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::process;

/// How long every first result may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Checks per file of manifests.
const CHECKS_PER_FILE: usize = 500;

/// A set of HTTP checks to write.
pub(crate) struct Checks {
    url: String,
    count: usize,
    interval: String,
    name: String,
    timeout: Option<String>,
}

impl Checks {
    /// This many checks of a URL, `check-0` and so on.
    pub(crate) fn at(url: &str, count: usize, interval: &str) -> Self {
        Self { url: url.to_owned(), count, interval: interval.to_owned(), name: "check".to_owned(), timeout: None }
    }

    /// With another name than `check`.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// With a deadline.
    pub(crate) fn timeout(mut self, timeout: &str) -> Self {
        self.timeout = Some(timeout.to_owned());
        self
    }

    /// Writes them into a folder of their own.
    pub(crate) fn write(&self) -> Result<TempDir> {
        let folder = tempfile::tempdir()?;
        self.add_to(folder.path())?;
        Ok(folder)
    }

    /// Writes them into a folder.
    pub(crate) fn add_to(&self, folder: &Path) -> Result<()> {
        let timeout = self.timeout.as_ref().map(|timeout| format!(", timeout: {timeout}")).unwrap_or_default();
        for start in (0..self.count).step_by(CHECKS_PER_FILE) {
            let mut text = String::new();
            for index in start..self.count.min(start + CHECKS_PER_FILE) {
                writeln!(
                    text,
                    "---\napiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {{name: {}-{index}}}\n\
                     spec: {{testInterval: {}{timeout}, http: {{url: \"{}\"}}}}",
                    self.name, self.interval, self.url
                )?;
            }
            fs::write(folder.join(format!("{}-{start}.yaml", self.name)), text)?;
        }
        Ok(())
    }
}

/// Which server to ask.
#[derive(Clone, Copy)]
pub(crate) enum Port {
    /// 8082 by default.
    Rest,
    /// 8080 by default.
    Metrics,
}

/// What was spent so far.
pub(crate) struct Sample {
    /// CPU time.
    pub(crate) cpu: Duration,
    /// Probes that ended.
    pub(crate) probes: f64,
    /// Probes that ended well.
    pub(crate) healthy_probes: f64,
    /// Probes that did not, for whatever reason.
    pub(crate) failures: f64,
}

impl Sample {
    /// What was spent since an earlier sample.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            cpu: self.cpu - before.cpu,
            probes: self.probes - before.probes,
            healthy_probes: self.healthy_probes - before.healthy_probes,
            failures: self.failures - before.failures,
        }
    }
}

/// How late probes started: upper bounds in seconds, each with the number of probes up to it.
pub(crate) struct Lag {
    buckets: Vec<(f64, f64)>,
}

impl Lag {
    /// What was added since an earlier look.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&before.buckets);
        Self { buckets: pairs.map(|(now, before)| (now.0, now.1 - before.1)).collect() }
    }

    fn quantile(&self, share: f64) -> f64 {
        let all = self.buckets.last().map_or(0.0, |bucket| bucket.1);
        let milliseconds = |bucket: &(f64, f64)| bucket.0 * 1e3;
        self.buckets.iter().find(|(_, count)| *count >= share * all).map_or(f64::NAN, milliseconds)
    }
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 ≤ {} ms, p99 ≤ {} ms", self.quantile(0.5), self.quantile(0.99))
    }
}

/// A running operator; it ends with this value.
pub(crate) struct Operator {
    child: Child,
    rest: SocketAddr,
    metrics: SocketAddr,
}

impl Operator {
    /// Starts it on a folder and waits until it listens.
    pub(crate) fn start(program: &Path, manifests: &Path) -> Result<Self> {
        Self::start_as(Command::new(program), manifests)
    }

    /// As [`Operator::start`], with this file in place of the system's roots.
    pub(crate) fn start_trusting(program: &Path, manifests: &Path, roots: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.env("SSL_CERT_FILE", roots);
        Self::start_as(command, manifests)
    }

    fn start_as(mut command: Command, manifests: &Path) -> Result<Self> {
        let mut child = command
            .arg("--manifests")
            .arg(manifests)
            .args(["--rest-bind-address", "127.0.0.1:0", "--metrics-bind-address", "127.0.0.1:0"])
            .args(["--health-probe-bind-address", "127.0.0.1:0", "--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        let mut lines = BufReader::new(child.stderr.take().context("no log")?).lines();
        let mut addresses = BTreeMap::new();
        while addresses.len() < 3 {
            let line = lines.next().context("the operator has ended")??;
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if let ("listening", Some(server), Some(address)) =
                (line["message"].as_str().unwrap_or_default(), line["server"].as_str(), line["address"].as_str())
            {
                addresses.insert(server.to_owned(), address.parse()?);
            }
        }
        // The log must be read, or the operator would wait for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, rest: addresses["rest"], metrics: addresses["metrics"] })
    }

    /// The body of a page.
    pub(crate) fn get(&self, port: Port, path: &str) -> Result<String> {
        let address = match port {
            Port::Rest => self.rest,
            Port::Metrics => self.metrics,
        };
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: bench\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        if !head.contains(" 200 ") {
            bail!("{path} answered {head}");
        }
        Ok(body.to_owned())
    }

    /// Waits until no check is pending.
    pub(crate) fn wait_for_first_results(&self, checks: usize) -> Result<()> {
        self.wait(|entry| entry["response"] != "Pending", checks)
    }

    /// Waits until this many are healthy.
    pub(crate) fn wait_for_healthy(&self, checks: usize) -> Result<()> {
        self.wait(|entry| entry["healthy"] == true, checks)
    }

    fn wait(&self, wanted: impl Fn(&Value) -> bool, checks: usize) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let all: BTreeMap<String, Value> = serde_json::from_str(&self.get(Port::Rest, "/healthchecks")?)?;
            let there = all.values().filter(|entry| wanted(entry)).count();
            if there >= checks {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("only {there} of {checks} checks are as wanted");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What was spent so far.
    pub(crate) fn sample(&self) -> Result<Sample> {
        let text = self.get(Port::Metrics, "/metrics")?;
        // Scraping costs too; it is counted before, so that it falls outside of the window that begins here.
        let cpu = process::cpu(self.child.id())?;
        let healthy =
            sum(&text, |series| series.starts_with("healthcheck_response_codes{") && series.contains("code=\"200\""));
        Ok(Sample {
            cpu,
            probes: sum(&text, |series| series.starts_with("healthcheck_probes_completed_total")),
            healthy_probes: healthy,
            failures: sum(&text, |series| series.starts_with("healthcheck_failures_total")),
        })
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        process::resident(self.child.id())
    }

    /// The schedule's lag since the start.
    pub(crate) fn lag(&self) -> Result<String> {
        Ok(self.lag_so_far()?.to_string())
    }

    /// The histogram of the schedule's lag since the start.
    pub(crate) fn lag_so_far(&self) -> Result<Lag> {
        let text = self.get(Port::Metrics, "/metrics")?;
        let mut buckets: Vec<(f64, f64)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("healthcheck_schedule_lag_seconds_bucket{le=\""))
            .filter_map(|rest| {
                let (bound, value) = rest.split_once("\"} ")?;
                Some((bound.parse().unwrap_or(f64::INFINITY), value.parse().ok()?))
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        if buckets.is_empty() {
            bail!("/metrics has no histogram of the schedule's lag");
        }
        Ok(Lag { buckets })
    }

    /// Median and 99th percentile of the last response times of the checks whose name begins so.
    pub(crate) fn latency(&self, name: &str) -> Result<String> {
        let text = self.get(Port::Metrics, "/metrics")?;
        let mut times: Vec<f64> = text
            .lines()
            .filter(|line| line.starts_with("healthcheck_response_time{") && line.contains(&format!("name=\"{name}-")))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get(((times.len() - 1) as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        Ok(format!("p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99)))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sum(text: &str, wanted: impl Fn(&str) -> bool) -> f64 {
    text.lines()
        .filter(|line| !line.starts_with('#') && wanted(line))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
