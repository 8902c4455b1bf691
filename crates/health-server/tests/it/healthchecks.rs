//! `/healthchecks` beyond the contract's own sentences: odd names, odd words, many checks, staleness, live edits.

use std::collections::HashMap;

use health_model::{CheckId, Reason, SpecProblem, Standing};
use serde_json::{Value, json};

use crate::house::{House, bad, check, good, heartbeat, parse};

#[tokio::test]
async fn odd_names_and_words_come_through_unharmed() {
    let house = House::build().await;
    let words = "503 \"Größe\" \\ \u{1F980} <b>\u{2028}\ttab";
    house.check_that_says("default/ünï \"code\" {}%2F", bad(Reason::UnexpectedStatus, words)).await;
    let answer = house.get("/healthchecks").await.json();
    assert_eq!(answer["ünï \"code\" {}%2F"]["response"], words);
    let one = house.get("/healthchecks/%C3%BCn%C3%AF%20%22code%22%20%7B%7D%252F").await.json();
    assert_eq!(one["name"], "ünï \"code\" {}%2F");
}

#[tokio::test]
async fn the_body_put_together_from_what_changed_is_the_body_written_afresh() {
    let house = House::build().await;
    let names: Vec<String> = (0..40).map(|number| format!("{}/check-{number:02}", ["a", "b"][number % 2])).collect();
    house.engine.replace_all(names.iter().map(|name| check(name)).collect()).await;
    for (round, name) in names.iter().enumerate() {
        house.check_that_says(name, good(&format!("words of round {round}"))).await;
        let incremental = house.get("/healthchecks").await;
        let expected: HashMap<String, Value> = house
            .board()
            .rows()
            .iter()
            .map(|row| {
                let entry = json!({"name": row.id().name(), "healthy": row.standing.healthy(),
                    "response": row.standing.response, "state": row.standing.state});
                (row.id().name().to_owned(), entry)
            })
            .collect();
        assert_eq!(incremental.json(), json!(expected), "round {round}");
    }
    house.engine.remove(parse("a/check-00")).await;
    assert_eq!(house.get("/healthchecks").await.json().as_object().unwrap().len(), 39);
}

#[tokio::test]
async fn a_check_edited_into_another_age_changes_keys_with_its_twin() {
    let house = House::build().await;
    house.engine.replace_all(vec![check("a/web"), check("b/web")]).await;
    let owner = |answer: &Value, key: &str| answer[key].is_object();
    assert!(owner(&house.get("/healthchecks").await.json(), "b/web"));
    let mut older = check("b/web");
    older.meta.created = Some("2020-01-01T00:00:00Z".parse().unwrap());
    house.engine.apply(older).await;
    let answer = house.get("/healthchecks").await.json();
    assert!(owner(&answer, "a/web") && !owner(&answer, "b/web"), "{answer}");
}

#[tokio::test]
async fn an_overdue_check_is_not_healthy_and_says_that_it_is_stale() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/job", None)).await;
    house.engine.report(&parse("default/job"), good("done")).unwrap();
    house.until("default/job", |row| row.standing.healthy()).await;
    house.stall("default/job").await;
    let entry = house.get("/healthchecks/job").await.json();
    assert_eq!(entry["healthy"], false);
    let response = entry["response"].as_str().unwrap();
    assert!(
        response.starts_with("Stale: not probed since 20") && response.ends_with("; last word: done"),
        "{response}"
    );
    assert_eq!(house.get("/healthchecks").await.json()["job"], entry);
    let view = house.get("/api/v1/checks/default/job").await.json();
    assert_eq!((&view["stale"], &view["healthy"], &view["response"]), (&json!(true), &json!(true), &json!("done")));
}

#[tokio::test]
async fn a_check_restored_from_before_a_restart_keeps_its_word_and_is_stale() {
    let mut standing = Standing::pending();
    let spec = check("default/web").spec.unwrap();
    standing.observe(&spec, 1, good("fine").into(), "2025-01-01T00:00:00Z".parse().unwrap());
    let house = House::remembering(HashMap::from([(CheckId::new("default", "web"), standing)])).await;
    house.declare("default/web").await;
    let expected = json!({"name": "web", "healthy": true, "response": "fine", "state": "Active"});
    assert_eq!(house.get("/healthchecks/web").await.json(), expected);
    assert_eq!(house.get("/api/v1/checks/default/web").await.json()["stale"], true);
}

#[tokio::test]
async fn an_invalid_check_is_shown_errored_with_field_and_remedy() {
    let house = House::build().await;
    let mut invalid = check("default/web");
    let message = "spec.http.url \"htp://x\": write http:// or https://";
    invalid.spec = Err(SpecProblem {
        reason: Reason::InvalidConfiguration,
        message: message.to_owned(),
        target: Some("htp://x".to_owned()),
        kind: None,
        interval: None,
    });
    house.engine.apply(invalid).await;
    let expected = json!({"name": "web", "healthy": false, "response": message, "state": "Errored"});
    assert_eq!(house.get("/healthchecks/web").await.json(), expected);
    let view = house.get("/api/v1/checks/default/web").await.json();
    assert_eq!((&view["reason"], &view["target"]), (&json!("InvalidConfiguration"), &json!("htp://x")));
}

#[tokio::test]
async fn ten_thousand_checks_are_all_answered() {
    let house = House::build().await;
    house.engine.replace_all((0..10_000).map(|number| heartbeat(&format!("ns/check-{number}"), None)).collect()).await;
    let answer = house.get("/healthchecks").await.json();
    assert_eq!(answer.as_object().unwrap().len(), 10_000);
    assert_eq!(house.get("/api/v1/checks?limit=10000").await.json()["items"].as_array().unwrap().len(), 10_000);
}

#[tokio::test]
async fn a_script_that_adds_parameters_of_its_own_is_still_answered() {
    let house = House::build().await;
    house.declare("default/web").await;
    assert_eq!(house.get("/healthchecks?_=1700000000").await.json()["web"]["response"], "Pending");
}
