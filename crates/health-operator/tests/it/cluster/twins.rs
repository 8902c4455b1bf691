//! The same name in two namespaces.

use serde_json::json;

use super::shared;
use crate::target::Target;

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_object_keeps_the_bare_key_and_a_newcomer_never_takes_it() {
    let cluster = shared().await;
    // By name the newcomer would come first.
    let newcomer = cluster.plane.namespace("a-newcomer").await.unwrap();
    let oldest = cluster.plane.namespace("z-oldest").await.unwrap();
    let target = Target::answering("200 OK", "");
    let spec = json!({"testInterval": 1, "http": {"url": target.url()}});
    cluster.apply(&oldest, "web", spec.clone()).await;
    let created = cluster.checks(&oldest).get("web").await.unwrap().metadata.creation_timestamp.unwrap().0;
    // Creation times are whole seconds: the newcomer must be of a later one.
    while jiff::Timestamp::now().as_second() <= created.as_second() {
        std::thread::yield_now();
    }
    cluster.apply(&newcomer, "web", spec).await;
    let both = format!("{newcomer},{oldest}");
    for _start in 0..2 {
        let operator = cluster.operator_with(&["--namespaces", &both]);
        let other = format!("{newcomer}/web");
        let all = operator.healthchecks_until("both", |all| all.as_object().unwrap().len() == 2);
        assert!(all.get("web").is_some() && all.get(&other).is_some(), "{all:#}");
        let (status, body) = operator.rest(&format!("/healthchecks?namespace={newcomer}"));
        assert!(status == 200 && body.starts_with("{\"web\":"), "{body}");
        operator.stop();
    }
    cluster.delete(&oldest, "web").await;
    let operator = cluster.operator_with(&["--namespaces", &both]);
    operator.healthchecks_until("the heir", |all| all.get("web").is_some());
    operator.stop();
}
