//! What several texts hold together: one definition per name, references read from among them, and all that is wrong.
//!
//! Pure: the folder, `validate` and `probe` read files in their own ways and meet here.

use std::{collections::BTreeMap, sync::Arc};

use health_manifests::{
    FolderMaterials, HealthCheckManifest, IgnoredObject, Manifest, NotificationRuleManifest, ParsedText, Place,
    Problem, refuse_cycles,
};
use health_model::{CheckDefinition, CheckId, ObjectId, Reason, RuleDefinition, SpecProblem};

/// What several texts hold together.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    /// Every check that names itself, understood or not, ordered by name; of twins only the first.
    pub(crate) checks: Vec<CheckDefinition>,
    /// Every rule, likewise.
    pub(crate) rules: Vec<RuleDefinition>,
    /// What is wrong: documents, and what only shows when they are seen together.
    pub(crate) problems: Vec<Problem>,
    /// References that nothing here answers.
    pub(crate) missing: Vec<Problem>,
    /// Checks that `dependsOn` or a rule names and nobody declares: most likely typing errors, but no reason to refuse.
    pub(crate) undeclared: Vec<Problem>,
    /// Objects of other kinds.
    pub(crate) ignored: Vec<IgnoredObject>,
    /// Secrets and ConfigMaps.
    pub(crate) materials: usize,
}

/// Puts together what the texts hold, in their order.
pub(crate) fn collect<'a>(texts: impl Iterator<Item = &'a ParsedText>) -> Collection {
    let mut gathered = Gathered::default();
    for text in texts {
        gathered.problems.extend(text.problems.iter().cloned());
        text.manifests.iter().for_each(|manifest| gathered.take(manifest));
    }
    gathered.resolve()
}

#[derive(Default)]
struct Gathered<'a> {
    checks: BTreeMap<CheckId, &'a HealthCheckManifest>,
    rules: BTreeMap<ObjectId, &'a NotificationRuleManifest>,
    materials: FolderMaterials,
    materials_at: BTreeMap<String, &'a Place>,
    material_count: usize,
    problems: Vec<Problem>,
    ignored: Vec<IgnoredObject>,
}

impl<'a> Gathered<'a> {
    fn take(&mut self, manifest: &'a Manifest) {
        match manifest {
            Manifest::HealthCheck(check) => {
                let first = *self.checks.entry(check.meta.id.clone()).or_insert(check);
                self.note_twin(&format!("HealthCheck {}", check.meta.id), check.place(), first.place());
            }
            Manifest::NotificationRule(rule) => {
                let first = *self.rules.entry(rule.id.clone()).or_insert(rule);
                self.note_twin(&format!("NotificationRule {}", rule.id), rule.place(), first.place());
            }
            Manifest::Material(material) => {
                let object = format!("{} {}", material.kind.as_str(), material.id);
                self.materials.add(material);
                self.material_count += 1;
                let first = *self.materials_at.entry(object.clone()).or_insert(&material.place);
                self.note_twin(&object, &material.place, first);
            }
            Manifest::Ignored(object) => self.ignored.push(object.clone()),
        }
    }

    fn note_twin(&mut self, object: &str, this: &Place, first: &Place) {
        if this != first {
            let message = format!("is declared already in {}:{}", first.source, first.line);
            let remedy = "this one is passed over: rename it, remove it, or give it another namespace";
            self.problems
                .push(Problem { field: Some("metadata.name".to_owned()), ..problem(this, object, message, remedy) });
        }
    }

