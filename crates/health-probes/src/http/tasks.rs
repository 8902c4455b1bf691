//! The tasks that HTTP/2 needs beside its connection; they end with the probe.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

/// Tasks of one probe; dropping this ends them, whatever a peer does.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

/// Spawns onto the current runtime, for [`Tasks`] to end.
#[derive(Clone, Debug)]
pub(crate) struct Executor(Arc<Mutex<Vec<AbortHandle>>>);

impl Tasks {
    /// The executor to hand to hyper.
    pub(crate) fn executor(&self) -> Executor {
        Executor(Arc::clone(&self.0))
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let handle = tokio::spawn(task).abort_handle();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}
