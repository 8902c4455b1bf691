//! Every fixture is one document: what is accepted becomes a definition, what is rejected says why, word for word.

use std::{collections::BTreeMap, fs, path::PathBuf};

use health_manifests::{KeyValues, Manifest, MaterialError, Materials, ParsedText, parse_documents};
use health_model::{Reason, SpecProblem};

/// Answers every reference with contents that fit.
struct EverySecret;

impl Materials for EverySecret {
    fn secret(&self, _: &str, _: &str) -> Result<KeyValues, MaterialError> {
        let certificate = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
        let texts = ["a", "b", "api", "password", "probe", "token"].map(|key| (key, "s3cret\n"));
        let certificates = ["ca.crt", "tls.crt", "tls.key"].map(|key| (key, certificate));
        let addresses = ["url", "org1", "org2"].map(|key| (key, "https://hooks.example.org/x\n"));
        let all = texts.into_iter().chain(certificates).chain(addresses);
        Ok(all.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).collect())
    }

    fn config_map(&self, namespace: &str, name: &str) -> Result<KeyValues, MaterialError> {
        self.secret(namespace, name)
    }
}

fn fixtures(folder: &str) -> BTreeMap<String, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect()
}

fn verdict(parsed: &ParsedText) -> Result<(), SpecProblem> {
    match parsed.manifests.as_slice() {
        [Manifest::HealthCheck(check)] => check.resolve(&EverySecret).spec.map(drop),
        [Manifest::NotificationRule(rule)] => rule.resolve(&EverySecret).spec.map(drop),
        other => panic!("one document of ours, not {other:?}"),
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn every_accepted_manifest_becomes_a_definition() {
    for (name, text) in fixtures("accepted") {
        let parsed = parse_documents(&text, &name);
        assert_eq!(parsed.problems, [], "{name}");
        assert_eq!(verdict(&parsed), Ok(()), "{name}");
    }
}

#[test]
fn every_rejected_manifest_says_why_word_for_word() {
    let mut wrong = Vec::new();
    for (name, text) in fixtures("rejected") {
        let parsed = parse_documents(&text, &name);
        let said = parsed.problems.first().map(health_manifests::Problem::sentence).unwrap_or_default();
        if header(&text, "expect") != Some(said.as_str()) {
            wrong.push(format!("{name}\n  expected {:?}\n  got      {said:?}", header(&text, "expect")));
            continue;
        }
        let refusal = verdict(&parsed).unwrap_err();
        assert_eq!((refusal.reason, refusal.message), (Reason::InvalidConfiguration, said), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_problem_of_a_rejected_manifest_points_at_a_line_of_it() {
    for (name, text) in fixtures("rejected") {
        for problem in parse_documents(&text, &name).problems {
            let line = problem.line.map(|line| usize::try_from(line).unwrap());
            assert!(line.is_some_and(|line| (1..=text.lines().count()).contains(&line)), "{name}: {problem}");
        }
    }
}
