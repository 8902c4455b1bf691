//! Circles among `dependsOn`.

use std::sync::Arc;

use health_manifests::{dependency_cycles, refuse_cycles};
use health_model::{CheckDefinition, CheckMeta, CheckSpec, HttpProbe, ObjectId, Probe, Reason};

fn definition(name: &str, depends_on: &[&str]) -> CheckDefinition {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let http = HttpProbe::get("https://example.org".parse().unwrap());
    let mut spec = CheckSpec::new(std::time::Duration::from_secs(60), Probe::Http(Box::new(http)));
    spec.depends_on = depends_on.iter().map(|name| Arc::from(*name)).collect();
    let meta = CheckMeta {
        id: ObjectId::new(namespace, name),
        labels: std::collections::BTreeMap::new(),
        created: None,
        generation: 1,
        uid: None,
    };
    CheckDefinition { meta, spec: Ok(Arc::new(spec)) }
}

fn cycles(definitions: &[CheckDefinition]) -> Vec<Vec<String>> {
    let names = |cycle: Vec<ObjectId>| cycle.iter().map(|id| id.to_string()).collect();
    dependency_cycles(definitions).into_iter().map(names).collect()
}

#[test]
fn a_chain_and_a_diamond_are_no_circles() {
    let definitions =
        [definition("a", &["b", "c"]), definition("b", &["d"]), definition("c", &["d"]), definition("d", &["nobody"])];
    assert!(cycles(&definitions).is_empty());
}

#[test]
fn circles_are_found_once_each_and_sorted() {
    let definitions = [
        definition("c", &["a"]),
        definition("b", &["c"]),
        definition("a", &["b"]),
        definition("y", &["x", "a"]),
        definition("x", &["y"]),
        definition("self", &["self"]),
    ];
    assert_eq!(
        cycles(&definitions),
        [vec!["default/a", "default/b", "default/c"], vec!["default/self"], vec!["default/x", "default/y"]]
    );
}

#[test]
fn the_same_names_in_two_namespaces_are_no_circle() {
    assert!(cycles(&[definition("one/a", &["b"]), definition("two/b", &["a"])]).is_empty());
}

#[test]
fn only_the_checks_of_a_circle_are_refused() {
    let mut definitions = [definition("a", &["b"]), definition("b", &["a"]), definition("c", &["a"])];
    assert_eq!(refuse_cycles(&mut definitions).len(), 2);
    let refusal = definitions[0].spec.as_ref().unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidConfiguration);
    assert_eq!(refusal.message, "spec.dependsOn: is part of a circle (a, b); remove one of its links");
    assert!(definitions[2].spec.is_ok());
}

#[test]
fn a_chain_of_a_hundred_thousand_checks_is_walked_without_recursion() {
    let names: Vec<String> = (0..100_000).map(|index| format!("c{index}")).collect();
    let mut definitions: Vec<_> = names.windows(2).map(|pair| definition(&pair[0], &[&pair[1]])).collect();
    definitions.push(definition("c99999", &["c0"]));
    assert_eq!(dependency_cycles(&definitions).first().map(Vec::len), Some(100_000));
}
