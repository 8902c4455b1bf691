//! No secret leaves by log, metric, answer or error, whatever is asked for and at any level.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use crate::{
    operator::{Manifests, Operator, program},
    target::Target,
};

/// Every secret begins like this, whichever way it is written down.
const MARK: &str = "pl4nted";
/// The same as base64 begins with this, wherever it may start in a longer text.
const MARK_BASE64: [&str; 3] = ["cGw0bnRlZ", "BsNG50ZW", "wbDRudGVk"];

fn manifests(target: &str, slack: &str) -> Manifests {
    let with_user = target.replace("http://", "http://pl4nted-user:pl4nted-pass@");
    let checks = format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: keys}}
stringData: {{token: pl4nted-token, header: pl4nted-header, webhook: "{slack}pl4nted-webhook", client: pl4nted-client}}
---
apiVersion: check.cloudders.com/v1alpha1
kind: HealthCheck
metadata: {{name: all}}
spec:
  testInterval: 200ms
  http:
    url: "{target}"
    headers:
    - {{name: X-Key, valueFrom: {{secretKeyRef: {{name: keys, key: header}}}}}}
    bearerToken: {{valueFrom: {{secretKeyRef: {{name: keys, key: token}}}}}}
    body: pl4nted-body
---
apiVersion: check.cloudders.com/v1alpha1
kind: HealthCheck
metadata: {{name: user-info}}
spec:
  testInterval: 200ms
  http: {{url: "{with_user}"}}
---
apiVersion: check.cloudders.com/v1alpha1
kind: HealthCheck
metadata: {{name: refused}}
spec:
  testInterval: 200ms
  http: {{url: "https://pl4nted-user:pl4nted-pass@127.0.0.1:1/"}}
---
apiVersion: check.cloudders.com/v1alpha1
kind: HealthCheck
metadata: {{name: invalid}}
spec:
  testInterval: 200ms
  http: {{url: "{with_user}", basicAuth: {{username: {{value: pl4nted-a}}, pasword: {{value: pl4nted-b}}}}}}
---
apiVersion: check.cloudders.com/v1alpha1
kind: NotificationRule
metadata: {{name: on-call}}
spec:
  checks: [all, user-info, refused]
  groupWait: 100ms
  slack:
    webhook: {{secret: [{{name: keys, key: webhook}}]}}
"#
    );
    let broken =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: broken}\nstringData:\n  a: pl4nted-broken\n b: : pl4nted\n";
    Manifests::new().with("checks.yaml", &checks).with("broken.yaml", broken)
}

fn assert_clean(what: &str, text: &str) {
    for mark in std::iter::once(MARK).chain(MARK_BASE64) {
        if let Some(at) = text.find(mark) {
            let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
            panic!("{what} holds a secret: {}", text[from..].lines().next().unwrap());
        }
    }
}

#[test]
fn a_running_operator_says_none_at_trace_level() {
    let target = Target::answering("401 Unauthorized", "");
    let slack = Target::answering("500 Internal Server Error", "no");
    let manifests = manifests(&target.url(), &slack.url());
    let outsider = Target::answering("500 Internal Server Error", "");
    let operator = Operator::start_with(&manifests.path(), |command| {
        let heartbeat = format!("{}pl4nted-heartbeat", outsider.url());
        command.args(["--log-level", "trace", "--heartbeat-url", &heartbeat]).env("RUST_LOG", "trace")
    });
    operator.healthchecks_until("everything to have been used", |all| {
        let asked = all.as_object().unwrap().values().all(|check| check["response"] != "Pending");
        asked && !slack.requests().is_empty() && !outsider.requests().is_empty()
    });
    assert!(slack.requests()[0].contains("pl4nted-webhook"), "the secret is in use");
    for path in ["/healthchecks", "/api/v1/checks", "/api/v1/checks/default/all", "/api/v1/openapi.json"] {
        assert_clean(path, &operator.rest(path).1);
    }
    assert_clean("/metrics", &operator.metrics());
    assert_clean("/readyz", &operator.health("/readyz?verbose").1);
    let log = operator.stop();
    assert!(log.iter().any(|line| line.contains("broken.yaml")), "{log:#?}");
    assert_clean("the log", &log.join("\n"));
}

