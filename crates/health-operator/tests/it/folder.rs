//! A folder followed as it changes.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use crate::{
    operator::{Manifests, Operator, http_check},
    target::Target,
};

fn names(all: &Value) -> Vec<String> {
    all.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn files_that_come_change_and_go_are_followed() {
    let (up, down) = (Target::answering("200 OK", ""), Target::answering("500 Internal Server Error", ""));
    let manifests = Manifests::new().with("a.yaml", &http_check("a", &up.url()));
    let mut operator = Operator::start(&manifests.path());
    operator.wait_for_turn("default/a", true);
    fs::create_dir(manifests.path().join("team")).unwrap();
    manifests.write("team/b.yml", &http_check("b", &up.url()));
    operator.wait_for_turn("default/b", true);
    manifests.write("a.yaml", &http_check("a", &down.url()));
    operator.wait_for_turn("default/a", false);
    fs::remove_file(manifests.path().join("a.yaml")).unwrap();
    operator.healthchecks_until("a to be gone", |all| names(all) == ["b"]);
}

#[test]
fn whoever_asks_before_the_folder_is_read_waits_and_hears_of_every_check() {
    let target = Target::answering("200 OK", "");
    let many: String = (0..300).map(|number| http_check(&format!("c{number}"), &target.url())).collect();
    let manifests = Manifests::new().with("many.yaml", &many);
    let operator = Operator::start(&manifests.path());
    assert_eq!(names(&operator.healthchecks()).len(), 300);
}

#[test]
fn an_edit_touches_only_what_it_changes() {
    let target = Target::answering("200 OK", "");
    let both =
        |more: &str| http_check("kept", &target.url()) + &http_check("edited", &format!("{}{more}", target.url()));
    let manifests = Manifests::new().with("a.yaml", &both(""));
    let mut operator = Operator::start(&manifests.path());
    operator.wait_for_turn("default/kept", true);
    let view = |name: &str| {
        serde_json::from_str::<Value>(&operator.rest(&format!("/api/v1/checks/default/{name}")).1).unwrap()
    };
    let before = view("kept")["lastTransition"].clone();
    manifests.write("a.yaml", &both("new"));
    operator.healthchecks_until("the edit to be asked", |_| {
        target.requests().iter().any(|head| head.contains("GET /new "))
    });
    assert_eq!(view("kept")["lastTransition"], before);
    assert!(before.is_string());
}

#[test]
fn a_mounted_config_map_is_followed_when_it_is_swapped() {
    let (up, down) = (Target::answering("200 OK", ""), Target::answering("500 Internal Server Error", ""));
    let manifests = Manifests::new();
    let version = |name: &str, url: &str| {
        let folder = manifests.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("web.yaml"), http_check("web", url)).unwrap();
        // As the kubelet does it: a new link is put in the place of the old one in a single step.
        symlink(name, manifests.path().join("..data_tmp")).unwrap();
        fs::rename(manifests.path().join("..data_tmp"), manifests.path().join("..data")).unwrap();
    };
    version("..2026_11_22_one", &up.url());
    symlink("..data/web.yaml", manifests.path().join("web.yaml")).unwrap();
    let mut operator = Operator::start(&manifests.path());
    operator.wait_for_turn("default/web", true);
    assert_eq!(names(&operator.healthchecks()), ["web"]);
    version("..2026_11_22_two", &down.url());
    fs::remove_dir_all(manifests.path().join("..2026_11_22_one")).unwrap();
    operator.wait_for_turn("default/web", false);
    assert_eq!(names(&operator.healthchecks()), ["web"]);
}

#[test]
fn a_file_that_is_no_yaml_keeps_the_last_good_version() {
    let target = Target::answering("200 OK", "");
    let good = http_check("web", &target.url());
    let manifests = Manifests::new().with("web.yaml", &good);
    let mut operator = Operator::start(&manifests.path());
    operator.wait_for_turn("default/web", true);
    manifests.write("web.yaml", "spec: [unclosed\n  : : :");
    operator.wait_for("the file to be named", |line| {
        let problem = line["problem"].as_str().unwrap_or_default();
        problem == "web.yaml: is not YAML throughout; 1 object it held before stays in force"
    });
    assert_eq!(operator.healthchecks()["web"]["healthy"], true);
    assert_eq!(operator.metric("healthcheck_manifest_files_kept"), 1.0);
    assert!(operator.metric("healthcheck_manifest_problems") >= 2.0);
    manifests.write("web.yaml", &good.replace("name: web", "name: mended"));
    operator.wait_for_message("manifest problems are solved");
    assert_eq!(names(&operator.healthchecks()), ["mended"]);
    assert_eq!(operator.metric("healthcheck_manifest_problems"), 0.0);
}

