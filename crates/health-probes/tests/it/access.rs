//! Who we are to servers, token servers and proxies: right credentials are let in, wrong ones are refused.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use health_model::{BasicCredentials, HttpAuth, HttpProbe, HttpProxy, OAuth2, Outcome, Reason, TlsOptions};
use health_probes::{Probes, ProbesSettings, connect::AddressPolicy};
use health_testkit::{
    certificates::{Authority, Wanted},
    peer::{Peer, read_head},
};
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

use crate::ask::{ask, ask_with, get, http_spec, probes};

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Lets in who shows exactly this `Authorization`.
async fn guarded(authorization: &'static str) -> Peer {
    guarded_on("127.0.0.1", authorization).await
}

async fn guarded_on(bind: &str, authorization: &'static str) -> Peer {
    Peer::start(bind, move |mut stream| async move {
        let request = read_head(&mut stream).await;
        let good = request.lines().any(|line| line == format!("authorization: {authorization}"));
        let status = if good { "200 OK" } else { "401 Unauthorized" };
        let _ = stream.write_all(answer(status, "").as_bytes()).await;
    })
    .await
    .unwrap()
}

fn pair(username: &str, password: &str) -> BasicCredentials {
    BasicCredentials { username: username.into(), password: password.into() }
}

#[rstest]
#[case::basic("Basic YWxhZGRpbjpvcGVuOnNlc2FtZQ==", HttpAuth::Basic(pair("aladdin", "open:sesame")), true)]
#[case::wrong_password("Basic YWxhZGRpbjpvcGVuOnNlc2FtZQ==", HttpAuth::Basic(pair("aladdin", "open")), false)]
#[case::bearer("Bearer right", HttpAuth::Bearer("right".into()), true)]
#[case::wrong_token("Bearer right", HttpAuth::Bearer("wrong".into()), false)]
#[tokio::test]
async fn credentials_decide(
    #[case] wanted: &'static str,
    #[case] auth: HttpAuth,
    #[case] let_in: bool,
    #[values("127.0.0.1", "::1")] bind: &str,
) {
    let peer = guarded_on(bind, wanted).await;
    let outcome = ask(http_spec(HttpProbe { auth: Some(auth), ..get(&format!("http://{}/", peer.address)) })).await;
    assert_eq!(outcome.reason == Reason::Succeeded, let_in, "{}", outcome.response);
    if !let_in {
        assert!(outcome.response.ends_with("it refuses these credentials"), "{}", outcome.response);
    }
}

/// A token server whose tokens are numbered, and which lets in `client:s3cret` only, by header or by body.
struct TokenServer {
    peer: Peer,
    given: Arc<AtomicUsize>,
}

impl TokenServer {
    async fn new(by_header: bool, expires_in: u64) -> Self {
        let given = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&given);
        let peer = Peer::start("127.0.0.1", move |mut stream| {
            let counter = Arc::clone(&counter);
            async move {
                let head = read_head(&mut stream).await;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let mut form = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut form).await.unwrap();
                let form = String::from_utf8(form).unwrap();
                let header = head.contains("authorization: Basic Y2xpZW50OnMzY3JldA==");
                let body = form.contains("client_id=client&client_secret=s3cret");
                let good =
                    form.contains("grant_type=client_credentials&scope=a+b") && if by_header { header } else { body };
                let text = if good {
                    let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                    let token = format!("{{\"access_token\":\"token-{number}\",\"expires_in\":{expires_in}}}");
                    answer("200 OK", &token)
                } else {
                    answer("401 Unauthorized", "{\"error\":\"invalid_client\"}")
                };
                let _ = stream.write_all(text.as_bytes()).await;
            }
        })
        .await
        .unwrap();
        Self { peer, given }
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    fn probe(&self, target: &Peer, secret: &str) -> HttpProbe {
        let oauth = OAuth2 {
            token_url: Url::parse(&format!("http://{}/token", self.peer.address)).unwrap(),
            client_id: "client".into(),
            client_secret: secret.into(),
            scopes: vec!["a".to_owned(), "b".to_owned()],
        };
        HttpProbe { auth: Some(HttpAuth::OAuth2(oauth)), ..get(&format!("http://{}/", target.address)) }
    }
}

async fn with(probes: &Probes, probe: &HttpProbe) -> Outcome {
    ask_with(probes, http_spec(probe.clone()), std::time::Duration::from_secs(20)).await
}

#[rstest]
#[case::by_header(true)]
#[case::by_body(false)]
#[tokio::test]
async fn a_token_is_had_once_and_used_until_it_expires(#[case] by_header: bool) {
    let tokens = TokenServer::new(by_header, 3600).await;
    let target = guarded("Bearer token-1").await;
    let (probes, probe) = (probes(), tokens.probe(&target, "s3cret"));
    for _ in 0..3 {
        let outcome = with(&probes, &probe).await;
        assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    }
    assert_eq!(tokens.given(), 1);
}

