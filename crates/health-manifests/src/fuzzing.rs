//! The door through which fuzzers, and the test that replays their corpus, send what a user might write.
//!
//! Compiled for tests and under `cfg(fuzzing)` only. It panics when a promise is broken: every problem is one line that
//! names its source, whatever was understood can be resolved, and nothing of a Secret that stands in the same file is
//! shown, however broken the text around it is.

use std::fmt::Debug;

use crate::{FolderMaterials, Manifest, parse_documents};

/// What the Secrets before and after the text hold; the text can refer to it.
const SECRET: &str = "correct-horse-battery";

/// Reads a text as a file of a folder is read, between two Secrets, and resolves all that was understood.
pub fn manifest(text: &str) {
    // A fuzzer reads the comparisons of what it runs; what a text says outside of a Secret may be shown.
    if text.contains(SECRET) {
        return;
    }
    let secret = |name| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{k: {SECRET}, url: \"http://{SECRET}/\"}}\n"
        )
    };
    let file = format!("{}---\n{text}\n---\n{}", secret("s"), secret("t"));
    let parsed = parse_documents(&file, "fuzz.yaml");
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
        keeps_the_secret(&line);
    }
    for manifest in &parsed.manifests {
        keeps_the_secret(manifest);
        match manifest {
            Manifest::HealthCheck(check) => {
                assert!(!check.meta.id.name().is_empty(), "a check without a name");
                let resolved = check.resolve(&materials);
                keeps_the_secret(&resolved);
                if let Err(problem) = resolved.spec {
                    assert!(!problem.message.contains('\n'), "more than one line: {:?}", problem.message);
                }
            }
            Manifest::NotificationRule(rule) => {
                let resolved = rule.resolve(&materials);
                keeps_the_secret(&resolved);
                if let Err(problem) = resolved.spec {
                    assert!(!problem.message.contains('\n'), "more than one line: {:?}", problem.message);
                }
            }
            Manifest::Material(_) | Manifest::Ignored(_) => {}
        }
    }
}

fn keeps_the_secret(shown: &impl Debug) {
    let shown = format!("{shown:?}");
    assert!(!shown.contains(SECRET), "a secret is shown: {shown}");
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