#[test]
fn one_bad_document_costs_only_itself() {
    let target = Target::answering("200 OK", "");
    let bad = http_check("bad", &target.url()).replace("testInterval: 200ms", "testInterval: never");
    let manifests = Manifests::new().with("all.yaml", &(http_check("good", &target.url()) + &bad));
    let mut operator = Operator::start(&manifests.path());
    operator.wait_for_turn("default/good", true);
    let bad = &operator.healthchecks()["bad"];
    assert_eq!((&bad["healthy"], &bad["state"]), (&false.into(), &"Errored".into()));
    assert!(bad["response"].as_str().unwrap().contains("spec.testInterval"), "{bad}");
}

#[test]
fn a_folder_that_goes_away_keeps_its_checks_and_is_followed_again_when_it_is_back() {
    let (up, down) = (Target::answering("200 OK", ""), Target::answering("500 Internal Server Error", ""));
    let manifests = Manifests::new();
    let (folder, away) = (manifests.path().join("checks"), manifests.path().join("away"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("web.yaml"), http_check("web", &up.url())).unwrap();
    let mut operator = Operator::start(&folder);
    operator.wait_for_turn("default/web", true);
    fs::rename(&folder, &away).unwrap();
    operator.wait_for_message("the folder cannot be read: what was known stays in force");
    assert_eq!(operator.healthchecks()["web"]["healthy"], true);
    assert_eq!(operator.metric("healthcheck_manifest_folder_readable"), 0.0);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("web.yaml"), http_check("web", &down.url())).unwrap();
    operator.wait_for_message("the folder can be read again");
    operator.wait_for_turn("default/web", false);
    // And changes are noticed in the folder that is there now.
    fs::write(folder.join("web.yaml"), http_check("web", &up.url())).unwrap();
    operator.wait_for_turn("default/web", true);
}

#[test]
fn what_is_wrong_with_the_folder_is_told_by_rest_until_it_is_mended() {
    let target = Target::answering("200 OK", "");
    let manifests = Manifests::new().with("web.yaml", &http_check("web", &target.url())).with("broken.yaml", "kind: [");
    std::os::unix::fs::symlink("nowhere.yaml", manifests.path().join("link.yaml")).unwrap();
    let mut operator = Operator::start(&manifests.path());
    operator.wait_for_turn("default/web", true);
    let told: Value = serde_json::from_str(&operator.rest("/api/v1/problems").1).unwrap();
    let told: Vec<&str> =
        told["items"].as_array().unwrap().iter().map(|item| item["problem"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        [
            "broken.yaml:1: is no valid YAML; mend indentation, quotes or colons at this line or just above it",
            "link.yaml: is a link that leads nowhere; mend or remove it",
        ]
    );
    std::fs::remove_file(manifests.path().join("link.yaml")).unwrap();
    manifests.write("broken.yaml", &http_check("mended", &target.url()));
    operator.wait_for_turn("default/mended", true);
    let told: Value = serde_json::from_str(&operator.rest("/api/v1/problems").1).unwrap();
    assert_eq!(told["total"], 0, "{told:#}");
}

#[test]
fn twins_are_told_once_and_the_first_file_holds() {
    let (up, down) = (Target::answering("200 OK", ""), Target::answering("500 Internal Server Error", ""));
    let manifests =
        Manifests::new().with("a.yaml", &http_check("web", &up.url())).with("b.yaml", &http_check("web", &down.url()));
    let mut operator = Operator::start(&manifests.path());
    operator.wait_for("the twin to be named", |line| {
        let problem = line["problem"].as_str().unwrap_or_default();
        problem.starts_with("b.yaml:2: HealthCheck default/web: metadata.name: is declared already in a.yaml:2")
    });
    operator.wait_for_turn("default/web", true);
    let readings = operator.metric("healthcheck_manifest_readings_total");
    operator.healthchecks_until("two more readings", |_| {
        operator.metric("healthcheck_manifest_readings_total") >= readings + 2.0
    });
    let log = operator.stop();
    assert_eq!(log.iter().filter(|line| line.contains("is declared already")).count(), 1, "{log:#?}");
}

#[test]
fn a_secret_of_the_folder_is_used_and_followed() {
    let target = Target::answering("200 OK", "");
    let secret = |token: &str| {
        format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: api}}\nstringData: {{token: {token}}}\n")
    };
    let check =
        http_check("web", &target.url()) + "    bearerToken: {valueFrom: {secretKeyRef: {name: api, key: token}}}\n";
    let manifests = Manifests::new().with("web.yaml", &check);
    let mut operator = Operator::start(&manifests.path());
    let web = operator.healthchecks_until("the missing Secret to be told", |all| all["web"]["state"] == "Errored");
    assert!(web["web"]["response"].as_str().unwrap().contains("api"), "{web}");
    manifests.write("secret.yaml", &secret("first"));
    operator.wait_for_turn("default/web", true);
    assert!(target.requests().iter().any(|head| head.contains("Bearer first")));
    manifests.write("secret.yaml", &secret("second"));
    operator.healthchecks_until("the new token to be used", |_| {
        target.requests().iter().any(|head| head.contains("Bearer second"))
    });
}
