//! What people write in one word: sets of statuses, label selectors, windows, expressions.

use std::{collections::BTreeMap, time::Duration};

use health_model::{CelExpression, JsonPath, LabelSelector, MaintenanceWindow, Pattern, RecurringWindow, StatusSet};
use jiff::Timestamp;
use proptest::prelude::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_status_set_holds_codes_classes_and_ranges() {
    let set = StatusSet::parse(&["200", "3xx", "400-404"]).unwrap();
    let inside: Vec<u16> = (100..600).filter(|code| set.contains(*code)).collect();
    let expected: Vec<u16> = std::iter::once(200).chain(300..400).chain(400..=404).collect();
    assert_eq!(inside, expected);
    for wrong in ["", "99", "600", "6xx", "0xx", "xx", "204-200", "200-", "-200", "ok", "2xx-3xx"] {
        assert!(StatusSet::parse(&[wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn a_selector_reads_what_kubectl_reads() {
    let web = labels(&[("team", "shop"), ("tier", "front")]);
    for (selector, matches) in [
        ("", true),
        ("team=shop", true),
        ("team==shop,tier=front", true),
        ("team=other", false),
        ("team!=shop", false),
        ("missing!=x", true),
        ("tier in (front, back)", true),
        ("tier notin (front)", false),
        ("missing notin (front)", true),
        ("team", true),
        ("!team", false),
        ("!missing, team in (shop)", true),
    ] {
        assert_eq!(LabelSelector::parse(selector).unwrap().matches(&web), matches, "{selector}");
    }
    for wrong in ["=a", "a in b", "a near (b)", "a b", "in (a)", "!", "a=b,(c)"] {
        assert!(LabelSelector::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_window_opens_by_the_clock_of_its_zone_also_when_that_clock_is_turned() {
    let window = RecurringWindow::new("0 3 * * *", Duration::from_secs(3600), Some("Europe/Zurich")).unwrap();
    let window = MaintenanceWindow::Recurring(window);
    for (moment, open) in [
        ("2026-01-15T01:59:59Z", false),
        ("2026-01-15T02:00:00Z", true),
        ("2026-01-15T02:59:59Z", true),
        ("2026-01-15T03:00:00Z", false),
        ("2026-07-15T01:00:00Z", true),
        ("2026-07-15T02:00:00Z", false),
    ] {
        assert_eq!(window.contains(at(moment)), open, "{moment}");
    }
}

#[test]
fn a_window_is_neither_lost_nor_doubled_where_a_clock_is_turned() {
    let window = RecurringWindow::new("30 2 * * *", Duration::from_secs(1800), Some("Europe/Zurich")).unwrap();
    let window = MaintenanceWindow::Recurring(window);
    let open_from = |noon: &str| -> Vec<String> {
        let quarters = (0..36 * 4).map(|quarter| at(noon) + jiff::SignedDuration::from_mins(15 * quarter));
        let open = quarters.filter(|moment| window.contains(*moment));
        open.map(|moment| moment.strftime("%dT%H:%M").to_string()).collect()
    };
    // There is no half past two on this day: the window opens when the clock jumps to three.
    assert_eq!(open_from("2026-03-28T12:00:00Z"), ["29T01:00", "29T01:15"]);
    // There are two: it opens at the first.
    assert_eq!(open_from("2026-10-24T12:00:00Z"), ["25T00:30", "25T00:45"]);
}

#[test]
fn a_window_once_is_open_from_its_start_until_its_end() {
    let window = MaintenanceWindow::once(at("2026-01-01T00:00:00Z"), at("2026-01-01T01:00:00Z")).unwrap();
    assert!(window.contains(at("2026-01-01T00:00:00Z")) && !window.contains(at("2026-01-01T01:00:00Z")));
    assert!(MaintenanceWindow::once(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")).is_err());
}

#[test]
fn expressions_are_bounded() {
    assert!(Pattern::new(r"(\w{1000}){1000}").is_err());
    assert!(CelExpression::new(&"a + ".repeat(2000)).is_err());
    assert!(JsonPath::new("$.a[?@.b == 1]").is_ok() && JsonPath::new("a.b").is_err());
}

#[test]
fn a_dialogue_pattern_sees_lines_and_a_body_pattern_does_not() {
    assert!(Pattern::multi_line("^250 ").unwrap().is_match(b"250-first\r\n250 last\r\n"));
    assert!(!Pattern::new("^250 ").unwrap().is_match(b"250-first\r\n250 last\r\n"));
}

proptest! {
    #[test]
    fn a_set_that_is_shown_and_read_again_is_the_same(ranges in prop::collection::vec((100_u16..600, 100_u16..600), 1..5)) {
        let texts: Vec<String> = ranges.iter().map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))).collect();
        let set = StatusSet::parse(&texts).unwrap();
        let shown = set.to_string();
        let again = StatusSet::parse(&shown.split(", ").collect::<Vec<_>>()).unwrap();
        prop_assert!((100..600).all(|code| set.contains(code) == again.contains(code)), "{shown}");
    }

    #[test]
    fn any_text_is_a_selector_or_is_not(text in "[a-z=!,() ]{0,40}|.{0,20}") {
        if let Ok(selector) = LabelSelector::parse(&text) {
            let _ = selector.matches(&labels(&[("a", "b")]));
        }
    }
}
