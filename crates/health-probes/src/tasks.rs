//! Where HTTP/2 puts the work it does beside the request: tasks that end with the probe, whatever they are waiting for.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::JoinSet;

/// The tasks of one probe; dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Tasks(TaskSpawner);

/// Adds tasks; kept by those who make them.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskSpawner(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// What hands tasks over to this set.
    pub(crate) fn spawner(&self) -> TaskSpawner {
        self.0.clone()
    }
}

impl TaskSpawner {
    /// Runs this beside the probe until it ends or the probe does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // The tasks hold spawners themselves, so that the set would never be dropped on its own.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl<F> hyper::rt::Executor<F> for TaskSpawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.spawn(async move {
            future.await;
        });
    }
}
