//! What a check sends in confidence is in nothing that is shown, even when the server sends it back.

use health_model::{BasicCredentials, HttpAuth, HttpProbe, NamedValue, Outcome, Reason};
use health_testkit::peer::{Peer, read_head};
use rstest::rstest;
use tokio::io::AsyncWriteExt;

use crate::ask::{ask, get, http_spec};

/// Answers with the request itself, as body and as a header.
async fn mirror(filler: usize) -> Peer {
    Peer::start("127.0.0.1", move |mut stream| async move {
        let request = read_head(&mut stream).await;
        let credentials: String = request.lines().skip(1).collect::<Vec<_>>().join(" | ");
        let body = format!("{}{request}", "x".repeat(filler));
        let answer = format!(
            "HTTP/1.1 500 Oops\r\nX-Echo: {credentials}\r\nSet-Cookie: sid=server-secret\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
    .unwrap()
}

fn everything_shown(outcome: &Outcome) -> String {
    format!("{outcome:?}")
}

fn basic() -> HttpAuth {
    HttpAuth::Basic(BasicCredentials { username: "mallory".into(), password: "hunter2&<\"".into() })
}

#[rstest]
#[case::basic(Some(basic()), &[])]
#[case::bearer(Some(HttpAuth::Bearer("tok-7f3a9c".into())), &[])]
#[case::header(None, &[("X-Api-Key", "key-7f3a9c")])]
#[case::own_authorization(None, &[("Authorization", "Token key-7f3a9c")])]
#[tokio::test]
async fn reflected_credentials_are_redacted(#[case] auth: Option<HttpAuth>, #[case] headers: &[(&str, &str)]) {
    // Also where the cut of the evidence falls into the middle of a secret.
    for filler in [0, 3900, 3950, 3960, 3970, 3980, 3990, 4000, 4010, 4020, 4030, 4050, 4090] {
        let peer = mirror(filler).await;
        let headers = headers.iter().map(|(name, value)| NamedValue { name: (*name).into(), value: (*value).into() });
        let probe =
            HttpProbe { auth: auth.clone(), headers: headers.collect(), ..get(&format!("http://{}/", peer.address)) };
        let outcome = ask(http_spec(probe)).await;
        assert_eq!(outcome.reason, Reason::UnexpectedStatus);
        let shown = everything_shown(&outcome);
        for secret in ["mallory", "hunter2", "bWFsbG9yeTpodW50ZXIy", "7f3a9c", "tok-7f", "key-7f", "server-secret"] {
            assert!(!shown.contains(secret), "{secret} after {filler}: {shown}");
        }
        assert!(shown.contains("[redacted]"), "{shown}");
    }
}

#[tokio::test]
async fn a_secret_body_is_redacted_in_every_form_in_which_it_may_come_back() {
    let secret = "p@ss w0rd\"&<é>";
    let forms = [
        "p@ss w0rd\\\"&<é>",
        "p%40ss+w0rd%22%26%3C%C3%A9%3E",
        "p%40ss%20w0rd%22%26%3C%C3%A9%3E",
        "p@ss w0rd&quot;&amp;&lt;é&gt;",
        secret,
    ];
    let body = forms.join("\n");
    let answer = format!("HTTP/1.1 500 Oops\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let peer = Peer::answering(answer).await.unwrap();
    let probe =
        HttpProbe { method: "POST".into(), body: Some(secret.into()), ..get(&format!("http://{}/", peer.address)) };
    let outcome = ask(http_spec(probe)).await;
    let evidence = outcome.evidence.unwrap();
    assert_eq!(evidence.body.as_deref(), Some(["[redacted]"; 5].join("\n").as_str()));
}

#[tokio::test]
async fn a_failure_that_quotes_the_answer_does_not_quote_a_secret() {
    let peer =
        Peer::answering("HTTP/1.1 200 OK\r\nX-Who: Bearer tok-7f3a9c\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let expected = health_model::HeaderExpectation {
        name: "X-Who".into(),
        rule: health_model::HeaderRule::Value("nobody".into()),
    };
    let probe = HttpProbe {
        auth: Some(HttpAuth::Bearer("tok-7f3a9c".into())),
        expected_headers: vec![expected],
        ..get(&format!("http://{}/", peer.address))
    };
    let outcome = ask(http_spec(probe)).await;
    assert_eq!(outcome.reason, Reason::HeaderMismatch);
    assert!(!everything_shown(&outcome).contains("7f3a9c"), "{}", outcome.response);
    assert!(outcome.response.contains("[redacted]"), "{}", outcome.response);
}
