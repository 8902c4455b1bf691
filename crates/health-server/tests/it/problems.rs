//! What is wrong with the source, as REST tells it.

use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn what_is_wrong_with_the_source_is_told_and_gone_when_it_is_mended() {
    let house = House::build().await;
    let clean = house.get("/api/v1/problems").await;
    assert_eq!((clean.status.as_u16(), clean.json()), (200, json!({"items": [], "total": 0})));
    house.problems.0.lock().unwrap().push("web.yaml:3: is no valid YAML; mend it".to_owned());
    let told = house.get("/api/v1/problems").await;
    assert_eq!(told.json(), json!({"items": [{"problem": "web.yaml:3: is no valid YAML; mend it"}], "total": 1}));
    assert_ne!(told.header("etag"), clean.header("etag"));
    house.problems.0.lock().unwrap().clear();
    assert_eq!(house.get("/api/v1/problems").await.json()["total"], 0);
}

#[tokio::test]
async fn of_very_many_problems_the_first_thousand_are_told_and_the_number_of_all() {
    let house = House::build().await;
    house.problems.0.lock().unwrap().extend((0..1_500).map(|number| format!("{number}.yaml: is no valid YAML")));
    let told = house.get("/api/v1/problems").await.json();
    assert_eq!((told["items"].as_array().unwrap().len(), &told["total"]), (1_000, &json!(1_500)));
}
