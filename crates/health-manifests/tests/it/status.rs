//! What is written into `status`, and what is read back after a restart.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use health_manifests::status::{HealthCheckStatus, StatusParts};
use health_model::{
    CheckMeta, CheckSpec, CheckView, HttpProbe, ObjectId, Outcome, Probe, Reason, SpecProblem, Standing, Verdict,
};
use jiff::Timestamp;

fn meta() -> CheckMeta {
    CheckMeta { id: ObjectId::new("shop", "web"), labels: BTreeMap::new(), created: None, generation: 3, uid: None }
}

fn spec() -> CheckSpec {
    let http = HttpProbe::get("https://example.org/health".parse().unwrap());
    CheckSpec::new(Duration::from_secs(60), Probe::Http(Box::new(http)))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn outcome(reason: Reason) -> Arc<Outcome> {
    let mut outcome = Outcome::new(reason, format!("said {reason}"));
    outcome.duration = Duration::from_micros(233_400);
    outcome.status_code = Some(200);
    Arc::new(outcome)
}

fn observed(reasons: &[Reason]) -> Standing {
    let mut standing = Standing::pending();
    for (second, reason) in (1..).zip(reasons) {
        standing.observe(&spec(), 3, outcome(*reason), at(second));
    }
    standing
}

fn status(standing: &Standing, previous: Option<&HealthCheckStatus>, now: Timestamp) -> HealthCheckStatus {
    let view = CheckView::new(&meta(), Ok(&spec()), standing, None, false);
    let parts = StatusParts { view: &view, standing, search: Some(("string", "ready")), problem: None, generation: 3 };
    HealthCheckStatus::from_parts(parts, previous, now)
}

fn condition(status: &HealthCheckStatus, kind: &str) -> (String, String, Timestamp) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (found.status.clone(), found.reason.clone(), found.last_transition_time.0)
}

#[test]
fn the_fields_of_the_contract_are_there() {
    let standing = observed(&[Reason::Timeout, Reason::Succeeded]);
    let json = serde_json::to_value(status(&standing, None, at(9))).unwrap();
    insta::assert_json_snapshot!(json, @r#"
    {
      "conditions": [
        {
          "lastTransitionTime": "2027-01-15T08:00:02Z",
          "message": "said Succeeded",
          "reason": "Succeeded",
          "status": "True",
          "type": "Healthy"
        },
        {
          "lastTransitionTime": "2027-01-15T08:00:09Z",
          "message": "The manifest was understood",
          "reason": "Understood",
          "status": "True",
          "type": "Ready"
        }
      ],
      "consecutiveFailures": 0,
      "healthy": true,
      "lastChecked": "2027-01-15T08:00:02Z",
      "lastTransition": "2027-01-15T08:00:02Z",
      "observedGeneration": 3,
      "reason": "Succeeded",
      "response": "said Succeeded",
      "responseTime": "234ms",
      "searchType": "string",
      "searchUsed": "ready",
      "state": "Active",
      "statusCode": 200,
      "target": "https://example.org/health"
    }
    "#);
}

#[test]
fn a_restart_restores_what_was_known_and_marks_it_stale() {
    for reasons in
        [vec![Reason::Succeeded], vec![Reason::Timeout, Reason::Timeout], vec![Reason::Succeeded, Reason::RateLimited]]
    {
        let standing = observed(&reasons);
        let written = serde_json::to_string(&status(&standing, None, at(9))).unwrap();
        let read: HealthCheckStatus = serde_json::from_str(&written).unwrap();
        let restored = read.to_standing().unwrap();
        assert!(restored.stale());
        assert_eq!(
            (restored.verdict, restored.reason, &restored.response, restored.failing_since, restored.last_checked),
            (standing.verdict, standing.reason, &standing.response, standing.failing_since, standing.last_checked)
        );
        assert_eq!(restored.consecutive_failures, standing.consecutive_failures);
        assert_eq!(condition(&status(&restored, Some(&read), at(20)), "Healthy"), condition(&read, "Healthy"));
    }
}

#[test]
fn a_check_that_cannot_be_probed_does_not_turn_again_after_a_restart() {
    let wrong = Outcome::new(Reason::InvalidConfiguration, "spec.http.searchFor.expression: is no regular expression");
    let mut standing = Standing::pending();
    assert!(standing.refuse(3, &wrong, at(1)).is_some(), "it turns once");
    let written = serde_json::to_string(&status(&standing, None, at(2))).unwrap();
    let mut restored = serde_json::from_str::<HealthCheckStatus>(&written).unwrap().to_standing().unwrap();
    assert_eq!((restored.verdict, restored.last_checked, restored.stale()), (Verdict::Failing, None, true));
    assert!(restored.refuse(3, &wrong, at(3)).is_none(), "and not again");
}

#[test]
fn a_status_that_was_never_written_restores_nothing() {
    assert!(HealthCheckStatus::default().to_standing().is_none());
    assert!(status(&Standing::pending(), None, at(0)).to_standing().is_none());
}

#[test]
fn a_status_of_the_published_operator_is_understood() {
    let text = r#"{"healthy": true, "lastChecked": "2026-01-01T00:00:00Z", "response": "200 OK", "state": "Active"}"#;
    let standing = serde_json::from_str::<HealthCheckStatus>(text).unwrap().to_standing().unwrap();
    assert_eq!((standing.verdict, standing.reason), (Verdict::Healthy, Reason::Succeeded));
}

#[test]
fn a_fault_of_ours_is_unknown_and_not_unhealthy() {
    let standing = observed(&[Reason::Succeeded, Reason::ProberFault]);
    let status = status(&standing, None, at(9));
    assert_eq!(status.healthy, Some(true));
    assert_eq!(condition(&status, "Healthy"), ("Unknown".to_owned(), "ProberFault".to_owned(), at(9)));
}

#[test]
fn a_condition_keeps_its_time_until_it_turns() {
    let first = status(&observed(&[Reason::Succeeded]), None, at(10));
    let second = status(&observed(&[Reason::Succeeded, Reason::Succeeded]), Some(&first), at(11));
    assert_eq!(condition(&second, "Ready"), condition(&first, "Ready"));
    let third = status(&observed(&[Reason::Succeeded, Reason::Timeout]), Some(&second), at(12));
    assert_eq!(condition(&third, "Healthy"), ("False".to_owned(), "Timeout".to_owned(), at(2)));
}

#[test]
fn a_manifest_that_was_not_understood_is_not_ready() {
    let problem = SpecProblem {
        reason: Reason::InvalidConfiguration,
        message: "spec.tcp.port: is out of range".to_owned(),
        target: None,
        kind: None,
        interval: None,
    };
    let mut standing = Standing::pending();
    standing.refuse(3, &Outcome::new(problem.reason, problem.message.clone()), at(1));
    let view = CheckView::new(&meta(), Err(&problem), &standing, None, false);
    let parts = StatusParts { view: &view, standing: &standing, search: None, problem: Some(&problem), generation: 3 };
    let status = HealthCheckStatus::from_parts(parts, None, at(2));
    assert_eq!(condition(&status, "Ready"), ("False".to_owned(), "InvalidConfiguration".to_owned(), at(2)));
    assert_eq!(condition(&status, "Healthy").0, "False");
    assert_eq!(status.state.as_deref(), Some("Errored"));
}
