//! `http`: requests, answers and verdicts.

use health_model::Reason;
use health_testkit::peer::Peer;

use crate::ask::{ask, get, http_spec};

#[tokio::test]
async fn a_good_answer_says_its_status_line() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
    let outcome = ask(http_spec(get(&format!("http://{}/", peer.address)))).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "200 OK"));
}
