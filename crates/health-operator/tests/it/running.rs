//! Starting, answering, stopping.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Output,
    time::Duration,
};

use crate::{
    operator::{Manifests, Operator, http_check, program},
    target::Target,
};

fn failed(output: &Output, code: i32) -> String {
    let words = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words}");
    words
}

#[test]
fn a_folder_with_one_http_check_gives_the_true_answer() {
    let target = Target::answering("200 OK", "ready");
    let manifests = Manifests::new().with("web.yaml", &http_check("web", &target.url()));
    let mut operator = Operator::start(&manifests.path());
    operator.wait_for_turn("default/web", true);
    let web = &operator.healthchecks()["web"];
    assert_eq!(*web, serde_json::json!({"name": "web", "healthy": true, "response": "200 OK", "state": "Active"}));
    target.answer("503 Service Unavailable", "");
    operator.wait_for_turn("default/web", false);
    let web = &operator.healthchecks()["web"];
    assert_eq!((&web["healthy"], &web["state"]), (&false.into(), &"Active".into()));
    assert!(web["response"].as_str().unwrap().starts_with("503 Service Unavailable"), "{web}");
    assert_eq!(operator.metric(r#"healthcheck_status{namespace="default",name="web"}"#), 0.0);
    assert_eq!(operator.health("/readyz").0, 200);
}

#[test]
fn the_caches_of_probes_show_how_full_they_are_and_may_be() {
    let target = Target::answering("200 OK", "");
    let url = target.url().replace("127.0.0.1", "localhost");
    let manifests = Manifests::new().with("web.yaml", &http_check("web", &url));
    let mut operator = Operator::start(&manifests.path());
    operator.wait_for_turn("default/web", true);
    assert_eq!(operator.metric(r#"healthcheck_cache_entries{cache="names"}"#), 1.0);
    assert_eq!(operator.metric(r#"healthcheck_cache_entries_limit{cache="names"}"#), 16384.0);
    assert_eq!(operator.metric(r#"healthcheck_cache_entries{cache="tokens"}"#), 0.0);
    operator.stop();
}

#[test]
fn sigterm_ends_it_in_order_with_exit_code_0() {
    let target = Target::answering("200 OK", "");
    let manifests = Manifests::new().with("web.yaml", &http_check("web", &target.url()));
    for signal in ["TERM", "INT"] {
        let mut operator = Operator::start(&manifests.path());
        operator.wait_for_turn("default/web", true);
        operator.signal(signal);
        let (status, log) = operator.wait();
        assert!(status.success(), "{status}");
        assert!(log.last().unwrap().contains(r#""message":"stopped""#), "{log:?}");
    }
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    // A target that never answers keeps a probe in flight for the whole grace period.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let check = http_check("silent", &url).replace("testInterval: 200ms", "testInterval: 200ms\n  timeout: 10m");
    let manifests = Manifests::new().with("web.yaml", &check);
    let mut operator = Operator::start_with(&manifests.path(), |command| command.args(["--shutdown-grace", "10m"]));
    let (_held, _) = silent.accept().unwrap();
    operator.signal("TERM");
    operator.wait_for_message("stopping");
    operator.signal("TERM");
    let (status, log) = operator.wait();
    assert_eq!(status.code(), Some(130), "{log:?}");
}

#[test]
fn a_taken_port_is_named_with_its_flag_and_exit_code_1() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let manifests = Manifests::new();
    for flag in ["--rest-bind-address", "--metrics-bind-address", "--health-probe-bind-address"] {
        let mut command = program();
        command.arg("--manifests").arg(manifests.path());
        for other in ["--rest-bind-address", "--metrics-bind-address", "--health-probe-bind-address"] {
            command.args([other, if other == flag { &taken } else { "127.0.0.1:0" }]);
        }
        let words = failed(&command.output().unwrap(), 1);
        assert!(words.contains(&format!("cannot listen on {taken} ({flag}): ")), "{words}");
        assert!(words.contains("end the process that holds it, or choose another port"), "{words}");
    }
}

#[test]
fn settings_come_from_the_environment_and_flags_win() {
    let manifests = Manifests::new();
    let operator = Operator::launch({
        let mut command = program();
        command.env("HEALTH_CHECK_MANIFESTS", manifests.path());
        // Not an address at all, but the flag wins.
        command.env("HEALTH_CHECK_REST_BIND_ADDRESS", "127.0.0.1:1");
        command.env("HEALTH_CHECK_LEADER_ELECT", "true");
        command
    });
    assert_eq!(operator.rest("/healthchecks"), (200, "{}".to_owned()));
    operator.stop();
}

#[test]
fn a_bad_value_is_named_with_its_flag_or_variable_and_the_remedy() {
    let words = failed(&program().args(["--rest-bind-address", "8082"]).output().unwrap(), 2);
    assert!(words.contains("'8082' for '--rest-bind-address <ADDRESS>': a colon is missing: write :8082"), "{words}");
    let by_variable = |name: &str, value: &str| failed(&program().env(name, value).output().unwrap(), 2);
    let words = by_variable("HEALTH_CHECK_SHUTDOWN_GRACE", "soon");
    assert!(words.contains("'soon' for HEALTH_CHECK_SHUTDOWN_GRACE (flag --shutdown-grace): write seconds"), "{words}");
    let words = by_variable("HEALTH_CHECK_LOG_LEVEL", "loud");
    assert!(
        words.contains("HEALTH_CHECK_LOG_LEVEL (flag --log-level)") && words.contains("possible values"),
        "{words}"
    );
    let words = by_variable("HEALTH_CHECK_DENY_TARGETS", "10.0.0.0/99");
    assert!(words.contains("HEALTH_CHECK_DENY_TARGETS (flag --deny-targets)"), "{words}");
}

#[test]
fn a_mistyped_variable_is_pointed_out() {
    let manifests = Manifests::new();
    let mut operator = Operator::start_with(&manifests.path(), |command| {
        command.env("HEALTH_CHECK_STATE_DIRR", "/tmp").env("HEALTH_CHECK_OPERATOR_REST_SERVICE_PORT", "8082")
    });
    operator.wait_for_message("following the folder");
    let log = operator.stop();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("looks like a setting")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("HEALTH_CHECK_STATE_DIRR") && warnings[0].contains(r#""meant":"HEALTH_CHECK_STATE_DIR""#)
    );
}

#[test]
fn a_folder_that_is_not_there_is_named_with_its_flag_and_exit_code_1() {
    let mut command = program();
    command.args(["--manifests", "/nowhere/at/all", "--rest-bind-address", "127.0.0.1:0"]);
    command.args(["--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"]);
    let words = failed(&command.output().unwrap(), 1);
    assert!(words.contains("/nowhere/at/all (--manifests) cannot be read: "), "{words}");
}

#[test]
fn the_demo_shows_every_way_a_check_can_stand() {
    let mut command = program();
    command.args(["demo", "--targets-bind-address", "127.0.0.1:0"]);
    let mut operator = Operator::launch(command);
    operator.wait_for_turn("default/changing", true);
    let all = operator.healthchecks_until("every first answer", |all| {
        all.as_object().unwrap().values().all(|check| check["response"] != "Pending")
    });
    let stands = |name: &str| (all[name]["healthy"].clone(), all[name]["state"].clone());
    assert_eq!(stands("healthy"), (true.into(), "Active".into()));
    assert_eq!(stands("failing"), (false.into(), "Active".into()));
    assert_eq!(stands("backing-off"), (false.into(), "CheckBackoff".into()));
    assert_eq!(stands("errored"), (false.into(), "Errored".into()));
    operator.stop();
}

#[test]
fn a_process_that_was_stopped_blames_nobody_and_asks_again() {
    // Accepts, and never answers what it holds: the kernel completes the handshake, so the probe waits for an answer.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = |stream: &mut std::net::TcpStream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let manifests = Manifests::new().with("web.yaml", &http_check("web", &url));
    let mut operator = Operator::start(&manifests.path());
    let (mut first, _) = listener.accept().unwrap();
    answer(&mut first);
    operator.wait_for_turn("default/web", true);
    // This one is in flight while the whole process stands still for longer than its timeout of a second.
    let (_held, _) = listener.accept().unwrap();
    operator.signal("STOP");
    std::thread::sleep(Duration::from_millis(2500));
    operator.signal("CONT");
    operator.healthchecks_until("the pause to be noticed", |checks| {
        checks["web"]["response"].as_str().is_some_and(|response| response.contains("paused"))
    });
    let (mut next, _) = listener.accept().unwrap();
    answer(&mut next);
    operator.healthchecks_until("the next answer", |checks| checks["web"]["response"] == "200 OK");
    assert_eq!(operator.healthchecks()["web"]["healthy"], true);
    assert!(
        operator.metric(r#"healthcheck_failures_total{namespace="default",name="web",reason="ProberFault"}"#) >= 1.0
    );
    // From here on nobody answers: what is in flight at the end does not matter.
    let log = operator.stop();
    assert!(!log.iter().any(|line| line.contains(r#""message":"failing""#)), "nothing has turned: {log:#?}");
}
