//! What a client has already is not sent again, and what it asks to be compressed is.

use health_model::Reason;
use http::Method;
use rstest::rstest;

use crate::house::{House, bad, good, send};

#[rstest]
#[case("/healthchecks")]
#[case("/healthchecks?namespace=default")]
#[case("/healthchecks/web")]
#[case("/")]
#[case("/api/v1/openapi.json")]
#[tokio::test]
async fn an_unchanged_answer_is_304_without_a_body(#[case] path: &str) {
    let house = House::build().await;
    house.check_that_says("default/web", good("fine")).await;
    let first = house.get(path).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    for known in [tag.clone(), format!("\"other\", {tag}"), "*".to_owned(), tag.replace("W/", "")] {
        let again = house.get_with(path, &[("if-none-match", &known)]).await;
        assert_eq!(again.status, 304, "{known}");
        assert!(again.body.is_empty());
        assert_eq!(again.header("etag"), tag);
    }
    assert_eq!(house.get_with(path, &[("if-none-match", "W/\"other\"")]).await.status, 200);
}

#[tokio::test]
async fn the_tag_of_healthchecks_changes_with_the_content_and_only_with_it() {
    let house = House::build().await;
    house.check_that_says("default/web", good("fine")).await;
    let tag = house.get("/healthchecks").await.header("etag").to_owned();
    let revision = house.board().revision();
    house.until("default/web", |row| row.revision > revision).await;
    assert_eq!(house.get("/healthchecks").await.header("etag"), tag, "probed again, same words");
    house.check_that_says("default/web", bad(Reason::Timeout, "Timeout")).await;
    let failing = house.get("/healthchecks").await.header("etag").to_owned();
    assert_ne!(failing, tag);
    house.declare("default/api").await;
    assert_ne!(house.get("/healthchecks").await.header("etag"), failing, "a check more");
    house.engine.remove(crate::house::parse("default/api")).await;
    assert_eq!(house.get("/healthchecks").await.header("etag"), failing, "the same content as before");
    house.check_that_says("default/web", good("fine")).await;
    assert_eq!(house.get("/healthchecks").await.header("etag"), tag);
}

#[tokio::test]
async fn the_tag_changes_when_a_check_becomes_overdue_by_time_alone() {
    let house = House::build().await;
    house.engine.apply(crate::house::heartbeat("default/job", None)).await;
    house.engine.report(&crate::house::parse("default/job"), good("done")).unwrap();
    let row = house.until("default/job", |row| row.standing.healthy()).await;
    let before = house.get("/healthchecks").await;
    let list = house.get("/api/v1/checks").await;
    house.stall("default/job").await;
    assert!(row.overdue());
    for (path, tag) in [("/healthchecks", before.header("etag")), ("/api/v1/checks", list.header("etag"))] {
        let after = house.get_with(path, &[("if-none-match", tag)]).await;
        assert_eq!(after.status, 200, "{path}");
        assert_ne!(after.header("etag"), tag, "{path}");
    }
}

#[tokio::test]
async fn an_unchanged_list_is_304() {
    let house = House::build().await;
    house.engine.apply(crate::house::heartbeat("default/web", None)).await;
    let first = house.get("/api/v1/checks?q=web").await;
    let again = house.get_with("/api/v1/checks?q=web", &[("if-none-match", first.header("etag"))]).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
}

#[rstest]
#[case("gzip")]
#[case("br")]
#[case("zstd")]
#[case("deflate")]
#[tokio::test]
async fn an_answer_is_compressed_when_asked(#[case] encoding: &str) {
    let house = House::build().await;
    house
        .engine
        .replace_all((0..50).map(|number| crate::house::check(&format!("default/check-{number}"))).collect())
        .await;
    let plain = house.get("/healthchecks").await;
    assert_eq!(plain.header("content-encoding"), "");
    let packed = house.get_with("/healthchecks", &[("accept-encoding", encoding)]).await;
    assert_eq!(packed.header("content-encoding"), encoding);
    assert!(packed.header("vary").contains("accept-encoding"));
    assert_eq!(packed.header("etag"), plain.header("etag"));
    assert!(packed.body.len() * 3 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    let scrape = send(house.metrics, Method::GET, "/metrics", &[("accept-encoding", encoding)]).await;
    assert_eq!(scrape.header("content-encoding"), encoding);
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let house = House::build().await;
    house.check_that_says("default/web", good("fine")).await;
    let get = house.get("/healthchecks").await;
    let head = send(house.rest, Method::HEAD, "/healthchecks", &[]).await;
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty());
    for header in ["etag", "content-type", "content-length", "cache-control"] {
        assert_eq!(head.header(header), get.header(header), "{header}");
    }
}

#[tokio::test]
async fn every_answer_forbids_sniffing_and_unasked_caching_and_allows_no_other_origin() {
    let house = House::build().await;
    for path in ["/", "/healthchecks", "/api/v1/checks", "/nowhere", "/healthchecks/nobody"] {
        let answer = house.get_with(path, &[("origin", "https://elsewhere.example")]).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-cache", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
}