#[tokio::test]
async fn a_token_that_expires_at_once_is_had_each_time() {
    let tokens = TokenServer::new(true, 0).await;
    let target = guarded("Bearer token-2").await;
    let (probes, probe) = (probes(), tokens.probe(&target, "s3cret"));
    // The first probe is refused with token 1, and let in with the fresh one.
    assert_eq!(with(&probes, &probe).await.reason, Reason::Succeeded);
    assert_eq!(tokens.given(), 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_no_more() {
    let tokens = TokenServer::new(true, 3600).await;
    let target = guarded("Bearer never").await;
    let outcome = with(&probes(), &tokens.probe(&target, "s3cret")).await;
    assert_eq!(outcome.reason, Reason::UnexpectedStatus);
    assert_eq!((tokens.given(), target.accepted()), (2, 2));
    let shown = format!("{outcome:?}");
    assert!(!shown.contains("token-") && !shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_token_server_that_refuses_our_credentials_is_named_and_the_target_not_asked() {
    let tokens = TokenServer::new(true, 3600).await;
    let target = guarded("Bearer token-1").await;
    let outcome = with(&probes(), &tokens.probe(&target, "wr0ng")).await;
    assert_eq!(outcome.reason, Reason::InvalidConfiguration);
    assert!(outcome.response.contains("oauth2") && outcome.response.contains("invalid_client"), "{}", outcome.response);
    assert_eq!(target.accepted(), 0);
}

/// A token server that does this instead of giving a token.
async fn token_server(answer: &'static str) -> Peer {
    Peer::start("127.0.0.1", move |mut stream| async move {
        read_head(&mut stream).await;
        if answer == "silence" {
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
    .unwrap()
}

#[rstest]
#[case::gone("")]
#[case::broken("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")]
#[case::limited("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n")]
#[case::no_token("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")]
#[case::no_http("SSH-2.0-OpenSSH_9.2\r\n")]
#[case::silent("silence")]
#[tokio::test]
async fn a_token_that_cannot_be_had_says_nothing_about_the_target(#[case] answer: &'static str) {
    let tokens = TokenServer { peer: token_server(answer).await, given: Arc::default() };
    let target = guarded("Bearer token-1").await;
    let probe = tokens.probe(&target, "s3cret");
    let outcome = ask_with(&probes(), http_spec(probe), std::time::Duration::from_secs(1)).await;
    assert_eq!(outcome.reason, Reason::CredentialsUnavailable, "{}", outcome.response);
    assert!(outcome.response.starts_with("oauth2: the token server 127.0.0.1"), "{}", outcome.response);
    assert!(outcome.response.ends_with("no token, so the target was not asked"), "{}", outcome.response);
    assert_eq!(target.accepted(), 0);
}

#[tokio::test]
async fn a_token_server_where_nobody_listens_says_nothing_about_the_target() {
    let tokens = TokenServer::new(true, 3600).await;
    let target = guarded("Bearer token-1").await;
    let probe = tokens.probe(&target, "s3cret");
    drop(tokens);
    let outcome = with(&probes(), &probe).await;
    assert_eq!(outcome.reason, Reason::CredentialsUnavailable, "{}", outcome.response);
    assert_eq!(target.accepted(), 0);
}

#[tokio::test]
async fn a_token_that_claims_to_live_for_ever_is_believed_for_a_day() {
    let tokens = TokenServer::new(true, u64::MAX).await;
    let target = guarded("Bearer token-1").await;
    let (probes, probe) = (probes(), tokens.probe(&target, "s3cret"));
    for _ in 0..2 {
        assert_eq!(with(&probes, &probe).await.reason, Reason::Succeeded);
    }
    assert_eq!(tokens.given(), 1);
}

/// A proxy that lets in `proxy:pr0xy` only: it tunnels, and passes plain requests on.
async fn proxy() -> Peer {
    Peer::start("127.0.0.1", |mut stream| async move {
        let request = read_head(&mut stream).await;
        if !request.to_lowercase().contains("proxy-authorization: basic chjvehk6chiwehk=") {
            let _ = stream.write_all(answer("407 Proxy Authentication Required", "").as_bytes()).await;
            return;
        }
        let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
        if request.starts_with("CONNECT ") {
            match TcpStream::connect(&target).await {
                Ok(mut onward) => {
                    let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
                }
                Err(_) => drop(stream.write_all(answer("502 Bad Gateway", "").as_bytes()).await),
            }
            return;
        }
        let url = Url::parse(&target).unwrap();
        let mut onward = TcpStream::connect(&*url.socket_addrs(|| None).unwrap()).await.unwrap();
        onward.write_all(request.replace(&target, url.path()).as_bytes()).await.unwrap();
        let _ = tokio::io::copy(&mut onward, &mut stream).await;
    })
    .await
    .unwrap()
}

fn through(proxy: &Peer, password: &str, probe: HttpProbe) -> HttpProbe {
    let url = Url::parse(&format!("http://{}/", proxy.address)).unwrap();
    HttpProbe { proxy: Some(HttpProxy { url, credentials: Some(pair("proxy", password)) }), ..probe }
}

#[tokio::test]
async fn a_plain_request_is_passed_on_by_a_proxy() {
    let (proxy, target) = (proxy().await, Peer::answering(answer("200 OK", "hi")).await.unwrap());
    let probe = get(&format!("http://{}/path", target.address));
    let outcome = ask(http_spec(through(&proxy, "pr0xy", probe.clone()))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert_eq!(outcome.remote_address, Some(proxy.address));
    assert_eq!(target.accepted(), 1);
    let outcome = ask(http_spec(through(&proxy, "wrong", probe))).await;
    assert_eq!((outcome.reason, outcome.status_code), (Reason::UnexpectedStatus, Some(407)));
    assert!(outcome.response.contains("proxyUrl"), "{}", outcome.response);
    assert_eq!(target.accepted(), 1);
}

#[tokio::test]
async fn tls_goes_through_a_tunnel_to_the_targets_own_certificate() {
    let proxy = proxy().await;
    let authority = Authority::root("root").unwrap();
    let issued = authority.issue(&Wanted::server(&["127.0.0.1"])).unwrap();
    let target = Peer::start_tls(issued.server(&["http/1.1"], None).unwrap(), |mut stream| async move {
        let request = read_head(&mut stream).await;
        assert!(!request.to_lowercase().contains("proxy-authorization"), "{request}");
        let _ = stream.write_all(answer("200 OK", "hi").as_bytes()).await;
        let _ = stream.shutdown().await;
    })
    .await
    .unwrap();
    let tls = TlsOptions { ca_pem: Some(authority.pem().as_str().into()), ..TlsOptions::default() };
    let probe = HttpProbe { tls, ..get(&format!("https://{}/", target.address)) };
    let outcome = ask(http_spec(through(&proxy, "pr0xy", probe.clone()))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert_eq!(outcome.certificate.unwrap().dns_names, ["127.0.0.1"]);
    let outcome = ask(http_spec(through(&proxy, "wr0ng", probe))).await;
    assert_eq!((outcome.reason, outcome.status_code), (Reason::UnexpectedStatus, Some(407)));
    assert!(outcome.response.starts_with("407 Proxy Authentication Required"), "{}", outcome.response);
    let nobody = get("https://127.0.0.1:1/");
    let outcome = ask(http_spec(through(&proxy, "pr0xy", nobody))).await;
    assert!(outcome.response.starts_with("502 Bad Gateway: the proxy opens no tunnel"), "{}", outcome.response);
}

#[rstest]
#[case::plain("http://127.0.0.9/")]
#[case::tunnelled("https://127.0.0.9/")]
#[case::by_name("http://denied.internal/")]
#[case::metadata_by_name("http://metadata.google.internal/computeMetadata/v1/")]
#[case::metadata_tunnelled("https://metadata.google.internal./")]
#[case::metadata_by_address("http://169.254.169.254/")]
#[case::metadata_in_decimal("http://2852039166/")]
#[tokio::test]
async fn a_proxy_is_no_way_around_the_address_policy(#[case] url: &str) {
    let proxy = proxy().await;
    let address_policy = AddressPolicy::new(&[], &["127.0.0.9", "*.internal"]).unwrap();
    let probes = Probes::new(ProbesSettings { address_policy, ..ProbesSettings::default() }).unwrap();
    let outcome = with(&probes, &through(&proxy, "pr0xy", get(url))).await;
    assert_eq!(outcome.reason, Reason::AddressForbidden, "{}", outcome.response);
    assert_eq!(proxy.accepted(), 0);
}

#[rstest]
#[case::by_name("http://metadata.google.internal/")]
#[case::by_address("http://[fd00:ec2::254]/")]
#[tokio::test]
async fn a_proxy_is_no_way_to_metadata_without_any_rule(#[case] url: &str) {
    let proxy = proxy().await;
    let outcome = with(&probes(), &through(&proxy, "pr0xy", get(url))).await;
    assert_eq!(outcome.reason, Reason::AddressForbidden, "{}", outcome.response);
    assert_eq!(proxy.accepted(), 0);
}
