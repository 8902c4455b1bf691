//! The watches: complete lists, then changes, of each kind in each scope, merged into one bounded stream.
//!
//! A watch that breaks is taken up again with a new list, for ever; meanwhile what was known stays known.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    runtime::watcher::{self, Event},
};
use tokio::sync::mpsc;

use super::metrics::ClusterMetrics;

/// Events that may wait for the source. When it is full the watches wait: the API server buffers, then relists.
const QUEUE: usize = 1024;
/// The first pause after a watch failed; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between attempts: an API server that is back is noticed this soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long one watch lasts before the server ends it and it is resumed, in seconds.
const WATCH_SECONDS: u32 = 240;

/// The kinds we watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// HealthCheck.
    HealthCheck,
    /// NotificationRule.
    NotificationRule,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::HealthCheck, Self::NotificationRule];

    /// How the API server names it.
    pub(super) fn resource(self) -> ApiResource {
        let (kind, plural) = match self {
            Self::HealthCheck => ("HealthCheck", "healthchecks"),
            Self::NotificationRule => ("NotificationRule", "notificationrules"),
        };
        ApiResource {
            group: "check.cloudders.com".to_owned(),
            version: "v1alpha1".to_owned(),
            api_version: "check.cloudders.com/v1alpha1".to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }
}

/// One watch: a kind in one namespace, or in all of them (`None`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Scope {
    pub(super) kind: Kind,
    pub(super) namespace: Option<Arc<str>>,
}

/// What a watch says.
#[derive(Debug)]
pub(super) enum Heard {
    /// An event of the watch.
    Event(Box<Event<DynamicObject>>),
    /// The watch or the list failed and is tried again; in words, without secrets.
    Trouble(String),
}

/// One watch per scope, to be run for ever, and where they all tell what they hear.
pub(super) fn watches(
    client: &Client,
    scopes: &[Scope],
    metrics: &ClusterMetrics,
) -> (mpsc::Receiver<(Scope, Heard)>, Vec<BoxFuture<'static, ()>>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let watch = |scope: &Scope| follow(client.clone(), scope.clone(), sender.clone(), metrics.clone()).boxed();
    (receiver, scopes.iter().map(watch).collect())
}

async fn follow(client: Client, scope: Scope, sender: mpsc::Sender<(Scope, Heard)>, metrics: ClusterMetrics) {
    let resource = scope.kind.resource();
    let api: Api<DynamicObject> = match &scope.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let mut failures = 0;
    loop {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let mut events = std::pin::pin!(watcher::watcher(api.clone(), config));
        while let Some(event) = events.next().await {
            let heard = match event {
                Ok(event) => {
                    // A list that begins has proved nothing yet.
                    if !matches!(event, Event::Init) {
                        failures = 0;
                    }
                    metrics.watch_event();
                    if matches!(event, Event::InitDone) {
                        metrics.relisted();
                    }
                    Heard::Event(Box::new(event))
                }
                Err(error) => {
                    metrics.watch_error();
                    Heard::Trouble(trouble(&error))
                }
            };
            let failed = matches!(heard, Heard::Trouble(_));
            if sender.send((scope.clone(), heard)).await.is_err() {
                return;
            }
            if failed {
                break;
            }
        }
        // A server that was away may have come back with less than it had: its versions may even have started over, and
        // a watch from where we were would hear nothing. So after every failure the list is taken anew.
        tokio::time::sleep(pause(failures)).await;
        failures = failures.saturating_add(1);
    }
}

/// The pause after a failure; doubles with each in a row.
fn pause(failures: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE);
    // Many operators must not come back in step after an outage.
    pause.mul_f64(0.75 + rand::random::<f64>() / 4.0)
}

fn trouble(error: &watcher::Error) -> String {
    let inner = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        watcher::Error::WatchError(status) => return format!("the API server ended the watch: {}", status.message),
        watcher::Error::NoResourceVersion => return error.to_string(),
    };
    match inner {
        kube::Error::Api(status) if status.code == 404 => {
            "the CustomResourceDefinitions are not installed: apply what `health-check-operator crds` prints".to_owned()
        }
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            format!("the API server refuses: {} (grant list and watch)", status.message)
        }
        other => format!("the API server is out of reach: {other}"),
    }
}
