//! A test message through every channel of a rule, now: no hold, no grouping, nothing recorded.

use std::sync::Arc;

use health_model::{CheckId, Reason, RuleId, RuleSpec, Severity};
use jiff::Timestamp;

use crate::{
    channel::{Transport, Verdict},
    debt::Telling,
    destination::{Destination, Style},
    ledger::DestinationKey,
    message::{Member, Message},
};

/// The name of the check that a test message is about.
const CHECK: &str = "notify-test";

/// What one destination made of a test message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which.
    pub destination: DestinationKey,
    /// How it ended. Where incidents are opened, the test's is closed again, and this is the worse of both.
    pub verdict: Verdict,
    /// What the provider said, in one line, without secrets.
    pub said: String,
}

/// Sends a message that is marked as a test to every destination of a rule, one after the other.
pub async fn try_out(rule: &RuleId, spec: &Arc<RuleSpec>, transport: &Transport, now: Timestamp) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (key, destination) in Destination::of(spec) {
        let opening = message(rule, Telling::Firing, now);
        let (mut verdict, mut said) = Box::pin(transport.deliver_and_quote(&destination, &opening)).await;
        if destination.style() != Style::Chat && verdict == Verdict::Accepted {
            let closing = message(rule, Telling::Resolved, now);
            (verdict, said) = Box::pin(transport.deliver_and_quote(&destination, &closing)).await;
        }
        trials.push(Trial { destination: key, verdict, said });
    }
    trials
}

fn message(rule: &RuleId, telling: Telling, now: Timestamp) -> Message {
    let member = Member {
        check: CheckId::new(rule.namespace(), CHECK),
        since: now,
        ended: (!telling.is_firing()).then_some(now),
        turns: None,
        reason: Reason::UnexpectedStatus,
        severity: Severity::Info,
        response: "a test: nothing has failed".to_owned(),
        target: "https://example.org/".to_owned(),
        snapshot: None,
    };
    let moment = now.as_millisecond();
    Message {
        id: format!("test-{moment}").into(),
        rule: rule.clone(),
        telling,
        now,
        members: vec![member],
        incident: format!("health-check/{}/{}/{CHECK}-{moment}", rule.namespace(), rule.name()).into(),
        test: true,
    }
}
