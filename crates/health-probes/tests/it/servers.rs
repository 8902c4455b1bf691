//! Real servers: nginx in every protocol version, and openssl's with what rustls does not speak.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use health_model::{
    ClientCertificate, HttpProbe, HttpVersion, IpFamily, Reason, Search, SearchMatcher, TlsOptions, TlsVersion,
};
use health_testkit::certificates::{Authority, Wanted};
use rstest::rstest;
use tempfile::TempDir;

use crate::ask::{ask, get, http_spec, tcp, tcp_spec};

/// A child process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(command: &mut Command, package: &str) -> Running {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.unwrap_or_else(|error| panic!("{name} is needed here ({error}): apt-get install {package}")))
}

/// Waits until somebody listens on the port.
async fn listening(port: u16, child: &mut Running) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(child.0.try_wait().unwrap().is_none(), "the server ended before it listened");
        assert!(Instant::now() < deadline, "the server does not listen on {port}");
        tokio::task::yield_now().await;
    }
}

/// nginx with a configuration of its own: plain, h2c and TLS ports, in both families.
struct Nginx {
    _running: Running,
    _folder: TempDir,
    plain: u16,
    h2c: u16,
    tls: u16,
    /// TLS 1.2 and no later one.
    old: u16,
    /// With a client certificate only.
    mutual: u16,
    ca_pem: String,
    authority: Authority,
}

impl Nginx {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::root("root").unwrap();
        let issued = authority.issue(&Wanted::server(&["localhost", "127.0.0.1", "::1"])).unwrap();
        let [plain, h2c, tls, old, mutual] = [free_port(), free_port(), free_port(), free_port(), free_port()];
        std::fs::write(folder.path().join("chain.pem"), &issued.chain_pem).unwrap();
        std::fs::write(folder.path().join("key.pem"), &issued.key_pem).unwrap();
        std::fs::write(folder.path().join("clients.pem"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("index.html"), format!("{}needle", "hay ".repeat(2000))).unwrap();
        std::fs::write(folder.path().join("nginx.conf"), configuration(folder.path(), [plain, h2c, tls, old, mutual]))
            .unwrap();
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
        let mut running = start(&mut nginx, "nginx-light");
        listening(tls, &mut running).await;
        Self { _running: running, _folder: folder, plain, h2c, tls, old, mutual, ca_pem: authority.pem(), authority }
    }

    fn trusted(&self) -> TlsOptions {
        TlsOptions { ca_pem: Some(self.ca_pem.as_str().into()), ..TlsOptions::default() }
    }
}

