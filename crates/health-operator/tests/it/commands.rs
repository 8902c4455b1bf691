//! `probe`, `validate`, `crds`, `completions` and the help texts.

use std::{
    net::TcpListener,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::{
    operator::{Manifests, http_check, program},
    target::Target,
};

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn probe_of_a_healthy_target_exits_0_and_says_where_the_time_went() {
    let target = Target::answering("200 OK", "ready");
    let output = run(&["probe", &target.url()]);
    let text = said(&output);
    assert_eq!(code(&output), 0, "{text}");
    assert!(text.starts_with("✓ healthy: Succeeded"), "{text}");
    for part in ["dialled", "(IPv4)", "200 OK", "connect", "processing", "█", "of the 10 s allowed"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn probe_of_a_refusing_silent_or_unhappy_target_exits_1() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/", silent.local_addr().unwrap());
    let unhappy = Target::answering("503 Service Unavailable", "out of order").url();
    for (target, word) in
        [("tcp://127.0.0.1:1", "ConnectionRefused"), (&silent, "Timeout"), (&unhappy, "503 Service Unavailable")]
    {
        let output = run(&["probe", target, "--timeout", "300ms"]);
        assert_eq!(code(&output), 1, "{}", said(&output));
        assert!(said(&output).contains(word), "{}", said(&output));
        assert!(said(&output).starts_with("✗ not healthy"), "{}", said(&output));
    }
}

#[test]
fn probe_that_cannot_be_asked_exits_2() {
    let no_secret = http_check("web", "http://127.0.0.1:1/")
        + "    bearerToken: {valueFrom: {secretKeyRef: {name: api, key: token}}}\n";
    let heartbeat = "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {name: job}\n\
                     spec: {testInterval: 60, heartbeat: {}}\n";
    let manifests = Manifests::new()
        .with("no-secret.yaml", &no_secret)
        .with("heartbeat.yaml", heartbeat)
        .with("broken.yaml", "a: [")
        .with("empty.yaml", "");
    for (file, word) in [
        ("no-secret.yaml", "CredentialsUnavailable"),
        ("heartbeat.yaml", "POST /api/v1/heartbeats"),
        ("broken.yaml", "broken.yaml"),
        ("empty.yaml", "holds no HealthCheck"),
        ("nowhere.yaml", "cannot be read"),
    ] {
        let output = run(&["probe", "-f", manifests.path().join(file).to_str().unwrap()]);
        let all = said(&output) + &complained(&output);
        assert_eq!(code(&output), 2, "{file}: {all}");
        assert!(all.contains(word), "{file}: {all}");
    }
    for arguments in [&["probe"][..], &["probe", "example.org"], &["probe", "ftp://a"], &["probe", "--nonsense"]] {
        assert_eq!(code(&run(arguments)), 2, "{arguments:?}");
    }
}

#[test]
fn probe_of_a_file_takes_secrets_from_its_folder_and_answers_in_the_shape_of_rest() {
    let target = Target::answering("200 OK", "ready");
    let check =
        http_check("web", &target.url()) + "    bearerToken: {valueFrom: {secretKeyRef: {name: api, key: token}}}\n";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: api}\nstringData: {token: t0ken}\n";
    let manifests = Manifests::new()
        .with("web.yaml", &(check + &http_check("closed", "http://127.0.0.1:1/")))
        .with("secret.yaml", secret)
        .with("other.yaml", &http_check("other", &target.url()));
    let output = run(&["probe", "-f", manifests.path().join("web.yaml").to_str().unwrap(), "-o", "json"]);
    assert_eq!(code(&output), 1, "{}", complained(&output));
    let answer: Value = serde_json::from_str(&said(&output)).unwrap();
    let items = answer["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{answer:#}");
    assert_eq!((&items[0]["name"], &items[0]["reason"]), (&"closed".into(), &"ConnectionRefused".into()));
    assert_eq!((&items[1]["name"], &items[1]["healthy"]), (&"web".into(), &true.into()));
    assert_eq!((&items[1]["type"], &items[1]["statusCode"]), (&"http".into(), &200.into()));
    assert!(target.requests()[0].contains("Bearer t0ken"), "{:?}", target.requests());
    assert!(!said(&output).contains("t0ken"));
}

#[test]
fn validate_names_file_line_field_and_remedy() {
    let manifests = Manifests::new()
        .with("good.yaml", &http_check("good", "http://localhost/"))
        .with("bad.yaml", &http_check("bad", "http://localhost/").replace("200ms", "never"))
        .with("other.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n")
        .with("typo.yaml", "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthChek\nmetadata: {name: web}\n");
    let folder = manifests.path();
    let output = run(&["validate", folder.to_str().unwrap()]);
    let text = said(&output);
    assert_eq!(code(&output), 1, "{text}");
    let wanted = format!(
        "error: {}/bad.yaml:6: HealthCheck default/bad: spec.testInterval: is no duration of at least 100ms; write",
        folder.display()
    );
    assert!(text.contains(&wanted), "{text}");
    assert!(
        text.contains("typo.yaml:2: kind: is no known kind; did you mean HealthCheck?")
            && text.contains("Deployment web"),
        "{text}"
    );
    assert!(text.ends_with("4 files, 2 checks, 0 rules, 0 Secrets or ConfigMaps: 2 errors, 1 warning\n"), "{text}");

    let output = run(&["validate", folder.join("good.yaml").to_str().unwrap(), "-o", "json"]);
    assert_eq!(code(&output), 0);
    let answer: Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!((&answer["valid"], &answer["checks"]), (&true.into(), &1.into()));
    let output = run(&["validate", folder.to_str().unwrap(), "--output", "json"]);
    let answer: Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!((&answer["errors"][0]["line"], &answer["errors"][0]["field"]), (&6.into(), &"spec.testInterval".into()));
}

#[test]
fn validate_warns_of_references_that_the_files_do_not_hold() {
    let check = http_check("web", "http://localhost/")
        + "    bearerToken: {valueFrom: {secretKeyRef: {name: api, key: token}}}\n";
    let manifests = Manifests::new().with("web.yaml", &check);
    let output = run(&["validate", manifests.path().to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(said(&output).contains("warning: ") && said(&output).contains("api"), "{}", said(&output));
}

#[test]
fn validate_of_nothing_that_can_be_read_exits_1() {
    let output = run(&["validate", "/nowhere/at/all.yaml"]);
    assert_eq!(code(&output), 1);
    assert!(said(&output).contains("error: /nowhere/at/all.yaml: cannot be read"), "{}", said(&output));
    assert_eq!(code(&run(&["validate"])), 2);
}

#[test]
fn validate_of_a_folder_without_manifests_warns_that_it_may_be_the_wrong_one() {
    let manifests = Manifests::new().with("notes.txt", "kind: HealthCheck");
    let folder = manifests.path();
    let output = run(&["validate", folder.to_str().unwrap()]);
    assert_eq!(code(&output), 0);
    let warning = format!("warning: {}: holds no *.yaml and no *.yml; is it the right folder?\n", folder.display());
    assert!(said(&output).starts_with(&warning), "{}", said(&output));
}

#[test]
fn probe_of_nothing_says_both_ways_to_name_a_target() {
    let output = run(&["probe"]);
    assert_eq!(code(&output), 2);
    let words = complained(&output);
    assert!(words.contains("probe [OPTIONS] <TARGET>") && words.contains("probe [OPTIONS] -f <FILE>"), "{words}");
}

#[test]
fn help_shows_the_names_of_variables_and_never_their_values() {
    let output = program().arg("--help").env("HEALTH_CHECK_PROBE_THREADS", "7").output().unwrap();
    let text = said(&output);
    assert!(text.contains("[env: HEALTH_CHECK_PROBE_THREADS]"), "{text}");
    let shown: Vec<&str> = text.lines().filter(|line| line.contains("[env: ") && line.contains('=')).collect();
    assert!(shown.is_empty(), "{shown:?}");
}

#[test]
fn crds_are_printed_as_yaml_that_validate_passes_over() {
    let output = run(&["crds"]);
    assert_eq!(code(&output), 0);
    assert!(said(&output).contains("healthchecks.check.cloudders.com"));
    assert!(said(&output).contains("notificationrules.check.cloudders.com"));
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(said(&output).contains("health-check-operator"), "{shell}");
    }
}

#[test]
fn flags_of_running_do_not_go_before_a_subcommand() {
    let output = run(&["--manifests", ".", "probe", "tcp://127.0.0.1:1"]);
    assert_eq!(code(&output), 2);
    assert!(complained(&output).contains("cannot be used with"), "{}", complained(&output));
}
