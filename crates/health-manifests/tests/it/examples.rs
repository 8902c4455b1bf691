//! Every example is understood, its Secrets included, and there is one for every probe and every channel.

use std::{collections::BTreeSet, fs, path::Path};

use health_manifests::{FolderMaterials, Manifest, parse_documents};

#[test]
fn every_example_is_understood_and_every_kind_has_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let (mut probes, mut channels) = (BTreeSet::new(), BTreeSet::new());
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let parsed = parse_documents(&fs::read_to_string(&file).unwrap(), file.to_str().unwrap());
        assert_eq!(parsed.problems, []);
        let material = |manifest: &Manifest| match manifest {
            Manifest::Material(material) => Some(material.clone()),
            _ => None,
        };
        let materials: FolderMaterials = parsed.manifests.iter().filter_map(material).collect();
        for manifest in &parsed.manifests {
            match manifest {
                Manifest::HealthCheck(check) => {
                    probes.insert(check.resolve(&materials).spec.unwrap().probe.kind().as_str());
                }
                Manifest::NotificationRule(rule) => {
                    channels.extend(rule.resolve(&materials).spec.unwrap().channels.iter().map(|c| c.kind().as_str()));
                }
                Manifest::Material(_) => {}
                Manifest::Ignored(object) => panic!("{object:?}"),
            }
        }
    }
    assert_eq!(
        probes.into_iter().collect::<Vec<_>>(),
        ["dns", "grpc", "heartbeat", "http", "icmp", "tcp", "udp", "websocket"]
    );
    assert_eq!(
        channels.into_iter().collect::<Vec<_>>(),
        [
            "alertmanager",
            "discord",
            "email",
            "googleChat",
            "matrix",
            "ntfy",
            "opsgenie",
            "pagerduty",
            "slack",
            "teams",
            "telegram",
            "webhook"
        ]
    );
}
