//! The OpenAPI description that is served, the one that is committed, and the one the code makes are the same.

use std::{fs, path::Path};

use serde_json::Value;

use crate::house::House;

#[test]
fn docs_openapi_json_is_what_the_code_generates() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let generated = health_server::openapi();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/openapi.json is out of date: run UPDATE_GENERATED=1 cargo test -p health-server openapi, and commit it"
    );
}

#[tokio::test]
async fn the_description_is_served_and_names_every_path_of_the_contract() {
    let house = House::build().await;
    let served = house.get("/api/v1/openapi.json").await.json();
    assert_eq!(served, serde_json::from_str::<Value>(&health_server::openapi()).unwrap());
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in [
        "/healthchecks",
        "/healthchecks/{key}",
        "/api/v1/checks",
        "/api/v1/checks/{namespace}/{name}",
        "/api/v1/gate",
        "/api/v1/events",
        "/api/v1/heartbeats/{namespace}/{name}",
        "/api/v1/openapi.json",
    ] {
        assert!(served["paths"][path].is_object(), "{path}");
    }
}

#[tokio::test]
async fn every_field_of_a_check_is_described() {
    let house = House::build().await;
    house.declare("default/web").await;
    let served = house.get("/api/v1/openapi.json").await.json();
    let described = &served["components"]["schemas"]["CheckView"]["properties"];
    let view = house.get("/api/v1/checks/default/web").await.json();
    for field in view.as_object().unwrap().keys() {
        assert!(described[field].is_object(), "{field} is not in {described}");
    }
}

#[tokio::test]
async fn the_index_lists_what_there_is() {
    let house = House::build().await;
    let index = house.get("/").await.json();
    let endpoints = index["endpoints"].as_array().unwrap();
    assert!(endpoints.iter().any(|endpoint| endpoint["path"] == "/healthchecks" && endpoint["method"] == "GET"));
    assert!(endpoints.iter().all(|endpoint| endpoint["answers"].is_string()), "{index}");
}
