//! Which checks depend on others, and which are depended on: their word counts even when it says nothing new.

use std::{collections::HashMap, sync::Arc};

use health_model::{CheckDefinition, CheckId};

/// Who depends on whom, counted. Grows with `dependsOn` entries only.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    of_checks: HashMap<CheckId, Vec<CheckId>>,
    dependents: HashMap<CheckId, usize>,
}

impl Dependencies {
    /// Takes in what a check is declared to depend on now; `None`: it is no longer declared.
    pub(super) fn note(&mut self, check: &CheckId, definition: Option<&CheckDefinition>) {
        let spec = definition.and_then(|definition| definition.spec.as_ref().ok());
        let names = spec.map_or(&[][..], |spec| &spec.depends_on[..]);
        if names.is_empty() && !self.of_checks.contains_key(check) {
            return;
        }
        let now: Vec<CheckId> = names.iter().map(|name| CheckId::new(check.namespace(), Arc::clone(name))).collect();
        for root in &now {
            *self.dependents.entry(root.clone()).or_default() += 1;
        }
        let before =
            if now.is_empty() { self.of_checks.remove(check) } else { self.of_checks.insert(check.clone(), now) };
        for root in before.into_iter().flatten() {
            if let Some(count) = self.dependents.get_mut(&root) {
                *count -= 1;
                if *count == 0 {
                    self.dependents.remove(&root);
                }
            }
        }
    }

    /// Whether any check depends on this one, or this one on any: then it also counts when it was last asked.
    pub(super) fn matters(&self, check: &CheckId) -> bool {
        self.dependents.contains_key(check) || self.of_checks.contains_key(check)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use health_model::{CheckMeta, CheckSpec, Host, IcmpProbe, Probe};

    use super::*;

    fn check(name: &str, depends_on: &[&str]) -> CheckDefinition {
        let probe = IcmpProbe { host: Host::parse("127.0.0.1"), count: 1, max_loss_percent: 0, payload_bytes: 56 };
        let mut spec = CheckSpec::new(Duration::from_secs(10), Probe::Icmp(probe));
        spec.depends_on = depends_on.iter().map(|name| Arc::from(*name)).collect();
        let id = CheckId::new("default", name);
        let meta = CheckMeta { id, labels: Default::default(), created: None, generation: 1, uid: None };
        CheckDefinition { meta, spec: Ok(Arc::new(spec)) }
    }

    #[test]
    fn a_check_matters_as_long_as_it_depends_on_another_or_another_on_it() {
        let mut dependencies = Dependencies::default();
        let id = |name: &str| CheckId::new("default", name);
        for (name, on) in [("web", &["db"][..]), ("api", &["db", "dns"]), ("db", &[])] {
            dependencies.note(&id(name), Some(&check(name, on)));
        }
        for name in ["web", "api", "db", "dns"] {
            assert!(dependencies.matters(&id(name)), "{name}");
        }
        assert!(!dependencies.matters(&id("mail")));
        dependencies.note(&id("api"), Some(&check("api", &["dns"])));
        assert!(dependencies.matters(&id("db")), "web still depends on it");
        dependencies.note(&id("web"), None);
        assert!(
            !dependencies.matters(&id("db")) && !dependencies.matters(&id("web")) && dependencies.matters(&id("dns"))
        );
    }
}