#[test]
fn probe_and_validate_say_none() {
    let target = Target::answering("401 Unauthorized", "");
    let manifests = manifests(&target.url(), "http://127.0.0.1:1/");
    let folder = manifests.path();
    let folder = folder.to_str().unwrap();
    let with_user = target.url().replace("http://", "http://pl4nted-user:pl4nted-pass@");
    let everything: [&[&str]; 8] = [
        &["validate", folder],
        &["validate", folder, "-o", "json"],
        &["probe", "-f", folder, "--log-level", "trace"],
        &["probe", "-f", folder, "-o", "json"],
        &["probe", &with_user, "--log-level", "trace"],
        &["probe", "https://pl4nted:pl4nted@127.0.0.1:1/"],
        &["probe", "ftp://pl4nted:pl4nted@127.0.0.1:1/"],
        &["--heartbeat-url", "pl4nted", "--manifests", folder, "--rest-bind-address", "1"],
    ];
    for arguments in everything {
        let output = program().args(arguments).output().unwrap();
        let all = [output.stdout, output.stderr].concat();
        assert!(!all.is_empty(), "{arguments:?}");
        assert_clean(&format!("{:?}", &arguments[..1]), &String::from_utf8_lossy(&all));
    }
}

#[test]
fn a_heartbeat_address_that_cannot_be_read_is_not_shown() {
    let manifests = Manifests::new();
    let mut command = program();
    command.arg("--manifests").arg(manifests.path()).env("HEALTH_CHECK_HEARTBEAT_URL", "pl4nted");
    for flag in ["--rest-bind-address", "--metrics-bind-address", "--health-probe-bind-address"] {
        command.args([flag, "127.0.0.1:0"]);
    }
    let output = command.output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("--heartbeat-url: "), "{words}");
    assert_clean("the error", &words);
    let help = program().arg("--help").env("HEALTH_CHECK_HEARTBEAT_URL", "pl4nted").output().unwrap();
    assert_clean("the help", &String::from_utf8(help.stdout).unwrap());
}

/// A mail server that wants credentials, refuses them, and repeats them. It notes how they were sent.
struct MailDesk {
    port: u16,
    sent: Arc<Mutex<Vec<String>>>,
}

