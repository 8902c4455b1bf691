//! Files that are generated from the types and committed: a difference is a test that fails. `BLESS=1` writes them.

use std::{env, fs, path::Path};

fn is_current(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if env::var_os("BLESS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, generated).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
    assert!(
        committed == generated,
        "{path} is not what the types say (first difference at line {differs:?}): run BLESS=1 cargo test -p \
         health-manifests generated_files"
    );
}

#[test]
fn the_committed_crds_are_what_the_types_say() {
    is_current("deploy/crds.yaml", &health_manifests::crds());
}

#[test]
fn the_committed_field_references_are_what_the_types_say() {
    is_current("docs/checks.md", &crate::reference::page("HealthCheck"));
    is_current("docs/rules.md", &crate::reference::page("NotificationRule"));
}
