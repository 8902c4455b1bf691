//! Under which key each check is published where several namespaces hold the same name.
//!
//! Pure: a function of the definitions alone, so that keys are the same after every restart and on every replica. It must
//! not look at what a probe said.

use std::{cmp::Ordering, collections::BTreeMap};

use health_model::{CheckId, CheckMeta};

/// The namespace that wins between twins of the same age.
const DEFAULT_NAMESPACE: &str = "default";

/// Published keys in order, each with the check it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyTable(BTreeMap<String, CheckId>);

impl KeyTable {
    /// Gives every check its key: the oldest of a name holds the bare name, every other is `namespace/name`.
    pub(crate) fn new<'a>(checks: impl IntoIterator<Item = &'a CheckMeta>) -> Self {
        let mut by_name = BTreeMap::<&str, Vec<&CheckMeta>>::new();
        for meta in checks {
            by_name.entry(meta.id.name()).or_default().push(meta);
        }
        let mut keys = BTreeMap::new();
        for (name, mut twins) in by_name {
            twins.sort_by(|left, right| seniority(left, right));
            for (place, meta) in twins.into_iter().enumerate() {
                let key = if place == 0 { name.to_owned() } else { meta.id.to_string() };
                keys.insert(key, meta.id.clone());
            }
        }
        Self(keys)
    }

    /// The check that holds a key.
    pub(crate) fn get(&self, key: &str) -> Option<&CheckId> {
        self.0.get(key)
    }

    /// All keys, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &CheckId)> {
        self.0.iter().map(|(key, id)| (key.as_str(), id))
    }
}

/// Who comes first between twins: the oldest (one without a creation time comes after all that have one), then
/// namespace `default`, then by namespace.
fn seniority(left: &CheckMeta, right: &CheckMeta) -> Ordering {
    let rank = |meta: &CheckMeta| (meta.created.is_none(), meta.created, meta.id.namespace() != DEFAULT_NAMESPACE);
    rank(left).cmp(&rank(right)).then_with(|| left.id.namespace().cmp(right.id.namespace()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(namespace: &str, name: &str, created: Option<&str>) -> CheckMeta {
        CheckMeta {
            id: CheckId::new(namespace, name),
            labels: BTreeMap::new(),
            created: created.map(|text| text.parse().unwrap()),
            generation: 0,
            uid: None,
        }
    }

    fn keys(checks: &[CheckMeta]) -> Vec<(String, String)> {
        KeyTable::new(checks).iter().map(|(key, id)| (key.to_owned(), id.to_string())).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, id)| ((*key).to_owned(), (*id).to_owned())).collect()
    }

    #[test]
    fn the_oldest_twin_holds_the_bare_key() {
        let checks = [
            meta("default", "web", Some("2024-01-02T00:00:00Z")),
            meta("zoo", "web", Some("2024-01-01T00:00:00Z")),
            meta("a", "web", None),
        ];
        assert_eq!(keys(&checks), pairs(&[("a/web", "a/web"), ("default/web", "default/web"), ("web", "zoo/web")]));
    }

    #[test]
    fn twins_of_one_age_are_ordered_by_default_and_then_by_namespace() {
        let checks = [meta("a", "web", None), meta("default", "web", None), meta("b", "web", None)];
        assert_eq!(keys(&checks), pairs(&[("a/web", "a/web"), ("b/web", "b/web"), ("web", "default/web")]));
        let checks = [meta("b", "web", None), meta("a", "web", None)];
        assert_eq!(keys(&checks), pairs(&[("b/web", "b/web"), ("web", "a/web")]));
    }

    #[test]
    fn the_next_twin_inherits_the_bare_key() {
        let (old, new) = (meta("a", "web", Some("2024-01-01T00:00:00Z")), meta("b", "web", None));
        assert_eq!(KeyTable::new([&old, &new]).get("web"), Some(&old.id));
        assert_eq!(KeyTable::new([&new]).get("web"), Some(&new.id));
    }

    proptest::proptest! {
        #[test]
        fn every_check_has_exactly_one_key_and_the_order_of_arrival_does_not_matter(
            checks in proptest::collection::btree_map(("[ab]{1,2}|default", "[xy]{1,2}"), proptest::option::of(0_i64..4), 0..12),
            turn in 0_usize..12,
        ) {
            let mut metas: Vec<CheckMeta> = checks
                .into_iter()
                .map(|((namespace, name), created)| CheckMeta {
                    created: created.map(|second| jiff::Timestamp::from_second(second).unwrap()),
                    ..meta(&namespace, &name, None)
                })
                .collect();
            let table = KeyTable::new(&metas);
            let mut held: Vec<&CheckId> = table.iter().map(|(_, id)| id).collect();
            held.sort();
            let mut all: Vec<&CheckId> = metas.iter().map(|meta| &meta.id).collect();
            all.sort();
            assert_eq!(held, all);
            for (key, id) in table.iter() {
                assert!(key == id.name() || key == id.to_string());
                assert!(table.get(id.name()).is_some(), "somebody holds the bare name");
            }
            let turn = turn.min(metas.len());
            metas.rotate_left(turn);
            assert_eq!(KeyTable::new(&metas), table);
        }
    }
}
