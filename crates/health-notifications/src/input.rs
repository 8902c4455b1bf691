//! What the pipeline is told about checks. Built from the model's types only, so that no runner is needed to feed it.

use std::sync::Arc;

use health_model::{CheckDefinition, CheckId, CheckView, Standing, Transition, Verdict};
use jiff::Timestamp;

/// A check as it stands now.
#[derive(Clone, Debug)]
pub struct CheckSnapshot {
    /// What its source declares.
    pub definition: Arc<CheckDefinition>,
    /// How it stands.
    pub standing: Standing,
    /// When it will be asked next.
    pub next_check: Option<Timestamp>,
    /// Whether no probe ended for longer than [`health_model::overdue_after`]: then its word is not believed.
    pub overdue: bool,
}

impl CheckSnapshot {
    /// Everything known of the check, in the published shape.
    pub fn view(&self) -> CheckView {
        let spec = self.definition.spec.as_ref().map(AsRef::as_ref);
        CheckView::new(&self.definition.meta, spec, &self.standing, self.next_check, self.overdue)
    }

    /// The check as it was right after one of its turns.
    pub(crate) fn as_of(&self, transition: &Transition) -> Self {
        let mut past = self.clone();
        past.standing.verdict = transition.to;
        past.standing.reason = transition.reason;
        past.standing.state = transition.reason.state();
        past.standing.response.clone_from(&transition.response);
        past.standing.last_transition = Some(transition.at);
        past.standing.restored = false;
        let failing = transition.to == Verdict::Failing;
        let streak = self.standing.failing_since.filter(|since| *since <= transition.at);
        past.standing.failing_since = failing.then_some(streak.unwrap_or(transition.at));
        past
    }
}

/// What has changed of one check.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Whose.
    pub id: CheckId,
    /// The check as it is now; `None`: it is no longer declared.
    pub check: Option<Arc<CheckSnapshot>>,
    /// Its turns since the last observation, oldest first.
    pub transitions: Vec<Transition>,
}
