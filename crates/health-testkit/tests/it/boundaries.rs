//! The walls of the house, as ARCHITECTURE.md draws them: who may import whom, and what a room must never see, not even
//! through somebody else. Says each breach in one sentence. Must not know why a crate wants what it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::project;

/// What one crate may import of ours, and what of others' may be nowhere below it.
struct Room {
    name: &'static str,
    may_import: &'static [&'static str],
    must_not_see: &'static [&'static str],
}

const KUBERNETES: [&str; 5] = ["kube", "kube-core", "kube-client", "kube-runtime", "k8s-openapi"];

const ROOMS: [Room; 9] = [
    Room {
        name: "health-model",
        may_import: &[],
        must_not_see: &[
            "tokio",
            "kube",
            "kube-core",
            "k8s-openapi",
            "axum",
            "hyper",
            "http",
            "notify",
            "socket2",
            "mio",
            "tracing",
        ],
    },
    Room {
        name: "health-manifests",
        may_import: &["health-model"],
        must_not_see: &["kube-client", "kube-runtime", "tokio", "hyper", "axum", "socket2", "rustls", "notify"],
    },
    Room {
        name: "health-probes",
        may_import: &["health-model"],
        must_not_see: &["kube", "kube-core", "kube-client", "kube-runtime", "k8s-openapi", "axum", "prometheus-client"],
    },
    Room {
        name: "health-runner",
        may_import: &["health-model"],
        must_not_see: &[
            "kube",
            "kube-core",
            "kube-client",
            "kube-runtime",
            "k8s-openapi",
            "axum",
            "hyper",
            "rustls",
            "prometheus-client",
        ],
    },
    Room {
        name: "health-notifications",
        may_import: &["health-model"],
        must_not_see: &["kube", "kube-core", "kube-client", "kube-runtime", "k8s-openapi", "axum", "hickory-resolver"],
    },
    Room {
        name: "health-server",
        may_import: &["health-model", "health-runner"],
        must_not_see: &[
            "kube",
            "kube-core",
            "kube-client",
            "kube-runtime",
            "k8s-openapi",
            "hickory-resolver",
            "lettre",
        ],
    },
    Room {
        name: "health-operator",
        may_import: &[
            "health-model",
            "health-manifests",
            "health-probes",
            "health-runner",
            "health-notifications",
            "health-server",
        ],
        must_not_see: &["openssl", "native-tls", "reqwest", "ring", "chrono"],
    },
    Room { name: "health-testkit", may_import: &["health-model"], must_not_see: &KUBERNETES },
    // It reads the program from outside, as anybody can.
    Room { name: "bench", may_import: &[], must_not_see: &KUBERNETES },
];

/// Who imports whom of ours: crate → what its manifest names under `[dependencies]` and `[build-dependencies]`.
fn imports_of_ours() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let ours = project::crates();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let imports = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .filter(|name| ours.contains(name))
                .collect();
            (package["name"].as_str().unwrap().to_owned(), imports)
        })
        .collect()
}

/// Everything that is linked into a crate, with only the features that this crate asks for.
fn everything_below(name: &str) -> BTreeSet<String> {
    cargo(&["tree", "--offline", "-p", name, "-e", "normal", "--prefix", "none", "--format", "{p}"])
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(project::root()).output().unwrap();
    assert!(
        output.status.success(),
        "cargo {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Each breach of the rooms' walls in one sentence.
fn breaches(
    rooms: &[Room],
    imports: &BTreeMap<String, BTreeSet<String>>,
    below: impl Fn(&str) -> BTreeSet<String>,
) -> Vec<String> {
    let mut sentences = Vec::new();
    for room in rooms {
        let Some(imported) = imports.get(room.name) else {
            sentences.push(format!("{} has rules here but is no crate of the workspace", room.name));
            continue;
        };
        for import in imported.iter().filter(|import| !room.may_import.contains(&import.as_str())) {
            sentences.push(format!("{} must not depend on {import}", room.name));
        }
        let seen = below(room.name);
        for forbidden in room.must_not_see.iter().filter(|forbidden| seen.contains(**forbidden)) {
            sentences.push(format!(
                "{} must never see {forbidden}: `cargo tree -p {} -i {forbidden}` tells who brings it",
                room.name, room.name
            ));
        }
    }
    for stranger in imports.keys().filter(|name| rooms.iter().all(|room| room.name != name.as_str())) {
        sentences.push(format!("{stranger} has no rules: say in the table what it may import"));
    }
    sentences
}

#[test]
fn every_crate_imports_only_what_the_architecture_allows() {
    let found = breaches(&ROOMS, &imports_of_ours(), everything_below);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_breach_is_said_in_a_sentence() {
    let rooms = [
        Room { name: "health-runner", may_import: &["health-model"], must_not_see: &["kube"] },
        Room { name: "health-gone", may_import: &[], must_not_see: &[] },
    ];
    let imports = BTreeMap::from([
        ("health-runner".to_owned(), BTreeSet::from(["health-model".to_owned(), "health-probes".to_owned()])),
        ("health-new".to_owned(), BTreeSet::new()),
    ]);
    let below = |_: &str| BTreeSet::from(["kube".to_owned()]);

    assert_eq!(
        breaches(&rooms, &imports, below),
        [
            "health-runner must not depend on health-probes",
            "health-runner must never see kube: `cargo tree -p health-runner -i kube` tells who brings it",
            "health-gone has rules here but is no crate of the workspace",
            "health-new has no rules: say in the table what it may import",
        ]
    );
}