fn configuration(folder: &Path, [plain, h2c, tls, old, mutual]: [u16; 5]) -> String {
    let root = folder.display();
    format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; events {{}}
        http {{
          access_log off; gzip on; gzip_types text/plain; default_type text/plain;
          client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
          uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
          server {{ listen 127.0.0.1:{plain}; listen [::1]:{plain}; root {root};
            location /moved {{ return 301 /index.html; }}
            location /secure {{ return 302 https://localhost:{tls}/index.html; }}
            location /limited {{ add_header Retry-After 7 always; return 429; }} }}
          server {{ listen 127.0.0.1:{h2c} http2; root {root}; }}
          server {{ listen 127.0.0.1:{tls} ssl http2; listen [::1]:{tls} ssl http2; root {root};
            ssl_certificate {root}/chain.pem; ssl_certificate_key {root}/key.pem; }}
          server {{ listen 127.0.0.1:{old} ssl; root {root}; ssl_protocols TLSv1.2;
            ssl_certificate {root}/chain.pem; ssl_certificate_key {root}/key.pem; }}
          server {{ listen 127.0.0.1:{mutual} ssl; listen [::1]:{mutual} ssl; root {root};
            ssl_verify_client on; ssl_client_certificate {root}/clients.pem;
            ssl_certificate {root}/chain.pem; ssl_certificate_key {root}/key.pem; }}
        }}"
    )
}

fn searching(url: &str) -> HttpProbe {
    let search = Search { matcher: SearchMatcher::Text("hay needle".to_owned()), absent: false };
    HttpProbe { search: Some(search), ..get(url) }
}

#[tokio::test]
async fn nginx_answers_in_every_version_and_family() {
    let nginx = Nginx::new().await;
    let (plain, h2c, tls) = (nginx.plain, nginx.h2c, nginx.tls);
    let table = [
        (format!("http://127.0.0.1:{plain}/index.html"), HttpVersion::Auto),
        (format!("http://[::1]:{plain}/index.html"), HttpVersion::Http1),
        (format!("http://localhost:{plain}/moved"), HttpVersion::Auto),
        (format!("http://localhost:{plain}/secure"), HttpVersion::Auto),
        (format!("http://127.0.0.1:{h2c}/index.html"), HttpVersion::H2c),
        (format!("https://localhost:{tls}/index.html"), HttpVersion::Auto),
        (format!("https://[::1]:{tls}/index.html"), HttpVersion::Http2),
        (format!("https://127.0.0.1:{tls}/index.html"), HttpVersion::Http1),
    ];
    for (url, version) in table {
        let secure = url.starts_with("https") || url.ends_with("secure");
        let outcome = ask(http_spec(HttpProbe { version, tls: nginx.trusted(), ..searching(&url) })).await;
        assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "200 OK"), "{url} {version:?}");
        assert_eq!(outcome.certificate.is_some(), secure, "{url}");
        assert_eq!(outcome.phases.tls.is_some(), secure, "{url}");
    }
}

#[tokio::test]
async fn nginx_is_asked_in_both_families_and_limits_us() {
    let nginx = Nginx::new().await;
    let mut spec = http_spec(get(&format!("http://localhost:{}/index.html", nginx.plain)));
    spec.ip_family = IpFamily::Both;
    assert_eq!(ask(spec).await.reason, Reason::Succeeded);
    let outcome = ask(http_spec(get(&format!("http://localhost:{}/limited", nginx.plain)))).await;
    assert_eq!((outcome.reason, outcome.retry_after), (Reason::RateLimited, Some(Duration::from_secs(7))));
}

#[rstest]
#[case::v4("127.0.0.1")]
#[case::v6("[::1]")]
#[tokio::test]
async fn nginx_wants_a_client_certificate(#[case] host: &str) {
    let nginx = Nginx::new().await;
    let url = format!("https://{host}:{}/index.html", nginx.mutual);
    let with = |tls| ask(http_spec(HttpProbe { tls, ..searching(&url) }));
    let without = with(nginx.trusted()).await;
    assert_eq!((without.reason, without.status_code), (Reason::UnexpectedStatus, Some(400)), "{}", without.response);
    assert!(
        without.response.ends_with("it wants a client certificate (tls.clientCertificate)"),
        "{}",
        without.response
    );
    let ours = |by: &Authority| {
        let own = by.issue(&Wanted { client: true, common_name: "prober", ..Wanted::default() }).unwrap();
        let own =
            ClientCertificate { certificate_pem: own.chain_pem.as_str().into(), key_pem: own.key_pem.as_str().into() };
        TlsOptions { client_certificate: Some(own), ..nginx.trusted() }
    };
    let good = with(ours(&nginx.authority)).await;
    assert_eq!((good.reason, good.response.as_str()), (Reason::Succeeded, "200 OK"));
    let stranger = with(ours(&Authority::root("stranger").unwrap())).await;
    assert_eq!(stranger.status_code, Some(400), "{}", stranger.response);
    assert!(stranger.response.contains("it refuses our client certificate"), "{}", stranger.response);
}

