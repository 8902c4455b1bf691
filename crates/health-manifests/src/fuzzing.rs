//! The door through which fuzzers, and the test that replays their corpus, send what a user might write.
//!
//! Compiled for tests and under `cfg(fuzzing)` only. It panics when a promise is broken: every problem is one line that
//! names its source, and whatever was understood can be resolved.

use crate::{FolderMaterials, Manifest, parse_documents};

/// Reads a text as a file of a folder is read, and resolves all that was understood.
pub fn manifest(text: &str) {
    let parsed = parse_documents(text, "fuzz.yaml");
    let mut materials = FolderMaterials::default();
    for manifest in &parsed.manifests {
        if let Manifest::Material(material) = manifest {
            materials.add(material);
        }
    }
    for problem in &parsed.problems {
        let line = problem.to_string();
        assert!(!line.contains('\n'), "a problem of more than one line: {line:?}");
        assert!(line.contains("fuzz.yaml"), "a problem that does not say where it is: {line}");
    }
    for manifest in &parsed.manifests {
        match manifest {
            Manifest::HealthCheck(check) => {
                assert!(!check.meta.id.name().is_empty(), "a check without a name");
                if let Err(problem) = check.resolve(&materials).spec {
                    assert!(!problem.message.contains('\n'), "more than one line: {:?}", problem.message);
                }
            }
            Manifest::NotificationRule(rule) => {
                if let Err(problem) = rule.resolve(&materials).spec {
                    assert!(!problem.message.contains('\n'), "more than one line: {:?}", problem.message);
                }
            }
            Manifest::Material(_) | Manifest::Ignored(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn nothing_in_the_corpus_breaks_a_promise() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/manifest");
        let mut replayed = 0;
        for entry in fs::read_dir(folder).unwrap() {
            super::manifest(&String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap()));
            replayed += 1;
        }
        assert!(replayed >= 10, "only {replayed} files in fuzz/corpus/manifest");
    }
}
