//! Rules of the folder, and the signs of life to the outside.

use std::net::TcpListener;

use crate::{
    operator::{Manifests, Operator, http_check},
    target::Target,
};

fn rule(webhook: &str) -> String {
    format!(
        "---\napiVersion: check.cloudders.com/v1alpha1\nkind: NotificationRule\nmetadata: {{name: on-call}}\n\
         spec:\n  checks: [web]\n  groupWait: 100ms\n  slack:\n    webhook: {{url: \"{webhook}\"}}\n"
    )
}

#[test]
fn a_rule_of_the_folder_is_told_of_an_outage_and_of_its_end() {
    let (target, slack) = (Target::answering("500 Internal Server Error", ""), Target::answering("200 OK", "ok"));
    let manifests = Manifests::new().with("all.yaml", &(http_check("web", &target.url()) + &rule(&slack.url())));
    let operator = Operator::start(&manifests.path());
    let told = |word: &str| {
        let what = format!("Slack to be told that web {word}");
        operator.healthchecks_until(&what, |_| slack.requests().iter().any(|request| request.contains(word)));
    };
    told("is failing");
    target.answer("200 OK", "");
    told("has recovered");
    assert_eq!(slack.requests().len(), 2, "{:#?}", slack.requests());
    let name = r#"healthcheck_notifications_total{channel="slack",outcome="accepted"}"#;
    assert_eq!(operator.metric(name), 2.0);
}

#[test]
fn a_restart_repeats_nothing_that_was_told() {
    let (target, slack) = (Target::answering("500 Internal Server Error", ""), Target::answering("200 OK", "ok"));
    let manifests = Manifests::new().with("all.yaml", &(http_check("web", &target.url()) + &rule(&slack.url())));
    let state = tempfile::tempdir().unwrap();
    let start = || Operator::start_with(&manifests.path(), |command| command.arg("--state-dir").arg(state.path()));
    let operator = start();
    operator.healthchecks_until("Slack to be told", |_| slack.requests().len() == 1);
    operator.stop();
    let operator = start();
    target.answer("200 OK", "");
    operator.healthchecks_until("Slack to be told of the end", |_| slack.requests().len() >= 2);
    assert!(slack.requests()[1].contains("has recovered"), "{:#?}", slack.requests());
}

#[test]
fn an_outsider_is_told_that_this_monitor_lives() {
    let outsider = Target::answering("200 OK", "");
    let manifests = Manifests::new();
    let operator = Operator::start_with(&manifests.path(), |command| {
        command.env("HEALTH_CHECK_HEARTBEAT_URL", format!("{}s3cret-path", outsider.url()))
    });
    operator.healthchecks_until("the heartbeat", |_| !outsider.requests().is_empty());
    assert!(outsider.requests()[0].starts_with("GET /s3cret-path "), "{:?}", outsider.requests());
}

#[test]
fn when_every_witness_fails_nobody_is_said_to_be_down() {
    let everything = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = everything.local_addr().unwrap().port();
    let check = "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {name: web}\n\
                 spec: {testInterval: 200ms, tcp: {host: 127.0.0.1, port: PORT}}\n";
    let manifests = Manifests::new().with("web.yaml", &check.replace("PORT", &port.to_string()));
    let witness = format!("tcp://127.0.0.1:{port}");
    let mut operator = Operator::start_with(&manifests.path(), |command| command.args(["--witness", &witness]));
    operator.wait_for_turn("default/web", true);
    drop(everything);
    operator.healthchecks_until("the loss to be noticed", |_| {
        operator.rest("/api/v1/checks/default/web").1.contains(r#""reason":"NetworkLost""#)
    });
    let log = operator.stop();
    assert!(!log.iter().any(|line| line.contains(r#""message":"failing""#)), "{log:#?}");
}

#[test]
fn a_test_message_goes_through_every_channel_and_says_what_the_provider_said() {
    let (slack, refusing) = (Target::answering("200 OK", "ok"), Target::answering("404 Not Found", "no_service"));
    let manifests = Manifests::new().with("rule.yaml", &rule(&format!("{}planted-s3cret", slack.url())));
    let test = |name: &str, path: &std::path::Path| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_health-check-operator"));
        command.args(["notify-test", name, "--manifests"]).arg(path).assert()
    };
    test("on-call", &manifests.path()).success().stdout("slack (url): accepted (200 OK: ok)\n");
    assert!(slack.requests()[0].contains("this is a test"), "{:?}", slack.requests());
    let refused = Manifests::new().with("rule.yaml", &rule(&format!("{}planted-s3cret", refusing.url())));
    let said = test("default/on-call", &refused.path()).code(1);
    let said = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    assert_eq!(said, "slack (url): refused: answered 404 Not Found: no_service\n");
    test("nobody", &manifests.path()).code(2);
}
