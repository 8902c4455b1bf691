//! The Helm chart and what is generated from it, as files: rendered by the real Helm without any cluster.
//! Must not install anything: `chart_in_a_cluster` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use health_testkit::control_plane::program;

use crate::project;

const CHART: &str = "charts/health-check-operator";

pub(crate) fn chart() -> PathBuf {
    project::root().join(CHART)
}

/// What a program printed on both outputs, and whether it ended well.
fn run(command: &mut Command) -> (bool, String) {
    let output = command.current_dir(project::root()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn helm(arguments: &[&str]) -> (bool, String) {
    run(Command::new(program("helm").unwrap()).args(arguments))
}

/// The chart rendered with `--set` of each of the values.
fn rendered(values: &[&str]) -> (bool, String) {
    let mut arguments = vec!["template", "checks", CHART, "--namespace", "somewhere"];
    for value in values {
        arguments.extend(["--set", value]);
    }
    helm(&arguments)
}

fn promtool(arguments: &[&str]) -> (bool, String) {
    let path = Path::new("/usr/bin/promtool");
    assert!(path.is_file(), "promtool is missing: `apt-get install prometheus`");
    run(Command::new(path).args(arguments))
}

#[test]
fn the_chart_passes_helms_strict_lint_with_every_set_of_values() {
    for values in project::files(&chart().join("ci"), "yaml") {
        if !values.to_string_lossy().ends_with("-values.yaml") {
            continue;
        }
        let (well, said) = helm(&["lint", "--strict", CHART, "--values", &values.display().to_string()]);
        assert!(well, "{}: {said}", project::relative(&values));
    }
}

#[test]
fn what_is_generated_from_the_chart_is_committed() {
    let fresh = tempfile::tempdir().unwrap();
    let (well, said) = run(Command::new("ci/render").arg(fresh.path()));
    assert!(well, "{said}");

    let mut generated = project::files(&fresh.path().join(CHART), "yaml");
    generated.push(fresh.path().join("deploy/install.yaml"));
    let mut stale = Vec::new();
    for path in &generated {
        let name = path.strip_prefix(fresh.path()).unwrap();
        let committed = fs::read_to_string(project::root().join(name)).unwrap_or_default();
        if committed != fs::read_to_string(path).unwrap() {
            stale.push(name.display().to_string());
        }
    }
    assert!(generated.len() > 4, "ci/render wrote only {generated:?}");
    assert!(stale.is_empty(), "not what the chart renders now: {}; run ci/render", stale.join(", "));
}

#[test]
fn nothing_is_rendered_that_no_set_of_values_still_asks_for() {
    for path in project::files(&chart().join("rendered"), "yaml") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let values = chart().join(format!("ci/{name}-values.yaml"));
        assert!(values.is_file(), "{}: nobody renders this any more", project::relative(&path));
    }
}

#[test]
fn values_that_make_no_sense_are_refused_with_their_name() {
    let cases = [
        ("controllerManager.replica=1", "replica"),
        ("controllerManager.replicas=2", "tell everybody twice"),
        ("controllerManager.replicas=many", "replicas"),
        ("controllerManager.manager.image.digest=latest", "digest"),
        ("controllerManager.manager.image.imagePullPolicy=Sometimes", "imagePullPolicy"),
        ("restService.type=Ingress", "restService"),
        ("restService.ports[0].port=70000", "restService"),
        ("watchNamespaces[0]=Shop", "watchNamespaces"),
        ("watchNamespaces=shop", "watchNamespaces"),
        ("serviceMonitor.interval=soon", "serviceMonitor"),
        ("crds.instal=false", "instal"),
        ("icmp.netRaw=perhaps", "netRaw"),
        ("allowTargets[0]=a b", "allowTargets"),
        ("extraManifests[0]=1", "extraManifests"),
        ("podDisruptionBudget.maxUnavailable=some", "maxUnavailable"),
        ("terminationGracePeriodSeconds=0", "terminationGracePeriodSeconds"),
        ("unheardOf=1", "unheardOf"),
    ];
    for (value, named) in cases {
        let (well, said) = rendered(&[value]);
        assert!(!well, "{value} was accepted");
        assert!(said.contains(named), "{value}: the message should name {named}: {said}");
    }
}

#[test]
fn the_proxy_that_needs_a_cluster_role_is_refused_in_namespaced_mode() {
    let (well, said) = rendered(&["watchNamespaces={shop}", "controllerManager.kubeRbacProxy.enabled=true"]);
    assert!(!well && said.contains("needs a ClusterRole"), "{said}");
}

#[test]
fn an_install_without_values_brings_nothing_that_needs_another_operator() {
    let (well, said) = rendered(&[]);
    assert!(well, "{said}");
    let optional = [
        "ServiceMonitor",
        "PodMonitor",
        "PrometheusRule",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ConfigMap",
        "kube-rbac-proxy",
    ];
    for kind in optional {
        assert!(
            !said.contains(&format!("kind: {kind}\n")) && !said.contains(&format!("name: {kind}\n")),
            "{kind} is on by default"
        );
    }
}

#[test]
fn services_are_named_after_the_release() {
    let (_, said) = rendered(&["fullnameOverride=something-else"]);
    for service in ["name: checks-rest-service\n", "name: checks-metrics-service\n"] {
        assert!(said.contains(service), "{service} is missing: {said}");
    }
}

#[test]
fn an_image_can_be_named_by_its_content() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let value = format!("controllerManager.manager.image.digest={digest}");
    let (_, said) = rendered(&[&value, "controllerManager.manager.image.repository=registry.example.org/hco"]);
    assert!(said.contains(&format!("image: registry.example.org/hco@{digest}\n")), "{said}");
}

