//! Secrets and ConfigMaps that checks and rules refer to: read by `get` alone, only while something refers to them,
//! and read again at an interval so that a rotated credential is followed without a `watch` permission.
//!
//! What cannot be read is a fact about us, never about a target. While the API server is away the last good contents
//! stay in use.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use health_manifests::{KeyValues, MaterialError, MaterialKind, Materials, Reference};
use health_model::ObjectId;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::metrics::ClusterMetrics;

/// How often contents that were read well are read again.
const FOLLOW_EVERY: Duration = Duration::from_secs(15);
/// How often contents that could not be read are asked for again.
const RETRY_EVERY: Duration = Duration::from_secs(3);
/// Reads under way at once.
const READERS: usize = 8;
/// The longest one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known of one reference.
#[derive(Clone)]
struct Held {
    contents: Result<KeyValues, MaterialError>,
    read_at: Instant,
}

impl Held {
    fn due(&self) -> Instant {
        self.read_at + if self.contents.is_ok() { FOLLOW_EVERY } else { RETRY_EVERY }
    }
}

/// The contents read so far, shared between the reader and whoever resolves references.
#[derive(Clone, Default)]
pub(super) struct ClusterMaterials(Arc<Mutex<HashMap<Reference, Held>>>);

impl ClusterMaterials {
    fn lock(&self) -> MutexGuard<'_, HashMap<Reference, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a reference has been read at least once, well or not.
    pub(super) fn settled(&self, reference: &Reference) -> bool {
        self.lock().contains_key(reference)
    }

    fn read(&self, kind: MaterialKind, namespace: &str, name: &str) -> Result<KeyValues, MaterialError> {
        let reference = Reference { kind, id: ObjectId::new(namespace, name) };
        self.lock()
            .get(&reference)
            .map_or_else(|| Err(MaterialError::Unavailable("not read yet".to_owned())), |held| held.contents.clone())
    }

    /// Takes in what a read brought; says whether that changes anything for who refers to it.
    pub(super) fn take(&self, reference: &Reference, read: Result<KeyValues, MaterialError>) -> bool {
        let mut held = self.lock();
        let now = Instant::now();
        match (held.get_mut(reference), read) {
            // The API server is away: what was read before is still the best there is.
            (Some(before), Err(MaterialError::Unavailable(_))) if before.contents.is_ok() => {
                before.read_at = now;
                false
            }
            (Some(before), read) => {
                let changed = before.contents != read;
                *before = Held { contents: read, read_at: now };
                changed
            }
            (None, read) => {
                held.insert(reference.clone(), Held { contents: read, read_at: now });
                true
            }
        }
    }
}

impl Materials for ClusterMaterials {
    fn secret(&self, namespace: &str, name: &str) -> Result<KeyValues, MaterialError> {
        self.read(MaterialKind::Secret, namespace, name)
    }

    fn config_map(&self, namespace: &str, name: &str) -> Result<KeyValues, MaterialError> {
        self.read(MaterialKind::ConfigMap, namespace, name)
    }
}

/// The source's end of the reader: says what is wanted, hears what has changed.
pub(super) struct Reader {
    /// What has been read so far.
    pub(super) materials: ClusterMaterials,
    wanted: watch::Sender<BTreeSet<Reference>>,
    changes: mpsc::Receiver<Reference>,
}

impl Reader {
    /// The source's end, and the reading itself, to be run for ever.
    pub(super) fn new(client: Client, metrics: ClusterMetrics) -> (Self, BoxFuture<'static, ()>) {
        let materials = ClusterMaterials::default();
        let (wanted, wishes) = watch::channel(BTreeSet::new());
        let (changed, changes) = mpsc::channel(READERS * 2);
        let task = ReaderTask { client, materials: materials.clone(), wishes, changed, metrics };
        (Self { materials, wanted, changes }, task.run().boxed())
    }

    /// From now on exactly these are read and followed.
    pub(super) fn want(&self, references: BTreeSet<Reference>) {
        self.wanted.send_if_modified(|wanted| {
            let differs = *wanted != references;
            if differs {
                *wanted = references;
            }
            differs
        });
    }

    /// The next reference whose contents (or readability) changed. Cancelling the wait loses nothing.
    pub(super) async fn changed(&mut self) -> Option<Reference> {
        self.changes.recv().await
    }
}

struct ReaderTask {
    client: Client,
    materials: ClusterMaterials,
    wishes: watch::Receiver<BTreeSet<Reference>>,
    changed: mpsc::Sender<Reference>,
    metrics: ClusterMetrics,
}

impl ReaderTask {
    async fn run(mut self) {
        loop {
            let wanted = self.wishes.borrow_and_update().clone();
            let (due, next) = self.due(&wanted);
            stream::iter(&due).for_each_concurrent(READERS, |reference| self.follow(reference)).await;
            if !due.is_empty() {
                continue;
            }
            let wait = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.wishes.changed() => if changed.is_err() { return },
                () = wait => {}
            }
        }
    }

    /// Forgets what nobody wants any more; returns what is to be read now, and when the next is due.
    fn due(&self, wanted: &BTreeSet<Reference>) -> (Vec<Reference>, Option<Instant>) {
        let mut held = self.materials.lock();
        held.retain(|reference, _| wanted.contains(reference));
        let now = Instant::now();
        let due = wanted
            .iter()
            .filter(|reference| held.get(*reference).is_none_or(|held| held.due() <= now))
            .cloned()
            .collect();
        (due, held.values().map(Held::due).min())
    }

    async fn follow(&self, reference: &Reference) {
        let read = tokio::time::timeout(READ_TIMEOUT, read_once(&self.client, reference))
            .await
            .unwrap_or_else(|_| Err(MaterialError::Unavailable("the API server does not answer".to_owned())));
        match &read {
            Ok(_) => self.metrics.material_read(),
            Err(_) => self.metrics.material_failed(),
        }
        if self.materials.take(reference, read) {
            // The source is gone only at shutdown; then nobody needs to hear.
            let _ = self.changed.send(reference.clone()).await;
        }
    }
}

/// Reads what a reference names, now.
pub(super) async fn read_once(client: &Client, reference: &Reference) -> Result<KeyValues, MaterialError> {
    let (namespace, name) = (reference.id.namespace(), reference.id.name());
    match reference.kind {
        MaterialKind::Secret => {
            let secret = Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await;
            let secret = secret.map_err(refusal)?.ok_or(MaterialError::NotFound)?;
            Ok(secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect())
        }
        MaterialKind::ConfigMap => {
            let map = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(name).await;
            let map = map.map_err(refusal)?.ok_or(MaterialError::NotFound)?;
            let text = map.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
            let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
            Ok(text.chain(binary).collect())
        }
    }
}

fn refusal(error: kube::Error) -> MaterialError {
    match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            MaterialError::Forbidden("grant the operator's ServiceAccount \"get\" on it".to_owned())
        }
        kube::Error::Api(status) => MaterialError::Unavailable(format!("the API server answered {}", status.code)),
        _ => MaterialError::Unavailable("the API server is out of reach".to_owned()),
    }
}