#[tokio::test]
async fn tls_1_3_demanded_of_a_server_of_1_2_is_named() {
    let nginx = Nginx::new().await;
    let url = format!("https://127.0.0.1:{}/index.html", nginx.old);
    let outcome = ask(http_spec(HttpProbe { tls: nginx.trusted(), ..searching(&url) })).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    let tls = TlsOptions { min_version: TlsVersion::V1_3, ..nginx.trusted() };
    let outcome = ask(http_spec(HttpProbe { tls, ..searching(&url) })).await;
    assert_eq!(outcome.reason, Reason::TlsHandshakeFailed, "{}", outcome.response);
    assert!(outcome.response.contains("too old"), "{}", outcome.response);
    assert!(outcome.response.contains("expected TLS 1.3 (tls.minVersion)"), "{}", outcome.response);
}

#[tokio::test]
async fn http2_where_only_http1_is_spoken_is_named() {
    let nginx = Nginx::new().await;
    let probe = HttpProbe { version: HttpVersion::H2c, ..get(&format!("http://127.0.0.1:{}/", nginx.plain)) };
    let outcome = ask(http_spec(probe)).await;
    assert!(matches!(outcome.reason, Reason::ProtocolError | Reason::ConnectionReset), "{}", outcome.response);
    let outcome = ask(http_spec(get(&format!("http://127.0.0.1:{}/", nginx.h2c)))).await;
    assert_eq!(outcome.reason, Reason::ProtocolError);
    assert!(outcome.response.contains("H2C"), "{}", outcome.response);
}

#[rstest]
#[case::tls_1_0(&["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"], "too old")]
#[case::tls_1_1(&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], "too old")]
#[case::rsa_key_exchange(&["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "RSA key exchange")]
#[case::cbc(&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"], "CBC")]
#[tokio::test]
async fn what_is_too_old_for_us_is_named(#[case] options: &[&str], #[case] said: &str) {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status()
        .expect("openssl is needed here: apt-get install openssl");
    assert!(made.success());
    let port = free_port();
    let mut openssl = Command::new("openssl");
    openssl.args([
        "s_server",
        "-quiet",
        "-key",
        "key.pem",
        "-cert",
        "cert.pem",
        "-accept",
        &format!("127.0.0.1:{port}"),
    ]);
    openssl.args(options).current_dir(folder.path());
    let mut running = start(&mut openssl, "openssl");
    listening(port, &mut running).await;
    let tls = TlsOptions { enabled: true, insecure_skip_verify: true, ..TlsOptions::default() };
    let outcome = ask(tcp_spec(health_model::TcpProbe { tls, ..tcp("127.0.0.1", port) })).await;
    assert_eq!(outcome.reason, Reason::TlsHandshakeFailed, "{}", outcome.response);
    assert!(outcome.response.contains(said), "{}", outcome.response);
}

#[tokio::test]
async fn a_certificate_as_openssl_req_makes_it_is_self_signed_and_can_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status()
        .expect("openssl is needed here: apt-get install openssl");
    assert!(made.success());
    let port = free_port();
    let mut openssl = Command::new("openssl");
    openssl.args(["s_server", "-quiet", "-www", "-key", "key.pem", "-cert", "cert.pem"]);
    openssl.args(["-accept", &format!("127.0.0.1:{port}")]).current_dir(folder.path());
    let mut running = start(&mut openssl, "openssl");
    listening(port, &mut running).await;
    let url = format!("https://127.0.0.1:{port}/");
    let outcome = ask(http_spec(get(&url))).await;
    assert_eq!(outcome.reason, Reason::CertificateUntrusted);
    assert!(outcome.response.contains("self-signed"), "{}", outcome.response);
    let ca = std::fs::read_to_string(folder.path().join("cert.pem")).unwrap();
    let tls = TlsOptions { ca_pem: Some(ca.as_str().into()), ..TlsOptions::default() };
    let outcome = ask(http_spec(HttpProbe { tls: tls.clone(), ..get(&url) })).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    let outcome = ask(http_spec(HttpProbe { tls, certificate_expiry_days: Some(45), ..get(&url) })).await;
    assert_eq!(outcome.reason, Reason::CertificateExpiring);
    assert!(outcome.response.starts_with("200 OK: the certificate expires in 29 days"), "{}", outcome.response);
}
