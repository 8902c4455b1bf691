//! No problem, refusal or `Debug` shows a secret, whatever is wrong with the manifest that holds it.

use std::collections::BTreeMap;

use health_manifests::{FolderMaterials, KeyValues, Manifest, MaterialError, Materials, ParsedText, parse_documents};

const SECRET: &str = "hunter2";

fn everything_said(parsed: &ParsedText) -> String {
    let mut said: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
    said.push(format!("{parsed:?}"));
    for manifest in &parsed.manifests {
        match manifest {
            Manifest::HealthCheck(check) => said.push(format!("{:?}", check.resolve(&FolderMaterials::default()))),
            Manifest::NotificationRule(rule) => said.push(format!("{:?}", rule.resolve(&FolderMaterials::default()))),
            Manifest::Material(_) | Manifest::Ignored(_) => {}
        }
    }
    said.join("\n")
}

fn check(spec: &str) -> String {
    format!(
        "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {{name: web}}\nspec:\n  testInterval: 60\n{spec}"
    )
}

fn rule(spec: &str) -> String {
    format!(
        "apiVersion: check.cloudders.com/v1alpha1\nkind: NotificationRule\nmetadata: {{name: tell}}\nspec:\n  checks: [web]\n{spec}"
    )
}

#[test]
fn nothing_said_about_a_manifest_shows_its_secrets() {
    let texts = [
        check("  http: {url: 'https://me:hunter2@example.org'}"),
        check("  http: {url: 'https://me:hunter2@exa mple.org'}"),
        check("  http: {url: 'ftp://me:hunter2@example.org'}"),
        check("  http: {url: 'me:hunter2@example.org'}"),
        check("  url: 'https://me:hunter2@example.org:99999/'"),
        check("  http: {url: 'https://example.org/?token=hunter2', method: 'G T'}"),
        check("  http: {url: 'https://example.org:99999/?token=hunter2'}"),
        check("  http: {url: 'https://example.org', basicAuth: 'me:hunter2'}"),
        check("  http: {url: 'https://example.org', basicAuth: {username: {value: me}, password: hunter2}}"),
        check(
            "  http: {url: 'https://example.org', basicAuth: {username: {value: 'hunter2:a'}, password: {value: b}}}",
        ),
        check("  http: {url: 'https://example.org', bearerToken: hunter2}"),
        check("  http: {url: 'https://example.org', bearerToken: {value: hunter2, vlue: hunter2}}"),
        check("  http: {url: 'https://example.org', bearerTokn: hunter2}"),
        check("  http: {url: 'https://example.org', headers: [{name: A, value: \"hunter2\\n\"}]}"),
        check("  http: {url: 'https://example.org', headers: {Authorization: hunter2}}"),
        check("  http: {url: 'https://example.org', headers: [hunter2]}"),
        check("  http: {url: 'https://example.org', body: [hunter2]}"),
        check("  http: {url: 'https://example.org', proxyUrl: 'socks5://me:hunter2@proxy'}"),
        check("  http: {url: 'https://example.org', proxyUrl: 'http://me:hunter2@proxy'}"),
        check(
            "  http: {url: 'https://example.org', oauth2: {tokenUrl: a, clientId: {value: b}, clientSecret: hunter2}}",
        ),
        check("  tcp: {host: 'me:hunter2@example.org', port: 99}"),
        check("  tcp: {host: example.org, port: 25, dialogue: [{send: 'AUTH hunter2\\q'}]}"),
        check("  websocket: {url: 'wss://me:hunter2@example.org'}"),
        check("  heartbeat: {token: hunter2}"),
        check("  heartbeat: {token: {value: hunter2}}"),
        check("  dns: {name: a, server: 'https://me:hunter2@dns.example.org/'}"),
        rule("  slack: {webhook: {url: 'https://hooks.example.org/hunter2'}}"),
        rule("  slack: {webhook: {url: 'hooks.example.org/hunter2'}}"),
        rule("  slack: {webhook: 'https://hooks.example.org/hunter2'}"),
        rule("  telegram: {botToken: hunter2, chatId: {value: a}}"),
        rule("  ntfy: {topic: hunter2}"),
        rule("  matrix: {homeserver: 'https://a:hunter2@b', room: '!a:b', token: {value: hunter2}}"),
        rule("  alertmanager: {urls: ['http://a:hunter2@b']}"),
        rule("  webhook: {url: 'https://example.org/hunter2', hmacSecret: {value: hunter2}}"),
        rule("  email: {to: [a@b], from: a@b, smtp: {host: m, username: {value: a}, password: hunter2}}"),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {password: hunter2}".to_owned(),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {password: [hunter2]}".to_owned(),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\ndata: {password: 'hunter2!'}".to_owned(),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: hunter2".to_owned(),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData:\n  password: \"hunter2\n  other: [\n"
            .to_owned(),
        "password: hunter2\n  worse: hunter2\n".to_owned(),
        "password: *hunter2\n".to_owned(),
        "{hunter2: hunter2, hunter2: hunter2}\n".to_owned(),
        "password: !hunter2 hunter2\n- hunter2".to_owned(),
        "hunter2".to_owned(),
    ];
    for text in texts {
        let said = everything_said(&parse_documents(&text, "file.yaml"));
        assert!(!said.contains(SECRET), "{text}\n{said}");
    }
}

/// Holds one Secret whose values are all wrong for what they are used as.
struct WrongValues;

impl Materials for WrongValues {
    fn secret(&self, _: &str, name: &str) -> Result<KeyValues, MaterialError> {
        let value = b"hunter2\r\nInjected: hunter2".to_vec();
        match name {
            "keys" => Ok(BTreeMap::from([("key".to_owned(), value)])),
            _ => Err(MaterialError::NotFound),
        }
    }

    fn config_map(&self, namespace: &str, name: &str) -> Result<KeyValues, MaterialError> {
        self.secret(namespace, name)
    }
}

#[test]
fn a_secret_of_the_wrong_form_is_refused_without_being_shown() {
    let reference = "{valueFrom: {secretKeyRef: {name: keys, key: key}}}";
    let spec = format!("  http: {{url: 'https://example.org', headers: [{{name: A, {}]}}", &reference[1..]);
    for text in [
        check(&spec),
        check(&format!("  http: {{url: 'https://example.org', tls: {{ca: {reference}}}}}")),
        rule("  slack: {webhook: {secret: [{name: keys, key: key}]}}"),
    ] {
        let parsed = parse_documents(&text, "file.yaml");
        assert_eq!(parsed.problems, [], "{text}");
        let message = match parsed.manifests.as_slice() {
            [Manifest::HealthCheck(check)] => check.resolve(&WrongValues).spec.unwrap_err().message,
            [Manifest::NotificationRule(rule)] => rule.resolve(&WrongValues).spec.unwrap_err().message,
            other => panic!("{other:?}"),
        };
        assert!(message.starts_with("spec.") && !message.contains(SECRET), "{message}");
    }
}
