//! `--witness`: targets that answer whenever our own network works.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use health_manifests::check_from_target;
use health_model::{CheckId, CheckSpec, ProbeRequest, Prober, ReasonClass};
use health_runner::Witness;

/// How long a witness may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks every witness at once; one that answers is enough, whatever it answers.
pub(crate) struct Witnesses {
    prober: Arc<dyn Prober>,
    specs: Vec<Arc<CheckSpec>>,
}

impl Witnesses {
    /// The witnesses of `--witness`; `None` where there are none.
    ///
    /// # Errors
    /// Names the flag and what is wrong with the target.
    pub(crate) fn new(targets: &[String], prober: Arc<dyn Prober>) -> anyhow::Result<Option<Arc<dyn Witness>>> {
        let read = |target: &String| check_from_target(target).map(Arc::new);
        let specs = targets.iter().map(read).collect::<Result<Vec<_>, _>>();
        let specs = specs.map_err(|problem| anyhow::anyhow!("--witness: {}; {}", problem.message, problem.remedy))?;
        Ok((!specs.is_empty()).then(|| Arc::new(Self { prober, specs }) as Arc<dyn Witness>))
    }
}

impl Witness for Witnesses {
    fn network_is_lost(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let deadline = Instant::now() + PATIENCE;
        let ask = |spec: &Arc<CheckSpec>| {
            let id = CheckId::new("witness", spec.probe.target());
            self.prober.probe(ProbeRequest { id, spec: Arc::clone(spec), deadline })
        };
        let mut answers: FuturesUnordered<_> = self.specs.iter().map(ask).collect();
        Box::pin(async move {
            while let Some(outcome) = answers.next().await {
                if !matches!(outcome.reason.class(), ReasonClass::NotCarriedOut | ReasonClass::Ours) {
                    return false;
                }
            }
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use health_model::{Outcome, Reason};
    use health_testkit::scripted::ScriptedProber;

    async fn lost(answers: impl Fn(&str) -> Reason + Send + Sync + 'static) -> bool {
        let prober = ScriptedProber::new(move |request| Outcome::new(answers(request.id.name()), ""));
        let targets = ["tcp://a:1".to_owned(), "tcp://b:1".to_owned()];
        Witnesses::new(&targets, prober).unwrap().unwrap().network_is_lost().await
    }

    #[tokio::test]
    async fn the_network_is_lost_only_when_every_witness_is_out_of_reach() {
        assert!(lost(|_| Reason::Timeout).await);
        assert!(lost(|_| Reason::ConnectionRefused).await);
        assert!(!lost(|name| if name.contains("//b") { Reason::UnexpectedStatus } else { Reason::Timeout }).await);
    }

    #[test]
    fn a_witness_that_cannot_be_read_is_refused_with_its_flag() {
        let prober = ScriptedProber::new(|_| Outcome::new(Reason::Succeeded, ""));
        let refused = Witnesses::new(&["example.org".to_owned()], prober).err().unwrap().to_string();
        assert!(refused.starts_with("--witness: "), "{refused}");
    }
}
