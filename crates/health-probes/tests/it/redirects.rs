//! Redirects: the limit, methods, cookies, other origins, and what may not be followed.

use std::sync::{Arc, Mutex};

use health_model::{BasicCredentials, HttpAuth, HttpProbe, NamedValue, Reason, StatusSet};
use health_probes::{Probes, ProbesSettings, connect::AddressPolicy};
use health_testkit::peer::{Peer, read_head};
use rstest::rstest;
use tokio::io::AsyncWriteExt;

use crate::ask::{ask, ask_with, get, http_spec};

/// A server that answers by path, and remembers what it was asked.
struct Site {
    peer: Peer,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn new(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1", answer).await
    }

    async fn on(bind: &str, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let peer = Peer::start(bind, move |mut stream| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let request = read_head(&mut stream).await;
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                log.lock().unwrap().push(request);
                let _ = stream.write_all(answer(&path).as_bytes()).await;
            }
        })
        .await
        .unwrap();
        Self { peer, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.peer.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn to(status: &str, location: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\nLocation: {location}\r\n{more}Content-Length: 0\r\n\r\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[rstest]
#[case::limit_of_ten(10, 11)]
#[case::limit_of_none(0, 1)]
#[case::limit_of_two(2, 3)]
#[tokio::test]
async fn a_loop_ends_at_the_limit(
    #[case] limit: u32,
    #[case] requests: usize,
    #[values("127.0.0.1", "::1")] bind: &str,
) {
    let site = Site::on(bind, |_| to("302 Found", "/again", "")).await;
    let probe = HttpProbe { max_redirects: limit, ..get(&site.url("/")) };
    let outcome = ask(http_spec(probe)).await;
    assert_eq!(outcome.reason, Reason::TooManyRedirects, "{}", outcome.response);
    assert!(outcome.response.starts_with("302 Found: more than"), "{}", outcome.response);
    assert_eq!(site.asked().len(), requests);
}

#[rstest]
#[case::found("302 Found", "GET", "GET")]
#[case::found_post("302 Found", "POST", "GET")]
#[case::moved_post("301 Moved Permanently", "POST", "GET")]
#[case::found_put("302 Found", "PUT", "PUT")]
#[case::see_other_post("303 See Other", "POST", "GET")]
#[case::see_other_put("303 See Other", "PUT", "GET")]
#[case::see_other_head("303 See Other", "HEAD", "HEAD")]
#[case::temporary_post("307 Temporary Redirect", "POST", "POST")]
#[case::permanent_post("308 Permanent Redirect", "POST", "POST")]
#[tokio::test]
async fn the_method_of_the_next_hop_follows_the_status(
    #[case] status: &'static str,
    #[case] method: &str,
    #[case] next: &str,
    #[values("127.0.0.1", "::1")] bind: &str,
) {
    let site = Site::on(bind, move |path| if path == "/" { to(status, "/next", "") } else { OK.to_owned() }).await;
    let body = (method == "POST").then(|| "x=1".into());
    let probe = HttpProbe { method: method.to_owned(), body, ..get(&site.url("/")) };
    let outcome = ask(http_spec(probe)).await;
    assert_eq!((outcome.reason, outcome.status_code), (Reason::Succeeded, Some(200)), "{}", outcome.response);
    let second = &site.asked()[1];
    assert!(second.starts_with(&format!("{next} /next ")), "{second}");
    assert_eq!(second.contains("content-length: 3"), method == "POST" && next == "POST");
}

#[rstest]
#[case::absolute_path("/b", "/b")]
#[case::relative("c", "/a/c")]
#[case::parent("../d", "/d")]
#[case::query("?e=1", "/a/b?e=1")]
#[case::fragment("/f#part", "/f")]
#[tokio::test]
async fn a_relative_location_is_resolved(
    #[case] location: &'static str,
    #[case] path: &str,
    #[values("127.0.0.1", "::1")] bind: &str,
) {
    let answer = move |path: &str| if path == "/a/b" { to("302 Found", location, "") } else { OK.to_owned() };
    let site = Site::on(bind, answer).await;
    let outcome = ask(http_spec(get(&site.url("/a/b")))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert!(site.asked()[1].starts_with(&format!("GET {path} ")), "{:?}", site.asked());
}

#[tokio::test]
async fn not_followed_is_judged_as_it_is() {
    let site = Site::new(|_| to("301 Moved Permanently", "/b", "")).await;
    let probe = HttpProbe { follow_redirects: false, ..get(&site.url("/")) };
    let outcome = ask(http_spec(probe.clone())).await;
    assert_eq!(outcome.reason, Reason::UnexpectedStatus);
    assert!(outcome.response.starts_with("301 Moved Permanently"), "{}", outcome.response);
    let probe = HttpProbe { expected_status: StatusSet::parse(&["301"]).unwrap(), ..probe };
    assert_eq!(ask(http_spec(probe)).await.reason, Reason::Succeeded);
}

#[rstest]
#[case("ftp://127.0.0.1/")]
#[case("file:///etc/passwd")]
#[case("javascript:alert(1)")]
#[tokio::test]
async fn another_scheme_is_not_followed(#[case] location: &'static str) {
    let site = Site::new(move |_| to("302 Found", location, "")).await;
    let outcome = ask(http_spec(get(&site.url("/")))).await;
    assert_eq!(outcome.reason, Reason::ProtocolError);
    assert!(outcome.response.contains("only http and https"), "{}", outcome.response);
}

#[rstest]
#[tokio::test]
async fn a_cookie_set_on_one_hop_is_sent_on_the_next_and_only_where_it_belongs(
    #[values("127.0.0.1", "::1")] bind: &str,
) {
    let other = Site::on(bind, |_| OK.to_owned()).await;
    let away = other.url("/");
    let site = Site::on(bind, move |path| match path {
        "/" => to(
            "302 Found",
            "/in",
            "Set-Cookie: session=abc123; Path=/; HttpOnly\r\nSet-Cookie: admin=1; Path=/admin\r\n",
        ),
        "/in" => to("302 Found", "/out", "Set-Cookie: session=; Max-Age=0; Path=/\r\nSet-Cookie: b=2\r\n"),
        _ => to("302 Found", &away, ""),
    })
    .await;
    let outcome = ask(http_spec(get(&site.url("/")))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    let asked = site.asked();
    assert!(!asked[0].contains("cookie:"), "{asked:?}");
    assert!(asked[1].contains("\r\ncookie: session=abc123\r\n"), "{asked:?}");
    assert!(asked[2].contains("\r\ncookie: b=2\r\n"), "{asked:?}");
    // Ports do not separate cookies (RFC 6265 section 8.5): the same host gets them.
    assert!(other.asked()[0].contains("cookie: b=2"), "{:?}", other.asked());
}

fn confidential(url: &str) -> HttpProbe {
    let headers =
        [("X-Api-Key", "key-4711"), ("Cookie", "own=cookie-4711"), ("Host", "internal.example"), ("Accept", "text/x")];
    HttpProbe {
        headers: headers.map(|(name, value)| NamedValue { name: name.into(), value: value.into() }).into(),
        auth: Some(HttpAuth::Basic(BasicCredentials { username: "user-4711".into(), password: "pass-4711".into() })),
        ..get(url)
    }
}

#[rstest]
#[tokio::test]
async fn credentials_go_to_the_checks_own_origin_and_to_no_other(#[values("127.0.0.1", "::1")] bind: &str) {
    let other = Site::on(bind, |_| OK.to_owned()).await;
    let away = other.url("/away");
    let site =
        Site::on(bind, move |path| if path == "/" { to("302 Found", "/same", "") } else { to("302 Found", &away, "") })
            .await;
    let outcome = ask(http_spec(confidential(&site.url("/")))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    for request in site.asked() {
        assert!(request.contains("authorization: Basic ") && request.contains("key-4711"), "{request}");
        assert!(request.contains("host: internal.example"), "{request}");
    }
    let away = &other.asked()[0];
    assert!(!away.contains("4711") && !away.to_lowercase().contains("authorization"), "{away}");
    assert!(!away.contains("internal.example") && away.contains("accept: text/x"), "{away}");
}

#[tokio::test]
async fn a_body_is_not_carried_to_another_origin() {
    let other = Site::new(|_| OK.to_owned()).await;
    let away = other.url("/");
    let site = Site::new(move |_| to("307 Temporary Redirect", &away, "")).await;
    let probe = HttpProbe { method: "POST".to_owned(), body: Some("secret".into()), ..get(&site.url("/")) };
    let outcome = ask(http_spec(probe)).await;
    assert_eq!(outcome.reason, Reason::ProtocolError, "{}", outcome.response);
    assert_eq!(other.asked().len(), 0);
}

#[tokio::test]
async fn user_info_of_a_location_is_not_used() {
    let other = Site::new(|_| OK.to_owned()).await;
    let away = other.url("/").replace("http://", "http://evil:evil@");
    let site = Site::new(move |_| to("302 Found", &away, "")).await;
    assert_eq!(ask(http_spec(get(&site.url("/")))).await.reason, Reason::Succeeded);
    assert!(!other.asked()[0].to_lowercase().contains("authorization"));
}

#[rstest]
#[case::metadata("http://169.254.169.254/latest/meta-data/", "built-in rule")]
#[case::mapped("http://[::ffff:169.254.169.254]/", "built-in rule")]
#[case::decimal("http://2852039166/", "built-in rule")]
#[case::denied("http://127.0.0.9/", "127.0.0.9/32")]
#[tokio::test]
async fn every_hop_passes_the_address_policy(#[case] location: &'static str, #[case] rule: &str) {
    let site = Site::new(move |_| to("302 Found", location, "")).await;
    let address_policy = AddressPolicy::new(&[] as &[&str], &["127.0.0.9/32"]).unwrap();
    let probes = Probes::new(ProbesSettings { address_policy, ..ProbesSettings::default() }).unwrap();
    let outcome = ask_with(&probes, http_spec(get(&site.url("/"))), std::time::Duration::from_secs(10)).await;
    assert_eq!(outcome.reason, Reason::AddressForbidden, "{}", outcome.response);
    assert!(outcome.response.contains(rule), "{}", outcome.response);
    assert!(outcome.evidence.unwrap().attempts[0].starts_with("302 Found from 127.0.0.1:"));
}

#[rstest]
#[case::max_age("Max-Age=0", false)]
#[case::expires("Expires=Thu, 01 Jan 1970 00:00:00 GMT", false)]
#[case::max_age_wins("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", true)]
#[case::not_yet("Expires=Fri, 01 Jan 2100 00:00:00 GMT", true)]
#[case::unreadable("Expires=soon; Max-Age=never", true)]
#[case::only_inside_tls("Secure", false)]
#[case::somebody_elses("Domain=example.org", false)]
#[case::of_a_whole_top_level("Domain=org", false)]
#[case::below_a_path("Path=/n", false)]
#[case::of_the_path("Path=/next", true)]
#[tokio::test]
async fn a_cookie_goes_no_further_than_it_says(#[case] attributes: &'static str, #[case] sent: bool) {
    let site = Site::new(move |path| match path {
        "/" => to("302 Found", "/next", &format!("Set-Cookie: a=1; {attributes}\r\n")),
        _ => OK.to_owned(),
    })
    .await;
    let outcome = ask(http_spec(get(&site.url("/")))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert_eq!(site.asked()[1].contains("cookie: a=1"), sent, "{:?}", site.asked());
}

#[rstest]
#[case::another_port(false)]
#[case::another_host(true)]
#[tokio::test]
async fn another_host_or_port_is_another_origin(#[case] by_name: bool) {
    let other = Site::new(|_| OK.to_owned()).await;
    let mut away = other.url("/");
    if by_name {
        away = away.replace("127.0.0.1", "localhost");
    }
    let site = Site::new(move |_| to("302 Found", &away, "")).await;
    assert_eq!(ask(http_spec(confidential(&site.url("/")))).await.reason, Reason::Succeeded);
    let asked = &other.asked()[0];
    assert!(!asked.contains("4711"), "{asked}");
}

#[rstest]
#[case("http://0.0.0.0:{port}/")]
#[case("http://[::]:{port}/")]
#[case("http://[::ffff:127.0.0.1]:{port}/")]
#[case("http://2130706433:{port}/")]
#[case("http://0x7f.1:{port}/")]
#[case("http://0177.0.0.1:{port}/")]
#[case("http://localhost:{port}/")]
#[case("http://LOCALHOST.:{port}/")]
#[case("http://web.localhost:{port}/")]
#[tokio::test]
async fn this_host_is_forbidden_by_whatever_name(
    #[case] spelling: &str,
    #[values("localhost", "127.0.0.1 ::1", "127.0.0.1 ::1 after a redirect")] rules: &str,
) {
    let redirected = rules.ends_with("redirect");
    let denied: Vec<&str> = rules.trim_end_matches(" after a redirect").split(' ').collect();
    let target = Site::new(|_| OK.to_owned()).await;
    let url = spelling.replace("{port}", &target.peer.address.port().to_string());
    let hop = url.clone();
    // What redirects is on another address of this host, which the rules let through.
    let site = Site::on("127.0.0.2", move |_| to("302 Found", &hop, "")).await;
    let address_policy = AddressPolicy::new(&[], &denied).unwrap();
    let probes = Probes::new(ProbesSettings { address_policy, ..ProbesSettings::default() }).unwrap();
    let first = if redirected { site.url("/") } else { url };
    let outcome = ask_with(&probes, http_spec(get(&first)), std::time::Duration::from_secs(20)).await;
    assert_eq!(outcome.reason, Reason::AddressForbidden, "{}", outcome.response);
    assert_eq!((site.asked().len(), target.asked().len()), (usize::from(redirected), 0));
}
