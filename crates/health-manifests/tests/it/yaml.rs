//! Files as people write them: several documents, broken ones among them, lists, bombs.

use std::time::Duration;

use health_manifests::{FolderMaterials, KeyValues, Manifest, ParsedText, from_object, parse_documents};
use health_model::{HttpAuth, Probe, Reason};
use serde_json::json;

fn check(name: &str) -> String {
    format!(
        "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata:\n  name: {name}\nspec:\n  testInterval: 60\n  tcp: {{host: localhost, port: 80}}\n"
    )
}

fn names(parsed: &ParsedText) -> Vec<String> {
    let name = |manifest: &Manifest| match manifest {
        Manifest::HealthCheck(check) => check.meta.id.to_string(),
        Manifest::NotificationRule(rule) => rule.id.to_string(),
        Manifest::Material(material) => material.id.to_string(),
        Manifest::Ignored(object) => format!("{} {}", object.kind, object.name),
    };
    parsed.manifests.iter().map(name).collect()
}

fn only_problem(parsed: &ParsedText) -> String {
    let [problem] = parsed.problems.as_slice() else { panic!("one problem, not {:?}", parsed.problems) };
    problem.to_string()
}

#[test]
fn a_broken_document_costs_only_itself() {
    let text = format!("{}---\nkind: [HealthCheck\nmetadata:\n---\n{}", check("first"), check("second"));
    let parsed = parse_documents(&text, "a.yaml");
    assert_eq!(names(&parsed), ["default/first", "default/second"]);
    let problem = only_problem(&parsed);
    assert!(problem.starts_with("a.yaml:1") && problem.contains("is no valid YAML"), "{problem}");
    assert_eq!(parsed.illegible, 1);
}

#[test]
fn empty_documents_comments_directives_and_a_byte_order_mark_are_nothing() {
    let text = format!("\u{feff}# hello\n---\n---\n# nothing here\n%YAML 1.2\n---\n{}...\n---\n", check("web"));
    let parsed = parse_documents(&text, "a.yaml");
    assert_eq!(parsed.problems, []);
    assert_eq!(names(&parsed), ["default/web"]);
}

#[test]
fn windows_line_ends_are_line_ends() {
    let text = format!("{}---\n{}", check("first"), check("second")).replace('\n', "\r\n");
    assert_eq!(names(&parse_documents(&text, "a.yaml")), ["default/first", "default/second"]);
}

#[test]
fn a_marker_inside_an_indented_block_is_text() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  doc: |\n    ---\n    kind: x\n";
    assert_eq!(names(&parse_documents(text, "a.yaml")), ["default/a"]);
}

#[test]
fn a_list_is_opened() {
    let items: Vec<String> =
        ["one", "two"].iter().map(|name| check(name).replace('\n', "\n  ").trim_end().to_owned()).collect();
    let text = format!("apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n", items[0], items[1]);
    let parsed = parse_documents(&text, "a.yaml");
    assert_eq!(parsed.problems, []);
    assert_eq!(names(&parsed), ["default/one", "default/two"]);
}

#[test]
fn kinds_of_others_are_ignored_and_named() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec: {anything: goes}\n";
    let parsed = parse_documents(text, "a.yaml");
    assert_eq!(parsed.problems, []);
    assert_eq!(names(&parsed), ["Deployment shop"]);
    let other = "apiVersion: monitoring.example.org/v1\nkind: HealthCheck\nmetadata: {name: shop}\n";
    assert_eq!(names(&parse_documents(other, "a.yaml")), ["HealthCheck shop"]);
}

#[test]
fn a_wrong_version_of_our_group_is_a_problem_and_still_an_errored_check() {
    let parsed = parse_documents(&check("web").replace("v1alpha1", "v1"), "a.yaml");
    assert_eq!(
        only_problem(&parsed),
        "a.yaml:1: HealthCheck default/web: apiVersion: is not known; write check.cloudders.com/v1alpha1 \
         (value: \"check.cloudders.com/v1\")"
    );
    let [Manifest::HealthCheck(check)] = parsed.manifests.as_slice() else { panic!("{parsed:?}") };
    let refusal = check.resolve(&FolderMaterials::default()).spec.unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidConfiguration);
    assert_eq!(refusal.target.as_deref(), Some("tcp://localhost:80"));
    assert_eq!(refusal.interval, Some(Duration::from_secs(60)));
}

