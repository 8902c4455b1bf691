//! `/healthz` and `/readyz`: what makes the process not ready, what makes it worth a restart, and that it says why.

use health_server::{Condition, ConditionState};
use http::Method;

use crate::house::{Answer, House, bad, heartbeat, send};

async fn ask(house: &House, path: &str) -> Answer {
    send(house.health, Method::GET, path, &[]).await
}

fn source(state: ConditionState) -> Vec<Condition> {
    vec![Condition { name: "source", state }]
}

#[tokio::test]
async fn not_ready_until_the_source_has_been_read_but_alive() {
    let house = House::build().await;
    let waiting = ConditionState::NotReady("waiting for the first list of HealthChecks".to_owned());
    *house.conditions.0.lock().unwrap() = source(waiting);
    let ready = ask(&house, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.text(),
        "[-]source waiting for the first list of HealthChecks\n[+]schedule ok\nreadyz check failed\n"
    );
    let alive = ask(&house, "/healthz").await;
    assert_eq!((alive.status.as_u16(), alive.text()), (200, "ok"));
    *house.conditions.0.lock().unwrap() = source(ConditionState::Ready);
    assert_eq!(ask(&house, "/readyz").await.text(), "ok");
}

#[tokio::test]
async fn verbose_lists_every_part() {
    let house = House::build().await;
    *house.conditions.0.lock().unwrap() = source(ConditionState::Ready);
    let answer = ask(&house, "/readyz?verbose").await;
    assert_eq!(answer.text(), "[+]source ok\n[+]schedule ok\nreadyz check passed\n");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(ask(&house, "/healthz?verbose=1").await.text(), "[+]source ok\n[+]schedule ok\nhealthz check passed\n");
}

#[tokio::test]
async fn a_part_that_is_dead_for_good_asks_for_a_restart() {
    let house = House::build().await;
    *house.conditions.0.lock().unwrap() = source(ConditionState::Dead("the watch task has ended".to_owned()));
    for path in ["/healthz", "/readyz"] {
        let answer = ask(&house, path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.text().starts_with("[-]source the watch task has ended\n"), "{}", answer.text());
    }
}

#[tokio::test]
async fn targets_that_are_down_make_the_process_neither_unready_nor_dead() {
    let house = House::build().await;
    house.check_that_says("default/web", bad(health_model::Reason::Timeout, "Timeout")).await;
    assert_eq!(ask(&house, "/readyz").await.status, 200);
    assert_eq!(ask(&house, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_schedule_that_stands_still_is_not_ready_and_dead_after_a_minute() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/job", None)).await;
    house.stall("default/job").await;
    let ready = ask(&house, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("[-]schedule the engine has not moved for "), "{}", ready.text());
    assert_eq!(ask(&house, "/healthz").await.status, 503);
}

#[tokio::test]
async fn health_has_a_port_of_its_own() {
    let house = House::build().await;
    house.get("/healthz").await.problem(404);
    house.get("/metrics").await.problem(404);
    ask(&house, "/healthchecks").await.problem(404);
    send(house.health, Method::POST, "/healthz", &[]).await.problem(405);
}
