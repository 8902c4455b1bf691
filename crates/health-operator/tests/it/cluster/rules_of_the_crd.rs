//! What the API server itself refuses at `kubectl apply`, and in which words: the same as the operator's own.

use std::{fs, path::PathBuf};

use super::shared;

fn fixtures(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../health-manifests/tests/fixtures").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() > 10, "{} holds too few manifests", folder.display());
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn every_accepted_manifest_is_taken() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("accepted").await.unwrap();
    for (path, text) in fixtures("accepted") {
        let applied = cluster.plane.apply(&namespace, &text).await.unwrap();
        assert!(applied.success, "{}: {}", path.display(), applied.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rejected_manifest_is_refused_unless_only_the_operator_can_see_what_is_wrong() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("rejected").await.unwrap();
    let mut wrong = Vec::new();
    for (path, text) in fixtures("rejected") {
        let file = path.to_string_lossy();
        let applied = cluster.plane.kubectl(&["apply", "-n", &namespace, "-f", &file]).await.unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match said_by_the_api_server(&text) {
            None if applied.success => {}
            None => wrong.push(format!("{name} should be taken: {}", applied.stderr)),
            Some(_) if applied.success => wrong.push(format!("{name} was taken")),
            Some(words) if applied.stderr.contains(&words) => {}
            Some(words) => wrong.push(format!("{name} lacks {words:?}: {}", applied.stderr)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the API server must say of a fixture; nothing where only the operator can see the mistake.
fn said_by_the_api_server(text: &str) -> Option<String> {
    let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    if line("# only-operator: true").is_some() {
        return None;
    }
    if let Some(words) = line("# cluster: ") {
        return Some(words.to_owned());
    }
    let expected = line("# expect: ").expect("a fixture says what is expected");
    let (_field, rest) = expected.split_once(": ").unwrap();
    Some(rest.split(" (value: ").next().unwrap().to_owned())
}