#[test]
fn a_check_without_a_name_is_a_problem_and_no_check() {
    let parsed = parse_documents(&check("Not_A_Name"), "a.yaml");
    assert_eq!(
        only_problem(&parsed),
        "a.yaml:4: metadata.name: is no object name; write lower-case letters, digits, hyphens and dots, at most 253 \
         (value: \"Not_A_Name\")"
    );
    assert!(parsed.manifests.is_empty());
}

#[test]
fn a_misspelt_kind_of_our_group_is_not_passed_over() {
    let parsed = parse_documents(&check("web").replace("kind: HealthCheck", "kind: Healthcheck"), "a.yaml");
    assert_eq!(
        only_problem(&parsed),
        "a.yaml:2: kind: is no known kind; did you mean HealthCheck? (value: \"Healthcheck\")"
    );
}

#[test]
fn a_name_that_yaml_takes_for_a_number_is_told_so() {
    let parsed = parse_documents(&check("123"), "a.yaml");
    assert_eq!(only_problem(&parsed), "a.yaml:4: metadata.name: is a whole number; write text, in quotes");
}

#[test]
fn every_problem_of_a_document_is_said_at_once() {
    let text = check("web").replace("port: 80", "port: 0, hots: a").replace("testInterval: 60", "testInterval: [1]");
    let fields: Vec<_> = parse_documents(&text, "a").problems.into_iter().filter_map(|problem| problem.field).collect();
    assert_eq!(fields, ["spec.testInterval", "spec.tcp.port", "spec.tcp.hots"]);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (last, next) in ["a", "b", "c", "d", "e", "f", "g", "h"].windows(2).map(|pair| (pair[0], pair[1])) {
        let aliases = vec![format!("*{last}"); 9].join(",");
        text.push_str(&format!("{next}: &{next} [{aliases}]\n"));
    }
    let parsed = parse_documents(&text, "a.yaml");
    assert!(only_problem(&parsed).contains("expands too many aliases"), "{:?}", parsed.problems);
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(parse_documents(&text, "a.yaml").problems.len(), 1);
    let json = (0..200).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(parse_documents(&json.to_string(), "a.yaml").problems.len(), 1);
}

#[test]
fn a_huge_text_is_refused_unread() {
    let parsed = parse_documents(&"#".repeat(health_manifests::MAX_TEXT_BYTES + 1), "a.yaml");
    assert!(only_problem(&parsed).contains("is longer than 4 MiB"));
}

#[test]
fn an_alias_within_bounds_is_followed() {
    let text = check("web").replace("testInterval: 60", "testInterval: &t 60\n  timeout: *t");
    assert_eq!(parse_documents(&text, "a.yaml").problems, []);
}

#[test]
fn an_object_of_the_cluster_reads_like_a_file() {
    let object = json!({
        "apiVersion": "check.cloudders.com/v1alpha1",
        "kind": "HealthCheck",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u-1", "generation": 7, "labels": {"team": "a"},
            "creationTimestamp": "2026-01-02T03:04:05Z", "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"testInterval": 60, "tcp": {"host": "localhost", "port": 80, "dialogue": null}},
        "status": {"healthy": true},
    });
    let parsed = from_object(&object);
    assert_eq!(parsed.problems, []);
    let [Manifest::HealthCheck(check)] = parsed.manifests.as_slice() else { panic!("{parsed:?}") };
    let definition = check.resolve(&FolderMaterials::default());
    assert_eq!(definition.meta.id.to_string(), "shop/web");
    assert_eq!(definition.meta.generation, 7);
    assert_eq!(definition.meta.uid.as_deref(), Some("u-1"));
    assert_eq!(definition.meta.created.unwrap().to_string(), "2026-01-02T03:04:05Z");
    assert_eq!(definition.meta.labels["team"], "a");
    assert!(definition.spec.is_ok());
}