    fn resolve(self) -> Collection {
        let Self { checks: manifests, rules, materials, materials_at: _, material_count, mut problems, ignored } = self;
        let mut checks: Vec<_> = manifests.values().map(|manifest| manifest.resolve(&materials)).collect();
        let mut missing: Vec<Problem> = manifests
            .values()
            .zip(&checks)
            .filter_map(|(manifest, check)| {
                unanswered(manifest.place(), &format!("HealthCheck {}", check.meta.id), check.spec.as_ref().err()?)
            })
            .collect();
        let mut undeclared = Vec::new();
        for (manifest, check) in manifests.values().zip(&checks) {
            let object = format!("HealthCheck {}", check.meta.id);
            let names = check.spec.iter().flat_map(|spec| &spec.depends_on);
            let named = Named { place: manifest.place(), object: &object, field: "spec.dependsOn" };
            undeclared.extend(named.undeclared(names, check.meta.id.namespace(), &manifests));
        }
        for id in refuse_cycles(&mut checks) {
            let wrong = checks.iter().find(|check| check.meta.id == id).and_then(|check| check.spec.as_ref().err());
            let place = manifests.get(&id).map(|manifest| manifest.place());
            problems.extend(wrong.zip(place).map(|(wrong, place)| circle(place, &id, wrong)));
        }
        let rules: Vec<(&Place, RuleDefinition)> =
            rules.into_values().map(|manifest| (manifest.place(), manifest.resolve(&materials))).collect();
        missing.extend(rules.iter().filter_map(|(place, rule)| {
            unanswered(place, &format!("NotificationRule {}", rule.id), rule.spec.as_ref().err()?)
        }));
        for (place, rule) in &rules {
            let object = format!("NotificationRule {}", rule.id);
            let names = rule.spec.iter().flat_map(|spec| &spec.checks);
            let named = Named { place, object: &object, field: "spec.checks" };
            undeclared.extend(named.undeclared(names, rule.id.namespace(), &manifests));
        }
        let rules = rules.into_iter().map(|(_, rule)| rule).collect();
        Collection { checks, rules, problems, missing, undeclared, ignored, materials: material_count }
    }
}

/// Where checks are named.
struct Named<'a> {
    place: &'a Place,
    object: &'a str,
    field: &'a str,
}

impl Named<'_> {
    /// A problem for each name that no check of the namespace has.
    fn undeclared<'n>(
        &self,
        names: impl Iterator<Item = &'n Arc<str>>,
        namespace: &str,
        declared: &BTreeMap<CheckId, &HealthCheckManifest>,
    ) -> Vec<Problem> {
        let Self { place, object, field } = self;
        let unknown = names.enumerate().filter(|(_, name)| !declared.contains_key(&CheckId::new(namespace, &***name)));
        unknown
            .map(|(index, name)| Problem {
                field: Some(format!("{field}[{index}]")),
                value: Some(name.to_string()),
                ..problem(
                    place,
                    object,
                    format!("no check of namespace {namespace} has this name"),
                    "is it spelt right?",
                )
            })
            .collect()
    }
}

fn problem(place: &Place, object: &str, message: String, remedy: &str) -> Problem {
    Problem {
        source: place.source.to_string(),
        line: (place.line > 0).then_some(place.line),
        object: Some(object.to_owned()),
        field: None,
        value: None,
        message,
        remedy: remedy.to_owned(),
    }
}

fn unanswered(place: &Place, object: &str, wrong: &SpecProblem) -> Option<Problem> {
    let remedy = "add it in the same namespace";
    (wrong.reason == Reason::CredentialsUnavailable).then(|| problem(place, object, wrong.message.clone(), remedy))
}

