//! Both published shapes of a HealthCheck become the same definition.

use std::{sync::Arc, time::Duration};

use health_manifests::{FolderMaterials, HealthCheckManifest, Manifest, parse_documents};
use health_model::{CheckSpec, Probe, SearchMatcher};

const NESTED: &str = r#"
apiVersion: check.cloudders.com/v1alpha1
kind: HealthCheck
metadata: {name: web}
spec:
  testInterval: 60
  http:
    url: "https://example.org"
    searchFor: {string: "ready"}
    sslCheck: {expiration: 10}
"#;

const FLAT: &str = r#"
apiVersion: check.cloudders.com/v1alpha1
kind: HealthCheck
metadata: {name: web}
spec:
  testInterval: 60
  url: "https://example.org"
  searchFor: {string: "ready"}
  sslCheck: {expiration: 10}
"#;

fn only_check(text: &str) -> HealthCheckManifest {
    let parsed = parse_documents(text, "test.yaml");
    assert_eq!(parsed.problems, []);
    match parsed.manifests.as_slice() {
        [Manifest::HealthCheck(check)] => (**check).clone(),
        other => panic!("expected one check, got {other:?}"),
    }
}

fn spec(text: &str) -> Arc<CheckSpec> {
    only_check(text).resolve(&FolderMaterials::default()).spec.unwrap()
}

#[test]
fn nested_and_flat_http_mean_the_same() {
    assert_eq!(spec(NESTED), spec(FLAT));
    let spec = spec(NESTED);
    assert_eq!(spec.interval, Duration::from_secs(60));
    let Probe::Http(http) = &spec.probe else { panic!("no http probe") };
    assert_eq!(http.url.as_str(), "https://example.org/");
    assert_eq!(http.certificate_expiry_days, Some(10));
    assert_eq!(http.search.as_ref().unwrap().matcher, SearchMatcher::Text("ready".to_owned()));
}

#[test]
fn a_tcp_check_takes_an_ipv4_address_and_a_port() {
    let text = NESTED.split("  http:").next().unwrap().to_owned() + "  tcp: {ipv4: \"127.0.0.1\", port: 8080}\n";
    assert_eq!(spec(&text).probe.target(), "tcp://127.0.0.1:8080");
}

#[test]
fn a_problem_names_file_line_field_and_the_nearest_known_name() {
    let text = format!("{FLAT}---\n{}", NESTED.replace("searchFor: {string", "serchFor: {string"));
    let parsed = parse_documents(&text, "dir/checks.yaml");
    let [problem] = parsed.problems.as_slice() else { panic!("{:?}", parsed.problems) };
    assert_eq!(
        problem.to_string(),
        "dir/checks.yaml:19: HealthCheck default/web: spec.http.serchFor: is no known field; did you mean searchFor?"
    );
    assert_eq!(parsed.manifests.len(), 2);
}