fn only_http_auth(text: &str) -> Result<Option<HttpAuth>, health_model::SpecProblem> {
    let parsed = parse_documents(text, "a.yaml");
    assert_eq!(parsed.problems, []);
    let materials: FolderMaterials = parsed
        .manifests
        .iter()
        .filter_map(|manifest| match manifest {
            Manifest::Material(material) => Some(material.clone()),
            _ => None,
        })
        .collect();
    let check = parsed.manifests.iter().find_map(|manifest| match manifest {
        Manifest::HealthCheck(check) => Some(check),
        _ => None,
    });
    let spec = check.unwrap().resolve(&materials).spec?;
    match &spec.probe {
        Probe::Http(http) => Ok(http.auth.clone()),
        other => panic!("{other:?}"),
    }
}

const WITH_TOKEN: &str = "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {name: web}\nspec:\n  testInterval: 60\n  http:\n    url: https://example.org\n    bearerToken: {valueFrom: {secretKeyRef: {name: keys, key: token}}}\n---\n";

#[test]
fn a_secret_of_the_folder_is_read_and_loses_one_final_newline() {
    let plain = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {token: \"abc\\n\\n\"}\n";
    let encoded = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\ndata: {token: YWJjCgo=}\n";
    for secret in [plain, encoded] {
        let auth = only_http_auth(&format!("{WITH_TOKEN}{secret}")).unwrap();
        let Some(HttpAuth::Bearer(token)) = auth else { panic!("{auth:?}") };
        assert_eq!(token.expose(), "abc\n");
    }
}

#[test]
fn a_secret_that_is_not_there_makes_credentials_unavailable() {
    let other_namespace =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: other}\nstringData: {token: a}\n";
    let refusal = only_http_auth(&format!("{WITH_TOKEN}{other_namespace}")).unwrap_err();
    assert_eq!(refusal.reason, Reason::CredentialsUnavailable);
    assert_eq!(refusal.message, "spec.http.bearerToken.valueFrom.secretKeyRef: Secret default/keys does not exist");
    let other_key = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {tokn: a}\n";
    let refusal = only_http_auth(&format!("{WITH_TOKEN}{other_key}")).unwrap_err();
    assert_eq!(
        refusal.message,
        "spec.http.bearerToken.valueFrom.secretKeyRef: Secret default/keys has no key \"token\""
    );
}

#[test]
fn a_manifest_lists_what_it_refers_to() {
    let parsed = parse_documents(WITH_TOKEN, "a.yaml");
    let [Manifest::HealthCheck(check)] = parsed.manifests.as_slice() else { panic!("{parsed:?}") };
    let references: Vec<String> =
        check.references().iter().map(|reference| format!("{} {}", reference.kind.as_str(), reference.id)).collect();
    assert_eq!(references, ["Secret default/keys"]);
}

#[test]
fn user_info_becomes_basic_auth_and_leaves_the_address() {
    let text = WITH_TOKEN
        .replace("https://example.org", "https://me%40x:p%C3%A4ss@example.org")
        .replace("\n    bearerToken: {valueFrom: {secretKeyRef: {name: keys, key: token}}}", "");
    let Some(HttpAuth::Basic(basic)) = only_http_auth(&text).unwrap() else { panic!("no basic auth") };
    assert_eq!((basic.username.expose(), basic.password.expose()), ("me@x", "päss"));
    let parsed = parse_documents(&text, "a.yaml");
    let [Manifest::HealthCheck(check)] = parsed.manifests.as_slice() else { panic!("{parsed:?}") };
    let spec = check.resolve(&FolderMaterials::default()).spec.unwrap();
    assert_eq!(spec.probe.target(), "https://example.org/");
}

#[test]
fn a_config_map_holds_text_and_bytes() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: hello}\nbinaryData: {y: /w==}\n";
    let parsed = parse_documents(text, "a.yaml");
    let [Manifest::Material(material)] = parsed.manifests.as_slice() else { panic!("{parsed:?}") };
    let expected: KeyValues = [("x".to_owned(), b"hello".to_vec()), ("y".to_owned(), vec![0xff])].into();
    assert_eq!(material.contents, expected);
}
