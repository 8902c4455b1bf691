//! What the running operator was told, grouped by who needs it. No environment is read here: the command line did.

use std::{path::PathBuf, time::Duration};

use health_model::Sensitive;

use crate::{
    cli::{BindAddress, NetworkFlags, RunFlags},
    kubernetes::{ClusterSettings, StatusSettings},
};

/// Everything a run needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where checks come from.
    pub(crate) source: Source,
    /// Where servers listen.
    pub(crate) listen: Listen,
    /// How much is probed at once.
    pub(crate) engine: EngineBounds,
    /// Whom probes may reach, and how we know that our own network works.
    pub(crate) network: Network,
    /// Where what is known is kept; `None` keeps nothing.
    pub(crate) state_dir: Option<PathBuf>,
    /// How long what is under way may take to end.
    pub(crate) shutdown_grace: Duration,
    /// Whom to tell that this process lives.
    pub(crate) heartbeat_url: Option<Sensitive>,
}

/// Where checks come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A folder of manifests.
    Folder {
        /// The folder.
        directory: PathBuf,
        /// How often it is read again even if no change was noticed.
        poll_interval: Duration,
    },
    /// A Kubernetes cluster.
    Kubernetes(ClusterSettings),
}

/// Where servers listen.
#[derive(Debug)]
pub(crate) struct Listen {
    /// REST and page.
    pub(crate) rest: BindAddress,
    /// Metrics.
    pub(crate) metrics: BindAddress,
    /// `/healthz`, `/readyz`.
    pub(crate) health: BindAddress,
}

/// How much is probed at once.
#[derive(Debug)]
pub(crate) struct EngineBounds {
    /// Probes under way.
    pub(crate) max_in_flight: u32,
    /// Probes under way to one host.
    pub(crate) max_in_flight_per_host: u32,
    /// Probes that have waited longer than a second for an answer.
    pub(crate) max_hung: u32,
    /// Longest time to stay away from a target that rate limits us.
    pub(crate) max_backoff: Duration,
}

/// Whom probes may reach, and how we know that our own network works.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// `--allow-targets`, `--deny-targets`
    pub(crate) policy: NetworkFlags,
    /// `--witness`
    pub(crate) witnesses: Vec<String>,
}

impl From<RunFlags> for Settings {
    fn from(flags: RunFlags) -> Self {
        let RunFlags {
            manifests,
            manifests_poll_interval,
            state_dir,
            namespaces,
            status_write_budget,
            status_refresh_interval,
            rest_bind_address,
            metrics_bind_address,
            health_probe_bind_address,
            max_in_flight,
            max_in_flight_per_host,
            max_hung,
            probe_threads: _,
            max_backoff,
            shutdown_grace,
            witness,
            heartbeat_url,
            leader_elect: _,
            network,
            log: _,
        } = flags;
        let source = match manifests {
            Some(directory) => Source::Folder { directory, poll_interval: manifests_poll_interval },
            None => Source::Kubernetes(ClusterSettings {
                namespaces,
                status: StatusSettings { budget: status_write_budget.into(), refresh: status_refresh_interval },
                grace: shutdown_grace,
            }),
        };
        Self {
            source,
            listen: Listen {
                rest: rest_bind_address,
                metrics: metrics_bind_address,
                health: health_probe_bind_address,
            },
            engine: EngineBounds { max_in_flight, max_in_flight_per_host, max_hung, max_backoff },
            network: Network { policy: network, witnesses: witness },
            state_dir,
            shutdown_grace,
            heartbeat_url,
        }
    }
}
