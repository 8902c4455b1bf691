//! How the parts of this process are doing, for `/healthz` and `/readyz`.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
};

use health_server::{Condition, ConditionState, Readiness};
use tokio_util::sync::CancellationToken;

type Look = Box<dyn Fn() -> ConditionState + Send + Sync>;

/// Every part that has been added, and how to look at it.
pub(crate) struct Parts {
    stop: CancellationToken,
    parts: Mutex<Vec<(&'static str, Look)>>,
}

impl Parts {
    /// No parts yet. Once `stop` is cancelled nothing is ready any more, and no part that ends is dead.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { stop, parts: Mutex::default() }
    }

    /// Adds a part.
    pub(crate) fn add(&self, name: &'static str, look: impl Fn() -> ConditionState + Send + Sync + 'static) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push((name, Box::new(look)));
    }

    /// Runs a part that must not end before the process is told to stop; if it does, the process is not alive.
    pub(crate) fn keep_running(
        &self,
        name: &'static str,
        part: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let task = tokio::spawn(part);
        let handle = task.abort_handle();
        let stop = self.stop.clone();
        self.add(name, move || match handle.is_finished() && !stop.is_cancelled() {
            true => ConditionState::Dead("has ended; the log says why".to_owned()),
            false => ConditionState::Ready,
        });
        task
    }
}

impl Readiness for Parts {
    fn conditions(&self) -> Vec<Condition> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = parts.iter().map(|(name, look)| Condition { name, state: look() }).collect();
        if self.stop.is_cancelled() {
            all.push(Condition { name: "process", state: ConditionState::NotReady("is stopping".to_owned()) });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_too_soon_is_dead_and_one_that_ends_at_the_stop_is_not() {
        let stop = CancellationToken::new();
        let parts = Parts::new(stop.clone());
        parts.keep_running("source", async {}).await.unwrap();
        assert!(matches!(parts.conditions()[0].state, ConditionState::Dead(_)));
        stop.cancel();
        assert_eq!(parts.conditions()[0].state, ConditionState::Ready);
        assert_eq!(parts.conditions()[1].name, "process");
    }
}
