//! Rules of the folder, and the signs of life to the outside.

use std::{collections::BTreeSet, net::TcpListener};

use serde_json::Value;

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
    // The request is there before its answer has been read and counted.
    operator.healthchecks_until("both messages to be counted", |_| operator.metric(name) >= 2.0);
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

#[test]
fn of_what_goes_down_together_only_the_root_is_told_whichever_is_asked_first() {
    let (web, db) = (Target::answering("200 OK", ""), Target::answering("200 OK", ""));
    let slack = Target::answering("200 OK", "ok");
    // The dependent is asked ten times as often as what it depends on.
    let dependent = http_check("web", &web.url()) + "  dependsOn: [db]\n";
    let root = http_check("db", &db.url()).replace("200ms", "2s");
    let rule = rule(&slack.url()).replace("[web]", "[web, db]").replace("100ms", "0s");
    let manifests = Manifests::new().with("all.yaml", &(dependent + &root + &rule));
    let operator = Operator::start(&manifests.path());
    operator.healthchecks_until("both to be well", |all| all["web"]["healthy"] == true && all["db"]["healthy"] == true);
    web.answer("500 Internal Server Error", "");
    db.answer("500 Internal Server Error", "");
    operator.healthchecks_until("Slack to be told of the database", |_| !slack.requests().is_empty());
    db.answer("200 OK", "");
    operator.healthchecks_until("Slack to be told of what still fails", |_| slack.requests().len() >= 3);
    let told = slack.requests();
    assert!(told[0].contains("*db* is failing"), "{told:#?}");
    assert!(told[1..3].iter().any(|message| message.contains("*db* has recovered")), "{told:#?}");
    assert!(told[1..3].iter().any(|message| message.contains("*web* is failing")), "{told:#?}");
}

#[test]
fn without_a_rule_the_families_of_notifications_are_there_with_their_types() {
    let manifests = Manifests::new();
    let operator = Operator::start(&manifests.path());
    let metrics = operator.metrics();
    for (family, kind) in [
        ("healthcheck_notifications_total", "counter"),
        ("healthcheck_notifications_merged_total", "counter"),
        ("healthcheck_notifications_queued", "gauge"),
        ("healthcheck_notifications_oldest_undelivered_seconds", "gauge"),
        ("healthcheck_notifications_destinations_not_delivering", "gauge"),
        ("healthcheck_notifications_abandoned_total", "counter"),
        ("healthcheck_notifications_ledger_failures_total", "counter"),
        ("healthcheck_notifications_ledger_unwritten", "gauge"),
    ] {
        assert!(metrics.lines().any(|line| line == format!("# TYPE {family} {kind}")), "{family} {kind}:\n{metrics}");
    }
}

#[test]
fn a_webhook_gets_every_check_in_the_shape_of_the_api_and_signed_as_github_signs() {
    let (target, hook) = (Target::answering("500 Internal Server Error", ""), Target::answering("200 OK", "ok"));
    let rule = "---\napiVersion: check.cloudders.com/v1alpha1\nkind: NotificationRule\nmetadata: {name: on-call}\n\
                spec:\n  checks: [web]\n  groupWait: 0\n  webhook: {url: URL, hmacSecret: {value: key}}\n";
    let rule = rule.replace("URL", &format!("\"{}\"", hook.url()));
    let manifests = Manifests::new().with("all.yaml", &(http_check("web", &target.url()) + &rule));
    let operator = Operator::start(&manifests.path());
    operator.healthchecks_until("the webhook to be told", |_| !hook.requests().is_empty());
    let request = hook.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let expected = ["checks", "count", "namespace", "rule", "status"].map(str::to_owned);
    assert_eq!(fields(&body), BTreeSet::from(expected));
    assert_eq!((&body["status"], &body["rule"], &body["count"]), (&"firing".into(), &"on-call".into(), &1.into()));
    let shown: Value = serde_json::from_str(&operator.rest("/api/v1/checks/default/web").1).unwrap();
    // What may come and go with the moment, or with what a later part of the product knows.
    let lasting = |value: &Value| {
        fields(value).into_iter().filter(|field| !["nextCheck", "uptime"].contains(&field.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(lasting(&body["checks"][0]), lasting(&shown));
    let signature = head.lines().find_map(|line| line.strip_prefix("x-signature-256: ")).unwrap();
    let hex = signature.strip_prefix("sha256=").unwrap();
    assert!(hex.len() == 64 && hex.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{signature}");
}
