//! Followers of the board miss nothing that still matters, and cost nothing when they do not read.

use std::time::Duration;

use health_model::{Reason, Verdict};

use crate::rig::{MINUTE, Rig, always, bad, check, good, id, in_turn};

#[tokio::test(start_paused = true)]
async fn a_follower_begins_with_every_row_and_then_hears_each_change_once() {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.replace_all(vec![check("a", MINUTE), check("b", MINUTE)]).await;
    let mut follower = rig.board.subscribe();
    let first = follower.next().await;
    assert_eq!(first.iter().map(|change| change.id.name()).collect::<Vec<_>>(), ["a", "b"]);
    let mut turned = Vec::new();
    while turned.len() < 2 {
        for change in follower.next().await {
            assert!(change.row.as_ref().unwrap().standing.healthy());
            turned.extend(change.transitions.into_iter().map(|transition| (change.id.clone(), transition.to)));
        }
    }
    turned.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(turned, [(id("a"), Verdict::Healthy), (id("b"), Verdict::Healthy)]);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_never_reads_holds_one_entry_per_check_with_bounded_alternating_turns() {
    let flapping = (0..400).map(|turn| if turn % 2 == 0 { good() } else { bad(Reason::Timeout) }).collect();
    let rig = Rig::start(in_turn(flapping));
    rig.engine.apply(check("a", Duration::from_secs(1))).await;
    let mut follower = rig.board.subscribe();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let changes = follower.next().await;
    assert_eq!(changes.len(), 1);
    let turns: Vec<_> = changes[0].transitions.iter().map(|transition| transition.to).collect();
    assert!((2..=16).contains(&turns.len()), "{} turns", turns.len());
    assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "they alternate: {turns:?}");
    assert_eq!(turns[0], Verdict::Healthy, "the first is kept");
    assert_eq!(*turns.last().unwrap(), changes[0].row.as_ref().unwrap().standing.verdict, "and so is the last");
}

#[tokio::test(start_paused = true)]
async fn a_follower_learns_that_a_check_is_gone() {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.apply(check("a", MINUTE)).await;
    let mut follower = rig.board.subscribe();
    follower.next().await;
    rig.engine.remove(id("a")).await;
    let changes = follower.next().await;
    assert_eq!(changes.len(), 1);
    assert!(changes[0].row.is_none());
}

#[tokio::test(start_paused = true)]
async fn revisions_grow_with_every_row_and_only_with_rows() {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.apply(check("a", MINUTE)).await;
    let declared = rig.board.definitions_revision();
    let revision = rig.board.revision();
    rig.until_reason("a", Reason::Succeeded).await;
    assert_eq!(rig.board.revision(), revision + 1);
    assert_eq!(rig.row("a").revision, revision + 1);
    assert_eq!(rig.board.definitions_revision(), declared);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.board.revision(), revision + 1);
}

#[tokio::test(start_paused = true)]
async fn rows_come_in_the_order_of_their_names() {
    let rig = Rig::start(always(Reason::Succeeded));
    for name in ["m", "z", "a"] {
        rig.engine.apply(check(name, MINUTE)).await;
    }
    let names: Vec<String> = rig.board.rows().iter().map(|row| row.id().name().to_owned()).collect();
    assert_eq!(names, ["a", "m", "z"]);
}

#[tokio::test(start_paused = true)]
async fn a_view_says_what_the_row_knows() {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    let view = rig.row("a").view();
    assert_eq!((view.name.as_str(), view.healthy, view.stale), ("a", true, false));
    assert_eq!(view.target.as_deref(), Some("tcp://target.example:80"));
    assert!(view.next_check > view.last_checked);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_comes_again_does_not_inherit_unread_turns() {
    let rig = Rig::start(always(Reason::ConnectionRefused));
    let mut follower = rig.board.subscribe();
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::ConnectionRefused).await;
    rig.engine.remove(id("a")).await;
    rig.engine.apply(check("a", MINUTE)).await;
    let changes = follower.next().await;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].row.as_ref().unwrap().standing.reason, Reason::Pending);
    assert!(changes[0].transitions.is_empty());
}