impl MailDesk {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&sent);
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| Self::refuse(stream, &notes)));
        Self { port, sent }
    }

    fn refuse(mut stream: TcpStream, notes: &Mutex<Vec<String>>) {
        let _client_gone = stream.write_all(b"220 mail.example.org ESMTP\r\n");
        for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
            let answer = match line.split_once(' ') {
                Some(("EHLO", _)) => "250-mail.example.org\r\n250 AUTH PLAIN\r\n",
                Some(("AUTH", credentials)) => {
                    notes.lock().unwrap().push(credentials.to_owned());
                    "535 5.7.8 pl4nted-user may not log in with pl4nted-password\r\n"
                }
                _ => "221 2.0.0 bye\r\n",
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// A rule with every channel, each with a secret of its own wherever it takes one.
fn every_channel(provider: &str, mail: &MailDesk) -> String {
    let port = mail.port;
    let hook = |name: &str| format!("webhook: {{url: \"{provider}pl4nted-{name}\"}}");
    let value = |name: &str| format!("{{value: pl4nted-{name}}}");
    format!(
        "---\napiVersion: check.cloudders.com/v1alpha1\nkind: NotificationRule\nmetadata: {{name: every-channel}}\n\
         spec:\n  checks: [web]\n  groupWait: 0\n  slack: {{{}}}\n  discord: {{{}}}\n  teams: {{{}}}\n  \
         googleChat: {{{}}}\n  telegram: {{apiUrl: \"{provider}\", botToken: {}, chatId: {}}}\n  \
         pagerduty: {{apiUrl: \"{provider}\", routingKey: {}}}\n  opsgenie: {{apiUrl: \"{provider}\", apiKey: {}}}\n  \
         ntfy: {{url: \"{provider}\", topic: {}, token: {}}}\n  \
         matrix: {{homeserver: \"{provider}\", room: \"!r:example.org\", token: {}}}\n  \
         email: {{to: [ops@example.org], from: health@example.org, smtp: {{host: 127.0.0.1, port: {port}, tls: None, \
         username: {}, password: {}}}}}\n  alertmanager: {{urls: [\"{provider}pl4nted-am\"]}}\n  \
         webhook: {{url: \"{provider}pl4nted-webhook\", headers: [{{name: X-Key, value: pl4nted-key}}], hmacSecret: {}}}\n",
        hook("slack"),
        hook("discord"),
        hook("teams"),
        hook("google-chat"),
        value("telegram"),
        value("chat"),
        value("pagerduty"),
        value("opsgenie"),
        value("topic"),
        value("ntfy"),
        value("matrix"),
        value("user"),
        value("password"),
        value("hmac"),
    )
}

#[test]
fn no_channel_leaves_its_secret_anywhere_at_trace_level() {
    let target = Target::answering("500 Internal Server Error", "");
    let provider = Target::answering("403 Forbidden", "no");
    let mail = MailDesk::open();
    let check = "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {name: web}\n\
                 spec: {testInterval: 200ms, http: {url: \"URL\"}}\n";
    let manifests = Manifests::new()
        .with("all.yaml", &(check.replace("URL", &target.url()) + &every_channel(&provider.url(), &mail)));
    let validated = program().arg("validate").arg(manifests.path()).output().unwrap();
    let said = [validated.stdout, validated.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_clean("validate", &said);
    assert!(validated.status.success(), "{said}");
    let state = tempfile::tempdir().unwrap();
    let operator = Operator::start_with(&manifests.path(), |command| {
        command.args(["--log-level", "trace", "--state-dir"]).arg(state.path()).env("RUST_LOG", "trace")
    });
    let refused =
        |channel: &str| format!(r#"healthcheck_notifications_total{{channel="{channel}",outcome="rejected"}}"#);
    let all = "slack discord teams googleChat telegram pagerduty opsgenie ntfy matrix alertmanager webhook email";
    operator.healthchecks_until("every channel to have been refused", |_| {
        let metrics = operator.metrics();
        all.split(' ').all(|channel| {
            let name = refused(channel);
            metrics.lines().any(|line| line.strip_prefix(&name).is_some_and(|count| count.trim() != "0"))
        })
    });
    let requests = provider.requests().join("\n");
    for secret in
        "slack discord teams google-chat telegram chat pagerduty opsgenie topic ntfy matrix webhook key am".split(' ')
    {
        assert!(requests.contains(&format!("pl4nted-{secret}")), "the secret of {secret} is in use");
    }
    assert!(!mail.sent.lock().unwrap().is_empty(), "the secret of email is in use");
    for path in ["/healthchecks", "/api/v1/checks", "/api/v1/checks/default/web"] {
        assert_clean(path, &operator.rest(path).1);
    }
    assert_clean("/metrics", &operator.metrics());
    let log = operator.stop();
    assert_clean("the log", &log.join("\n"));
    for file in std::fs::read_dir(state.path()).unwrap() {
        let path = file.unwrap().path();
        assert_clean(&path.display().to_string(), &String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
    }
    let mut test = program();
    test.args(["notify-test", "every-channel", "--log-level", "trace", "--manifests"]).arg(manifests.path());
    let output = test.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_clean("notify-test", &String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}
