//! One Event per confirmed turn of a check, none per probe, at a bounded rate.
//!
//! Events are for people (`kubectl describe`); automation reads the status. So when the API server is away or many
//! checks turn at once, events over the bound are dropped and counted, never queued without end.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use health_model::{Transition, Verdict};
use health_runner::{Change, Row};
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::sync::mpsc;

use super::metrics::ClusterMetrics;

/// Our name in events, leases and managed fields.
pub(super) const COMPONENT: &str = "health-check-operator";
/// Events that may wait to be sent.
const QUEUE: usize = 1000;
/// Longest note, in bytes (the API's limit is 1 kB).
const LONGEST_NOTE: usize = 1000;
/// Attempts to send one event before it is given up.
const ATTEMPTS: u32 = 5;
/// Events sent per [`WINDOW`]; more are dropped and counted.
const MOST_PER_WINDOW: usize = 600;
/// See [`MOST_PER_WINDOW`].
const WINDOW: Duration = Duration::from_secs(60);

/// Sends events in the background; handing one over never waits.
#[derive(Clone, Debug)]
pub(super) struct EventSender {
    queue: mpsc::Sender<Event>,
    instance: String,
    metrics: ClusterMetrics,
}

impl EventSender {
    /// Where to hand events over, and the sending itself, to be run for ever. `instance` is the pod's name.
    pub(super) fn new(client: Client, instance: String, metrics: ClusterMetrics) -> (Self, BoxFuture<'static, ()>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let sending = send_all(client, waiting, metrics.clone()).boxed();
        (Self { queue, instance, metrics }, sending)
    }

    /// Tells a check's turns. The first result of a new check is an event only when it is a failure.
    pub(super) fn tell(&self, change: &Change) {
        let Some(row) = &change.row else { return };
        for transition in &change.transitions {
            if transition.from == Verdict::Unknown && transition.to == Verdict::Healthy {
                continue;
            }
            if self.queue.try_send(event(row, transition, &self.instance)).is_err() {
                self.metrics.event_dropped();
            }
        }
    }
}

fn event(row: &Row, transition: &Transition, instance: &str) -> Event {
    let meta = &row.definition.meta;
    let healthy = transition.to == Verdict::Healthy;
    let mut note = if healthy {
        format!("Healthy again: {}", transition.response)
    } else {
        format!("{}: {}", transition.reason, transition.response)
    };
    if note.len() > LONGEST_NOTE {
        note.truncate(note.floor_char_boundary(LONGEST_NOTE));
    }
    Event {
        metadata: ObjectMeta {
            namespace: Some(meta.id.namespace().to_owned()),
            name: Some(format!("{}.{:x}", meta.id.name(), transition.at.as_nanosecond())),
            ..ObjectMeta::default()
        },
        action: Some("Probing".to_owned()),
        reason: Some(if healthy { "Healthy" } else { "Unhealthy" }.to_owned()),
        note: Some(note),
        type_: Some(if healthy { "Normal" } else { "Warning" }.to_owned()),
        event_time: Some(MicroTime(transition.at)),
        reporting_controller: Some(COMPONENT.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some("check.cloudders.com/v1alpha1".to_owned()),
            kind: Some("HealthCheck".to_owned()),
            namespace: Some(meta.id.namespace().to_owned()),
            name: Some(meta.id.name().to_owned()),
            uid: meta.uid.as_deref().map(str::to_owned),
            ..ObjectReference::default()
        }),
        ..Event::default()
    }
}

async fn send_all(client: Client, mut waiting: mpsc::Receiver<Event>, metrics: ClusterMetrics) {
    let mut sent = VecDeque::new();
    while let Some(event) = waiting.recv().await {
        let now = Instant::now();
        while sent.front().is_some_and(|at: &Instant| now.duration_since(*at) > WINDOW) {
            sent.pop_front();
        }
        if sent.len() >= MOST_PER_WINDOW {
            metrics.event_dropped();
            continue;
        }
        sent.push_back(now);
        send(&client, &event, &metrics).await;
    }
}

async fn send(client: &Client, event: &Event, metrics: &ClusterMetrics) {
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    let api = Api::<Event>::namespaced(client.clone(), &namespace);
    let mut pause = Duration::from_millis(250);
    for attempt in 1..=ATTEMPTS {
        match api.create(&PostParams::default(), event).await {
            Ok(_) => return metrics.event_sent(),
            // The namespace is going away, the event exists already, or we may not: asking again changes nothing.
            Err(kube::Error::Api(status)) if (400..429).contains(&status.code) => {
                tracing::debug!(code = status.code, reason = %status.reason, "an event was refused");
                return metrics.event_dropped();
            }
            Err(_) if attempt < ATTEMPTS => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(error) => {
                tracing::debug!(%error, at = %Timestamp::now(), "an event could not be sent");
                metrics.event_dropped();
            }
        }
    }
}
