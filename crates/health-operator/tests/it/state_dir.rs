//! What is known, kept over restarts.

use std::fs;

use serde_json::Value;

use crate::{
    operator::{Manifests, Operator, http_check, program},
    target::Target,
};

fn check(operator: &Operator) -> Value {
    serde_json::from_str(&operator.rest("/api/v1/checks/default/web").1).unwrap()
}

#[test]
fn a_restart_turns_nothing_and_is_stale_until_probed() {
    let target = Target::answering("500 Internal Server Error", "");
    let slow = http_check("web", &target.url()).replace("200ms", "1h");
    let manifests = Manifests::new().with("web.yaml", &slow);
    let state = tempfile::tempdir().unwrap();
    let start = || Operator::start_with(&manifests.path(), |command| command.arg("--state-dir").arg(state.path()));
    let mut operator = start();
    operator.wait_for_turn("default/web", false);
    let before = check(&operator);
    operator.stop();

    // Suspended, so that nothing is asked after the restart.
    manifests.write("web.yaml", &slow.replace("testInterval", "suspend: true\n  testInterval"));
    let mut operator = start();
    operator.wait_for_message("following the folder");
    let after = check(&operator);
    for field in ["healthy", "response", "lastChecked", "lastTransition", "failingSince"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(after["stale"], true);
    let log = operator.stop();
    assert!(!log.iter().any(|line| line.contains(r#""message":"failing""#)), "nothing has turned: {log:#?}");
}

#[test]
fn what_was_known_outlives_a_restart_with_a_broken_file() {
    let target = Target::answering("500 Internal Server Error", "");
    let good = http_check("web", &target.url()).replace("200ms", "1h");
    let manifests = Manifests::new().with("web.yaml", &good).with("other.yaml", &http_check("other", &target.url()));
    let state = tempfile::tempdir().unwrap();
    let start = || Operator::start_with(&manifests.path(), |command| command.arg("--state-dir").arg(state.path()));
    let operator = start();
    operator.healthchecks_until("both to be asked", |all| {
        ["web", "other"].iter().all(|name| all[name]["response"] != "Pending")
    });
    let before = check(&operator);
    operator.stop();

    manifests.write("web.yaml", "kind: [");
    let mut operator = start();
    operator.wait_for_message("following the folder");
    operator.healthchecks_until("the other check to be asked", |all| all["other"]["response"] != "Pending");
    assert_eq!(operator.rest("/healthchecks/web").0, 404, "nobody knows what is in the file");
    operator.stop();

    // Suspended, so that nothing is asked after the restart.
    manifests.write("web.yaml", &good.replace("testInterval", "suspend: true\n  testInterval"));
    let mut operator = start();
    operator.wait_for_message("following the folder");
    let after = check(&operator);
    for field in ["healthy", "response", "lastChecked", "lastTransition", "failingSince"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    operator.stop();

    // A whole folder without the file: now it is meant to be gone.
    std::fs::remove_file(manifests.path().join("web.yaml")).unwrap();
    let mut operator = start();
    operator.wait_for_message("following the folder");
    operator.stop();
    let kept = fs::read_to_string(state.path().join("standings.json")).unwrap();
    assert!(!kept.contains("web"), "{kept}");
}

#[test]
fn a_kill_loses_no_turn() {
    let target = Target::answering("200 OK", "");
    let manifests = Manifests::new().with("web.yaml", &http_check("web", &target.url()));
    let state = tempfile::tempdir().unwrap();
    let mut operator = Operator::start_with(&manifests.path(), |command| command.arg("--state-dir").arg(state.path()));
    operator.wait_for_turn("default/web", true);
    let file = state.path().join("standings.json");
    operator.healthchecks_until("the turn to be kept", |_| {
        fs::read_to_string(&file).is_ok_and(|text| text.contains(r#""verdict":"Healthy""#))
    });
    operator.signal("KILL");
    operator.wait();
    let kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(kept["checks"][0]["id"]["name"], "web");
}

#[test]
fn a_file_that_cannot_be_read_is_set_aside() {
    let manifests = Manifests::new();
    let state = tempfile::tempdir().unwrap();
    fs::write(state.path().join("standings.json"), "no JSON").unwrap();
    let mut operator = Operator::start_with(&manifests.path(), |command| command.arg("--state-dir").arg(state.path()));
    operator.wait_for_message("following the folder");
    operator.stop();
    assert_eq!(fs::read_to_string(state.path().join("standings.json.unreadable")).unwrap(), "no JSON");
}

#[test]
fn a_second_process_is_refused() {
    let manifests = Manifests::new();
    let state = tempfile::tempdir().unwrap();
    let first = Operator::start_with(&manifests.path(), |command| command.arg("--state-dir").arg(state.path()));
    let mut second = program();
    second.arg("--manifests").arg(manifests.path()).arg("--state-dir").arg(state.path());
    for flag in ["--rest-bind-address", "--metrics-bind-address", "--health-probe-bind-address"] {
        second.args([flag, "127.0.0.1:0"]);
    }
    let output = second.output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(words.contains("(--state-dir) is used by another process; end it, or choose another folder"), "{words}");
    first.stop();
}
