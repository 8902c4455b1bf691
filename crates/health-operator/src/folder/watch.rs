//! When to read the folder again: soon after something changed in it, and every so often in any case.
//!
//! Notices are hints. They may be lost (a full kernel queue, network file systems, folders reached through links), so
//! nothing depends on them but how soon a change is seen.

use std::{path::Path, sync::Arc, time::Duration};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind, event::AccessMode};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

/// A change is acted on when nothing else has changed for this long …
const QUIET: Duration = Duration::from_millis(100);
/// … or this long after the first, whatever still changes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Wakes up when a folder may have changed.
pub(crate) struct FolderWatch {
    changed: Arc<Notify>,
    poll_interval: Duration,
    watcher: Option<RecommendedWatcher>,
}

impl FolderWatch {
    /// Starts to watch. Where the system cannot notice changes there is only the slow poll, and the log says so.
    pub(crate) fn start(directory: &Path, poll_interval: Duration) -> Self {
        let mut watch = Self { changed: Arc::new(Notify::new()), poll_interval, watcher: None };
        watch.renew(directory);
        watch
    }

    /// Watches the folder that is there now, in place of one of the same path that went away.
    pub(crate) fn renew(&mut self, directory: &Path) {
        let changed = Arc::clone(&self.changed);
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !is_mere_access(event.kind)) {
                changed.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        self.watcher = watcher
            .inspect_err(|error| {
                let every = self.poll_interval.as_secs_f64();
                tracing::warn!(%error, every_seconds = every, "changes are not noticed at once, only by reading again");
            })
            .ok();
    }

    /// Waits until the folder should be read again.
    pub(crate) async fn next(&self) {
        if tokio::time::timeout(self.poll_interval, self.changed.notified()).await.is_err() {
            return;
        }
        let latest = Instant::now() + PATIENCE;
        loop {
            let quiet = Instant::now() + QUIET;
            if quiet >= latest {
                return sleep_until(latest).await;
            }
            if timeout_at(quiet, self.changed.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// Our own reading makes such events: acting on them would never end.
fn is_mere_access(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
