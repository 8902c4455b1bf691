//! A running operator under test: its log as events, its answers over real sockets. Ends with the test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The program, to be run with arguments. No variable of the test's own environment is a setting of it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("health-check-operator"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HEALTH_CHECK_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running operator.
pub(crate) struct Operator {
    child: Child,
    lines: Receiver<String>,
    /// Everything it has logged so far, as far as it was read.
    pub(crate) seen: Vec<String>,
    rest: SocketAddr,
    metrics: SocketAddr,
    health: SocketAddr,
}

impl Operator {
    /// Starts it on a folder and waits until it listens.
    pub(crate) fn start(manifests: &Path) -> Self {
        Self::start_with(manifests, |command| command)
    }

    /// Starts it on a folder with more arguments or variables.
    pub(crate) fn start_with(manifests: &Path, more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = program();
        command.arg("--manifests").arg(manifests).args(["--manifests-poll-interval", "1s"]);
        more(&mut command);
        Self::launch(command)
    }

    /// Starts a command that listens on ports which the system chooses.
    pub(crate) fn launch(mut command: Command) -> Self {
        for flag in ["--rest-bind-address", "--metrics-bind-address", "--health-probe-bind-address"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut operator = Self { child, lines, seen: Vec::new(), rest: nowhere, metrics: nowhere, health: nowhere };
        operator.rest = operator.listening("rest");
        operator.metrics = operator.listening("metrics");
        operator.health = operator.listening("health");
        operator
    }

    fn listening(&mut self, server: &str) -> SocketAddr {
        let line = self.wait_for(&format!("that {server} listens"), |line| {
            line["message"] == "listening" && line["server"] == server
        });
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// Waits for a line of the log.
    pub(crate) fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("waited in vain for {what}; the log was:\n{}", self.seen.join("\n"))
                }
            }
        }
    }

    /// Waits for the line that says that a check has turned.
    pub(crate) fn wait_for_turn(&mut self, check: &str, healthy: bool) -> Value {
        let what = format!("{check} to turn to healthy: {healthy}");
        self.wait_for(&what, |line| line["check"] == check && line["healthy"] == healthy)
    }

    /// Waits for a line with this message.
    pub(crate) fn wait_for_message(&mut self, message: &str) -> Value {
        self.wait_for(message, |line| line["message"] == message)
    }

    /// The status code and body of a page of the REST port.
    pub(crate) fn rest(&self, path: &str) -> (u16, String) {
        get(self.rest, path)
    }

    /// Reports to a heartbeat, with this bearer token; the status code of the answer.
    pub(crate) fn report(&self, path: &str, token: Option<&str>) -> u16 {
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let mut stream = TcpStream::connect(self.rest).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\n{authorization}Content-Length: 0\r\n");
        write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// `/healthchecks`.
    pub(crate) fn healthchecks(&self) -> Value {
        let (status, body) = self.rest("/healthchecks");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks `/healthchecks` until it is as wanted: for what is logged nowhere.
    pub(crate) fn healthchecks_until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.healthchecks();
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}; the last answer was {answer:#}");
            std::thread::yield_now();
        }
    }

    /// One value of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let body = self.metrics();
        let line = body.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.unwrap_or_else(|| panic!("no {name} in\n{body}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// The status code and body of a page of the health port.
    pub(crate) fn health(&self, path: &str) -> (u16, String) {
        get(self.health, path)
    }

    /// The body of `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        get(self.metrics, "/metrics").1
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the end; returns how it ended and everything that was logged.
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let mut seen = std::mem::take(&mut self.seen);
        seen.extend(self.lines.iter());
        (self.child.wait().unwrap(), seen)
    }

    /// Ends it in order.
    pub(crate) fn stop(self) -> Vec<String> {
        self.signal("TERM");
        let (status, seen) = self.wait();
        assert!(status.success(), "{status}: {}", seen.join("\n"));
        seen
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One GET over a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    (status, if chunked { dechunked(body) } else { body.to_owned() })
}

fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

/// A folder of manifests that a test changes.
pub(crate) struct Manifests {
    folder: tempfile::TempDir,
}

impl Manifests {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With this file.
    pub(crate) fn with(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// An HTTP check of a URL.
pub(crate) fn http_check(name: &str, url: &str) -> String {
    format!(
        "---\napiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {{name: {name}}}\n\
         spec:\n  testInterval: 200ms\n  http:\n    url: \"{url}\"\n"
    )
}
