//! What a JSONPath may cost at worst, estimated from its text and the size of the document before it is evaluated: the
//! language has no budget of its own, and one thread serves all probes. Nothing is evaluated here.

use health_model::JsonExpectation;
use serde_json::Value;

/// Steps that one path may take at worst.
pub(super) const MOST: u64 = 2_000_000;
/// From so many steps on, a path is evaluated off the threads that probe.
const COSTLY: u64 = 20_000;
/// What it costs to compile a pattern of `match` or `search`, once for each value looked at, in steps.
const PATTERN: u64 = 100;
/// The same, of one that repeats something a counted number of times.
const COUNTED_PATTERN: u64 = 50_000;

/// How large a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// The values in it, however deep.
    values: u64,
    /// How deep they are nested.
    depth: u64,
}

impl Size {
    pub(super) fn of(document: &Value) -> Self {
        let mut size = Self { values: 0, depth: 0 };
        let mut waiting = vec![(document, 1)];
        while let Some((value, depth)) = waiting.pop() {
            size = Self { values: size.values + 1, depth: size.depth.max(depth) };
            match value {
                Value::Array(items) => waiting.extend(items.iter().map(|item| (item, depth + 1))),
                Value::Object(members) => waiting.extend(members.values().map(|member| (member, depth + 1))),
                _ => {}
            }
        }
        size
    }
}

/// The steps that a path may take at worst: it goes over the document once; each further descent (`..`) or filter (`?`)
/// goes over what is below each value, which is at most the depth times all values; each further query from the root
/// (`$`) goes over the whole document for each value.
pub(super) fn at_worst(path: &str, size: Size) -> u64 {
    let times = |sign: &str| u32::try_from(path.matches(sign).count()).unwrap_or(u32::MAX);
    let (passes, roots) = (times("..").saturating_add(times("?")), times("$"));
    let patterns = times("match(").saturating_add(times("search("));
    let below = size.depth.saturating_pow(passes.saturating_sub(1));
    let anew = size.values.saturating_pow(roots.saturating_sub(1));
    let weight = match patterns {
        0 => 1,
        _ if path.contains('{') => COUNTED_PATTERN,
        _ => PATTERN,
    };
    size.values.saturating_mul(below).saturating_mul(anew).saturating_mul(weight)
}

/// Whether looking for these would hold up whoever else is probed.
pub(super) fn are_costly(expectations: &[JsonExpectation], document: &Value) -> bool {
    let size = Size::of(document);
    expectations.iter().any(|expected| at_worst(expected.path.as_str(), size) > COSTLY)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn flat(values: usize) -> Value {
        serde_json::json!({ "items": vec![serde_json::json!({"id": 1}); values / 2] })
    }

    #[rstest]
    #[case::a_member("$.status", 50_000, true)]
    #[case::every_item("$.items[*].id", 50_000, true)]
    #[case::a_filter("$.items[?@.id == 1]", 50_000, true)]
    #[case::a_descent_and_a_filter("$..items[?@.id == 1]", 50_000, true)]
    #[case::a_pattern("$.items[?match(@.id, 'a.*')]", 10_000, true)]
    #[case::a_query_from_the_root_for_each("$.items[?count($..*) > 3]", 2_000, false)]
    #[case::a_costly_pattern_for_each("$.items[?search(@.id, '(a{99}){99}')]", 2_000, false)]
    fn what_people_write_is_within_bounds_and_what_multiplies_is_not(
        #[case] path: &str,
        #[case] values: usize,
        #[case] allowed: bool,
    ) {
        assert_eq!(at_worst(path, Size::of(&flat(values))) <= MOST, allowed);
    }

    #[test]
    fn descents_into_a_deep_document_multiply() {
        let mut deep = Value::from(1);
        for _ in 0..120 {
            deep = Value::Array(vec![deep]);
        }
        let size = Size::of(&deep);
        assert_eq!(size, Size { values: 121, depth: 121 });
        assert!(at_worst("$..*..*", size) <= MOST);
        assert!(at_worst("$..*..*..*..*", size) > MOST);
    }
}
