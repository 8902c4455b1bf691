//! The Kubernetes side: watches feed the engine, the board feeds statuses and events.
//!
//! Nothing here is on a probe's path: while the API server is away, probing, REST and alerts go on.

mod catalogue;
mod client;
mod events;
mod ledger_lines;
mod materials;
mod metrics;
mod one_rule;
mod rule_ledger;
mod rule_status;
mod source;
mod status;
mod status_queue;
mod watch;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use health_runner::EngineHandle;
use health_server::ConditionState;
use kube::Client;
use tokio::{sync::watch as state, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) use client::connect;
pub(crate) use metrics::ClusterMetrics;
pub(crate) use one_rule::rule;
pub(crate) use rule_ledger::RuleLedger;
pub(crate) use rule_status::RuleStatuses;
pub(crate) use source::SourceState;
pub(crate) use status::StatusSettings;

use crate::{notifying::Rules, readiness::Parts};
use events::EventSender;
use materials::Reader;
use source::{Progress, Source, Statuses};
use status::StatusWriter;
use watch::{Kind, Scope};

/// What the cluster side needs to know.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSettings {
    /// The namespaces to watch; empty means all, which takes a ClusterRole.
    pub(crate) namespaces: Vec<String>,
    /// How often statuses are written.
    pub(crate) status: StatusSettings,
    /// How long the last status writes may take at shutdown.
    pub(crate) grace: Duration,
}

/// The cluster side, ready to start.
pub(crate) struct Cluster {
    client: Client,
    settings: ClusterSettings,
    state: state::Sender<SourceState>,
    rules: state::Sender<Rules>,
    statuses: state::Sender<Statuses>,
    metrics: ClusterMetrics,
}

impl Cluster {
    /// Nothing is asked of the API server yet.
    pub(crate) fn new(client: Client, settings: ClusterSettings) -> Self {
        let (state, rules, statuses) = Default::default();
        Self { client, settings, state, rules, statuses, metrics: ClusterMetrics::default() }
    }

    /// What it counts.
    pub(crate) fn metrics(&self) -> ClusterMetrics {
        self.metrics.clone()
    }

    /// The rules, as they change.
    pub(crate) fn rules(&self) -> state::Receiver<Rules> {
        self.rules.subscribe()
    }

    /// Ends when the first complete lists have been taken in.
    pub(crate) fn synced(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut state = self.state.subscribe();
        async move {
            if state.wait_for(|state| state.synced).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The ledger of what was told, kept in the rules' statuses.
    pub(crate) fn ledger(&self) -> RuleLedger {
        RuleLedger::new(self.client.clone(), self.statuses.subscribe(), self.metrics())
    }

    /// What writes the rest of the rules' statuses.
    pub(crate) fn rule_statuses(&self) -> RuleStatuses {
        RuleStatuses::new(self.client.clone(), self.rules(), self.statuses.subscribe(), self.metrics())
    }

    /// How the source is doing: not ready before the first complete list. Trouble afterwards is no reason not to be
    /// ready, since probing goes on.
    pub(crate) fn condition(&self) -> impl Fn() -> ConditionState + Send + Sync + 'static {
        let state = self.state.subscribe();
        move || {
            let SourceState { synced, trouble } = &*state.borrow();
            match (synced, trouble) {
                (true, _) => ConditionState::Ready,
                (false, None) => ConditionState::NotReady("the first complete list has not come yet".to_owned()),
                (false, Some(trouble)) => ConditionState::NotReady(trouble.clone()),
            }
        }
    }

    /// Starts watches, status writer and events on the current runtime; each must run until `stop`.
    pub(crate) fn start(self, engine: &EngineHandle, parts: &Parts, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let Self { client, settings, state, rules, statuses, metrics } = self;
        let ClusterSettings { namespaces, status, grace } = settings;
        let scopes = scopes(&namespaces);
        let (heard, watches) = watch::watches(&client, &scopes, &metrics);
        let (reader, reading) = Reader::new(client.clone(), metrics.clone());
        let (events, sending) = EventSender::new(client.clone(), instance(), metrics.clone());
        let resource = Kind::HealthCheck.resource();
        let writer = StatusWriter::new(client, resource, engine.board(), events, (status, metrics.clone()));
        let progress = Progress::new(&scopes);
        let source = Source { engine: engine.clone(), rules, statuses, reader, heard, state, metrics, progress };
        let until = |part: BoxFuture<'static, ()>| {
            let stop = stop.clone();
            async move {
                stop.run_until_cancelled_owned(part).await;
            }
        };
        let mut tasks: Vec<_> = watches.into_iter().map(|watch| parts.keep_running("watch", until(watch))).collect();
        tasks.push(parts.keep_running("references", until(reading)));
        tasks.push(parts.keep_running("events", until(sending)));
        tasks.push(parts.keep_running("objects", until(source.run().boxed())));
        tasks.push(parts.keep_running("status", writer.run(stop.clone(), grace)));
        tasks
    }
}

fn scopes(namespaces: &[String]) -> Vec<Scope> {
    let namespaces: Vec<Option<Arc<str>>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().map(|namespace| Some(namespace.as_str().into())).collect()
    };
    Kind::ALL
        .into_iter()
        .flat_map(|kind| namespaces.iter().map(move |namespace| Scope { kind, namespace: namespace.clone() }))
        .collect()
}

/// Who we are in events: the pod's name, which Kubernetes gives a container as its host name.
fn instance() -> String {
    std::env::var("HOSTNAME").unwrap_or_else(|_| events::COMPONENT.to_owned())
}
