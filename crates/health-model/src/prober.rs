//! The port through which the engine asks: it knows neither protocols nor runtimes.

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use crate::{CheckId, CheckSpec, Outcome};

/// One question to one target.
#[derive(Clone, Debug)]
pub struct ProbeRequest {
    /// Whose check it is.
    pub id: CheckId,
    /// How to ask.
    pub spec: Arc<CheckSpec>,
    /// The one absolute deadline: names, redirects and body included. The prober itself answers
    /// [`crate::Reason::Timeout`] when it passes.
    pub deadline: Instant,
}

/// A probe under way. Boxed: tens of thousands of them may exist at once.
pub type ProbeFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Asks targets. A failed probe is an [`Outcome`] with its reason, never an error.
pub trait Prober: Send + Sync + 'static {
    /// Asks once. The future ends by the deadline; dropping it cuts the probe.
    fn probe(&self, request: ProbeRequest) -> ProbeFuture;
}
