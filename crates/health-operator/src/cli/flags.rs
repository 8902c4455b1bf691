//! The flags of the running operator, each with its environment variable.

use std::{convert::Infallible, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, ValueEnum, builder::BoolishValueParser};
use health_model::Sensitive;

use super::{BindAddress, duration, pattern};

/// How to run.
#[derive(Debug, Args)]
pub(crate) struct RunFlags {
    /// Run without a cluster: every *.yaml and *.yml below DIR, followed as they change.
    #[arg(long, env = "HEALTH_CHECK_MANIFESTS", hide_env_values = true, value_name = "DIR")]
    pub(crate) manifests: Option<PathBuf>,
    /// How often the folder is read again even if no change was noticed.
    #[arg(long, env = "HEALTH_CHECK_MANIFESTS_POLL_INTERVAL", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value = "10s", value_parser = duration::parse)]
    pub(crate) manifests_poll_interval: Duration,
    /// Where what is known is kept over restarts (without a cluster). Absent: nothing is kept.
    #[arg(long, env = "HEALTH_CHECK_STATE_DIR", hide_env_values = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Watch only these namespaces, with Roles in place of a ClusterRole. Absent: all namespaces.
    #[arg(long, env = "HEALTH_CHECK_NAMESPACES", hide_env_values = true, value_name = "LIST", value_delimiter = ',')]
    pub(crate) namespaces: Vec<String>,
    /// Most status writes a second for the whole operator, on average. A turn of a check is written at once and
    /// charged to the same budget.
    #[arg(
        long,
        env = "HEALTH_CHECK_STATUS_WRITE_BUDGET",
        hide_env_values = true,
        value_name = "NUMBER",
        default_value_t = 5
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) status_write_budget: u32,
    /// How old lastChecked and responseTime may grow in an object's status, when the budget allows.
    #[arg(long, env = "HEALTH_CHECK_STATUS_REFRESH_INTERVAL", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value = "30s", value_parser = duration::parse)]
    pub(crate) status_refresh_interval: Duration,
    /// Where /healthchecks and /api/v1 are served (`:port`, `host:port` or `[v6]:port`; port 0 picks one).
    #[arg(
        long,
        env = "HEALTH_CHECK_REST_BIND_ADDRESS",
        hide_env_values = true,
        value_name = "ADDRESS",
        default_value = ":8082"
    )]
    pub(crate) rest_bind_address: BindAddress,
    /// Where /metrics is served.
    #[arg(
        long,
        env = "HEALTH_CHECK_METRICS_BIND_ADDRESS",
        hide_env_values = true,
        value_name = "ADDRESS",
        default_value = ":8080"
    )]
    pub(crate) metrics_bind_address: BindAddress,
    /// Where /healthz and /readyz are served.
    #[arg(
        long,
        env = "HEALTH_CHECK_HEALTH_PROBE_BIND_ADDRESS",
        hide_env_values = true,
        value_name = "ADDRESS",
        default_value = ":8081"
    )]
    pub(crate) health_probe_bind_address: BindAddress,
    /// Most probes under way at once.
    #[arg(
        long,
        env = "HEALTH_CHECK_MAX_IN_FLIGHT",
        hide_env_values = true,
        value_name = "NUMBER",
        default_value_t = 4096
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_in_flight: u32,
    /// Most probes under way at once to one target host.
    #[arg(
        long,
        env = "HEALTH_CHECK_MAX_IN_FLIGHT_PER_HOST",
        hide_env_values = true,
        value_name = "NUMBER",
        default_value_t = 256
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_in_flight_per_host: u32,
    /// Most probes that have waited longer than a second for an answer; hung targets take no place from healthy ones.
    #[arg(long, env = "HEALTH_CHECK_MAX_HUNG", hide_env_values = true, value_name = "NUMBER", default_value_t = 4096)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_hung: u32,
    /// Threads that probe. One asks thousands of targets a second at the least cost for each; more help where most
    /// targets speak TLS.
    #[arg(
        long,
        env = "HEALTH_CHECK_PROBE_THREADS",
        hide_env_values = true,
        value_name = "NUMBER",
        default_value_t = 1
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) probe_threads: u16,
    /// Longest time to stay away from a target that answers 429 Too Many Requests.
    #[arg(long, env = "HEALTH_CHECK_MAX_BACKOFF", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value = "1h", value_parser = duration::parse)]
    pub(crate) max_backoff: Duration,
    /// After SIGTERM, how long what is under way may take to end. A second SIGTERM ends everything at once.
    #[arg(long, env = "HEALTH_CHECK_SHUTDOWN_GRACE", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value = "5s", value_parser = duration::parse)]
    pub(crate) shutdown_grace: Duration,
    /// A port that is open whenever our own network works, such as tcp://10.0.0.1:53 (repeat for several). When all
    /// fail, checks become stale (NetworkLost) and nobody is told that the targets are down.
    #[arg(
        long,
        env = "HEALTH_CHECK_WITNESS",
        hide_env_values = true,
        value_name = "tcp://HOST:PORT",
        value_delimiter = ','
    )]
    pub(crate) witness: Vec<String>,
    /// An address to GET every minute while all is well here; its silence tells an outsider that this monitor is not.
    #[arg(long, env = "HEALTH_CHECK_HEARTBEAT_URL", hide_env_values = true, value_name = "URL", value_parser = secret)]
    pub(crate) heartbeat_url: Option<Sensitive>,
    /// Accepted for charts of earlier versions.
    #[arg(long, env = "HEALTH_CHECK_LEADER_ELECT", hide_env_values = true, action = ArgAction::Set, value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) leader_elect: bool,
    /// Whom probes may reach.
    #[command(flatten)]
    pub(crate) network: NetworkFlags,
    /// What to log.
    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// Takes a value that may be secret: what is wrong with it is found where it can be said without showing it.
#[expect(clippy::unnecessary_wraps, reason = "the signature of value parsers")]
fn secret(text: &str) -> Result<Sensitive, Infallible> {
    Ok(Sensitive::new(text))
}

/// Whom probes may reach.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct NetworkFlags {
    /// Probe only these: comma-separated address ranges and host patterns (10.0.0.0/8,*.internal).
    #[arg(
        long,
        env = "HEALTH_CHECK_ALLOW_TARGETS",
        hide_env_values = true,
        value_name = "LIST",
        value_delimiter = ','
    )]
    #[arg(value_parser = pattern::parse)]
    pub(crate) allow_targets: Vec<String>,
    /// Never probe these; wins over --allow-targets. Cloud metadata addresses are always denied unless allowed.
    #[arg(long, env = "HEALTH_CHECK_DENY_TARGETS", hide_env_values = true, value_name = "LIST", value_delimiter = ',')]
    #[arg(value_parser = pattern::parse)]
    pub(crate) deny_targets: Vec<String>,
}

/// What to log, and how.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LogFlags {
    /// How much to log (to standard error).
    #[arg(
        long,
        env = "HEALTH_CHECK_LOG_LEVEL",
        hide_env_values = true,
        value_enum,
        value_name = "LEVEL",
        default_value_t
    )]
    pub(crate) log_level: LogLevel,
    /// How to log; auto is text on a terminal and JSON elsewhere.
    #[arg(
        long,
        env = "HEALTH_CHECK_LOG_FORMAT",
        hide_env_values = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    pub(crate) log_format: LogFormat,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What needs somebody.
    Error,
    /// What may need somebody.
    Warn,
    /// And every turn of a check.
    #[default]
    Info,
    /// And every probe.
    Debug,
    /// And how each came about.
    Trace,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Text.
    Text,
    /// One JSON object per line.
    Json,
}
