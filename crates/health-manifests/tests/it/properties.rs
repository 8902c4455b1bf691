//! Whatever the bytes: the parser answers, and what it has read it reads again.

use std::{fs, path::PathBuf, sync::LazyLock};

use health_manifests::{FolderMaterials, Manifest, from_object, parse_documents};
use proptest::prelude::*;

static ACCEPTED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/accepted");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
});

fn swallow(text: &str) {
    let parsed = parse_documents(text, "a.yaml");
    let lines = u32::try_from(text.lines().count()).unwrap();
    for problem in &parsed.problems {
        assert!(problem.line.is_none_or(|line| (1..=lines.max(1)).contains(&line)), "{problem}");
        assert!(!problem.to_string().contains('\n'), "{problem}");
    }
    for manifest in parsed.manifests {
        match manifest {
            Manifest::HealthCheck(check) => drop(check.resolve(&FolderMaterials::default())),
            Manifest::NotificationRule(rule) => drop(rule.resolve(&FolderMaterials::default())),
            Manifest::Material(_) | Manifest::Ignored(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_answered(text in any::<String>()) {
        swallow(&text);
    }

    #[test]
    fn arbitrary_yaml_like_text_is_answered(text in "([-a-z:{}\\[\\]\"'&*!|>%#,0-9 \t\n]|---\n|kind: HealthCheck\n|spec:\n  ){0,200}") {
        swallow(&text);
    }

    #[test]
    fn a_mutated_manifest_is_answered(
        pick in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        length in 0_usize..12,
        inserted in "[ -~\n]{0,12}",
    ) {
        let text = pick.get(ACCEPTED.as_slice());
        let bytes: Vec<char> = text.chars().collect();
        let start = cut.index(bytes.len());
        let end = (start + length).min(bytes.len());
        let mutated: String =
            bytes[..start].iter().copied().chain(inserted.chars()).chain(bytes[end..].iter().copied()).collect();
        swallow(&mutated);
    }

    #[test]
    fn a_manifest_with_a_value_replaced_is_answered_alike_from_file_and_cluster(
        pick in any::<prop::sample::Index>(),
        replaced in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[ -~]{0,20}".prop_map(Into::into),
            Just(serde_json::json!([])),
            Just(serde_json::json!({"value": 1})),
        ],
    ) {
        let mut object: serde_json::Value = serde_saphyr::from_str(pick.get(ACCEPTED.as_slice()).as_str()).unwrap();
        let mut pointers = Vec::new();
        collect_pointers(&object["spec"], "/spec", &mut pointers);
        let pointer = replaced.get(&pointers).clone();
        *object.pointer_mut(&pointer).unwrap() = value;
        let cluster: Vec<String> = from_object(&object).problems.iter().map(|problem| problem.sentence()).collect();
        let file: Vec<String> =
            parse_documents(&object.to_string(), "a").problems.iter().map(|problem| problem.sentence()).collect();
        prop_assert_eq!(cluster, file);
    }
}

fn collect_pointers(value: &serde_json::Value, at: &str, pointers: &mut Vec<String>) {
    pointers.push(at.to_owned());
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                collect_pointers(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), pointers);
            }
        }
        serde_json::Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                collect_pointers(value, &format!("{at}/{index}"), pointers);
            }
        }
        _ => {}
    }
}

#[test]
fn an_accepted_manifest_means_the_same_from_file_and_cluster() {
    for text in ACCEPTED.iter() {
        let object: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let definition = |manifests: &[Manifest]| match manifests {
            [Manifest::HealthCheck(check)] => format!("{:?}", check.resolve(&FolderMaterials::default())),
            [Manifest::NotificationRule(rule)] => format!("{:?}", rule.resolve(&FolderMaterials::default())),
            other => panic!("{other:?}"),
        };
        let (file, cluster) = (parse_documents(text, "a.yaml"), from_object(&object));
        assert_eq!(definition(&file.manifests), definition(&cluster.manifests), "{text}");
    }
}