/// The sentence already says field and remedy; here they get their own places.
fn circle(place: &Place, id: &CheckId, wrong: &SpecProblem) -> Problem {
    let said = wrong.message.strip_prefix("spec.dependsOn: ").unwrap_or(&wrong.message);
    let (message, remedy) = said.split_once("; ").unwrap_or((said, "remove one of its links"));
    let object = format!("HealthCheck {id}");
    Problem { field: Some("spec.dependsOn".to_owned()), ..problem(place, &object, message.to_owned(), remedy) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use health_manifests::parse_documents;

    fn check(name: &str, more: &str) -> String {
        format!(
            "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {{name: {name}}}\n\
             spec:\n  testInterval: 60\n  tcp: {{host: localhost, port: 1}}\n{more}---\n"
        )
    }

    fn all_of(files: &[(&str, String)]) -> Collection {
        let texts: Vec<ParsedText> = files.iter().map(|(source, text)| parse_documents(text, source)).collect();
        collect(texts.iter())
    }

    #[test]
    fn of_twins_the_first_holds_and_the_second_is_told_where_it_is() {
        let twins = all_of(&[("a.yaml", check("web", "")), ("b.yaml", check("web", "  suspend: true\n"))]);
        assert_eq!(twins.checks.len(), 1);
        assert!(!twins.checks[0].spec.as_ref().unwrap().suspend);
        let problem = twins.problems[0].to_string();
        let wanted = "b.yaml:1: HealthCheck default/web: metadata.name: is declared already in a.yaml:1; this one is";
        assert!(problem.starts_with(wanted), "{problem}");
    }

    #[test]
    fn a_name_of_a_check_that_nobody_declares_is_told() {
        let rule = "apiVersion: check.cloudders.com/v1alpha1\nkind: NotificationRule\nmetadata: {name: r}\n\
            spec: {checks: [web, wbe], webhook: {url: 'http://localhost/'}}\n";
        let all = all_of(&[
            ("a.yaml", check("web", "  dependsOn: [router]\n")),
            ("b.yaml", check("router", "").replace("{name: router}", "{name: router, namespace: other}")),
            ("r.yaml", rule.to_owned()),
        ]);
        let told: Vec<String> = all.undeclared.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "a.yaml:1: HealthCheck default/web: spec.dependsOn[0]: no check of namespace default has this name; is it \
                 spelt right? (value: router)",
                "r.yaml:1: NotificationRule default/r: spec.checks[1]: no check of namespace default has this name; is it \
                 spelt right? (value: wbe)",
            ]
        );
        assert!(all.problems.is_empty() && all.checks.iter().all(|check| check.spec.is_ok()));
    }

    #[test]
    fn of_secrets_with_one_name_the_first_holds_and_the_second_is_told_where_it_is() {
        let secret = |value: &str| {
            format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{k: {value}}}\n---\n")
        };
        let twins = all_of(&[("a.yaml", secret("one") + &secret("one")), ("b.yaml", secret("two"))]);
        let told: Vec<String> = twins.problems.iter().map(ToString::to_string).collect();
        assert_eq!(twins.materials, 3);
        for (problem, place) in told.iter().zip(["a.yaml:6", "b.yaml:1"]) {
            let wanted =
                format!("{place}: Secret default/s: metadata.name: is declared already in a.yaml:1; this one is");
            assert!(problem.starts_with(&wanted), "{problem}");
        }
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn a_circle_of_dependencies_is_refused_with_each_of_its_files() {
        let circle = all_of(&[
            ("a.yaml", check("a", "  dependsOn: [b]\n")),
            ("b.yaml", check("b", "  dependsOn: [a]\n")),
            ("c.yaml", check("c", "  dependsOn: [a]\n")),
        ]);
        let refused: Vec<bool> = circle.checks.iter().map(|check| check.spec.is_err()).collect();
        assert_eq!(refused, [true, true, false]);
        let sources: Vec<_> = circle.problems.iter().map(|problem| problem.source.as_str()).collect();
        assert_eq!(sources, ["a.yaml", "b.yaml"]);
        assert_eq!(circle.problems[0].field.as_deref(), Some("spec.dependsOn"));
    }

    #[test]
    fn a_secret_of_another_file_answers_in_the_same_namespace_only() {
        let wants = check("web", "").replace(
            "  tcp: {host: localhost, port: 1}\n",
            "  http:\n    url: http://localhost\n    bearerToken: {valueFrom: {secretKeyRef: {name: s, key: k}}}\n",
        );
        let secret = |namespace: &str| {
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: {namespace}}}\nstringData: {{k: v}}\n"
            )
        };
        let here = all_of(&[("a.yaml", wants.clone()), ("s.yaml", secret("default"))]);
        assert!(here.checks[0].spec.is_ok() && here.missing.is_empty());
        let elsewhere = all_of(&[("a.yaml", wants), ("s.yaml", secret("other"))]);
        assert_eq!(elsewhere.checks[0].spec.as_ref().unwrap_err().reason, Reason::CredentialsUnavailable);
        assert!(elsewhere.missing[0].to_string().starts_with("a.yaml:1: HealthCheck default/web: "));
    }
}