#[test]
fn no_capability_is_added_unless_it_was_asked_for() {
    let (_, plain) = rendered(&[]);
    assert!(!plain.contains("NET_RAW") && !plain.contains("add:"), "{plain}");

    let (_, asked) = rendered(&["icmp.netRaw=true"]);
    assert!(asked.contains("add:\n              - NET_RAW\n              drop:\n              - ALL\n"), "{asked}");
}

#[test]
fn the_namespaced_mode_has_no_cluster_role_at_all() {
    let text = fs::read_to_string(chart().join("rendered/namespaced.yaml")).unwrap();
    assert!(!text.contains("ClusterRole"), "a ClusterRole or its binding is in rendered/namespaced.yaml");
    assert!(text.contains("- --namespaces=shop,warehouse\n"));
}

#[test]
fn the_charts_app_version_is_the_workspaces() {
    let workspace = fs::read_to_string(project::root().join("Cargo.toml")).unwrap();
    let version = workspace.lines().find_map(|line| line.strip_prefix("version = ")).unwrap();
    let chart = fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    assert!(chart.contains(&format!("\nappVersion: {version}\n")), "Chart.yaml: appVersion must be {version}");
}

#[test]
fn every_value_is_described_by_the_schema_and_by_the_documentation() {
    let values = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let schema = fs::read_to_string(chart().join("values.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let documentation = fs::read_to_string(project::root().join("docs/helm.md")).unwrap();
    let names = values.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    let mut missing = Vec::new();
    for name in names.map(|line| line.split(':').next().unwrap()) {
        if schema["properties"].get(name).is_none() {
            missing.push(format!("{name}: values.schema.json does not know it"));
        }
        if !documentation.contains(&format!("`{name}")) {
            missing.push(format!("{name}: docs/helm.md does not tell of it"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn prometheus_understands_the_alerts_and_they_fire_when_they_should() {
    let rules = format!("{CHART}/files/prometheus-rules.yaml");
    let (well, said) = promtool(&["check", "rules", &rules]);
    assert!(well && !said.contains("no rules found"), "{said}");

    let (well, said) = promtool(&["test", "rules", &format!("{CHART}/ci/prometheus-rules-test.yaml")]);
    assert!(well, "{said}");
}

#[test]
fn alerts_and_dashboard_ask_only_for_metrics_that_are_documented() {
    let pages = project::files(&project::root().join("docs"), "md");
    let documentation: String = pages.iter().map(|page| fs::read_to_string(page).unwrap()).collect();
    let mut unknown = Vec::new();
    for file in ["files/prometheus-rules.yaml", "files/dashboard.json"] {
        let text = fs::read_to_string(chart().join(file)).unwrap();
        let names = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("healthcheck_"));
        for name in names {
            let family = name.trim_end_matches("_bucket").trim_end_matches("_count").trim_end_matches("_sum");
            if !documentation.contains(&format!("`{family}")) {
                unknown.push(format!("{file}: {name} is on no page of docs/"));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn the_dashboard_is_whole() {
    let text = fs::read_to_string(chart().join("files/dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut numbers: Vec<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), panels.len(), "two panels have the same id");
    for panel in panels {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "a panel has no title");
        let targets = panel["targets"].as_array().unwrap();
        assert!(targets.iter().all(|target| target["expr"].is_string()), "{} asks nothing", panel["title"]);
        let right = panel["gridPos"]["x"].as_i64().unwrap() + panel["gridPos"]["w"].as_i64().unwrap();
        assert!(right <= 24, "{} stands outside the page", panel["title"]);
    }
}

#[test]
fn the_operator_understands_every_flag_that_the_chart_hands_it() {
    for path in project::files(&chart().join("rendered"), "yaml") {
        let text = fs::read_to_string(&path).unwrap();
        let container =
            text.split("- name: manager\n").nth(1).unwrap().split("- name: kube-rbac-proxy\n").next().unwrap();
        let flags =
            container.split("args:\n").nth(1).unwrap().lines().map_while(|line| line.trim_start().strip_prefix("- "));
        let flags: Vec<&str> = flags.map(|flag| flag.trim_matches(['\'', '"'])).collect();
        assert!(flags.len() >= 2, "{}: no flags were found", project::relative(&path));

        // What comes before --help is read and judged; then the help is printed and nothing is started.
        let (well, said) = run(Command::new(crate::image::binary()).args(&flags).arg("--help"));
        assert!(well, "{}: {flags:?}: {said}", project::relative(&path));
    }
}
