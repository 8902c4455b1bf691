//! `grpc` against etcd and against a server of the test that says what it is told to.

use health_model::{CheckSpec, GrpcProbe, Host, IpFamily, NamedValue, Probe, Reason, Sensitive, TlsOptions};
use health_testkit::{daemons, peer::Peer};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use rstest::rstest;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::HealthServer;

use crate::ask::{ask, spec};

pub(crate) fn grpc(port: u16, service: &str) -> GrpcProbe {
    GrpcProbe {
        host: Host::parse("127.0.0.1"),
        port,
        service: service.to_owned(),
        metadata: Vec::new(),
        tls: TlsOptions::default(),
        certificate_expiry_days: None,
    }
}

pub(crate) fn grpc_spec(probe: GrpcProbe) -> CheckSpec {
    spec(Probe::Grpc(Box::new(probe)))
}

#[tokio::test]
async fn etcd_serves_with_tls_and_without() {
    let plain = daemons::etcd(false);
    let outcome = ask(grpc_spec(grpc(plain.port, ""))).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "SERVING"), "{outcome:?}");
    assert_eq!(outcome.status_code, None, "OK is no code to show");

    let secure = daemons::etcd(true);
    let tls = TlsOptions { enabled: true, ca_pem: Some(secure.ca_pem.as_str().into()), ..TlsOptions::default() };
    let outcome = ask(grpc_spec(GrpcProbe { tls: tls.clone(), ..grpc(secure.port, "") })).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    assert!(outcome.certificate.is_some() && outcome.phases.tls.is_some());

    let expiring = GrpcProbe { tls, certificate_expiry_days: Some(100_000), ..grpc(secure.port, "") };
    let outcome = ask(grpc_spec(expiring)).await;
    assert_eq!(outcome.reason, Reason::CertificateExpiring, "{}", outcome.response);
    let untrusted = TlsOptions { enabled: true, ..TlsOptions::default() };
    let outcome = ask(grpc_spec(GrpcProbe { tls: untrusted, ..grpc(secure.port, "") })).await;
    assert_eq!(outcome.reason, Reason::CertificateUntrusted, "{}", outcome.response);
}

#[tokio::test]
async fn a_service_that_etcd_does_not_know_is_not_serving() {
    let server = daemons::etcd(false);
    let outcome = ask(grpc_spec(grpc(server.port, "payments.v1.Payments"))).await;
    assert_eq!(outcome.reason, Reason::NotServing, "{}", outcome.response);
    assert!(outcome.response.contains("payments.v1.Payments"), "{}", outcome.response);
    assert_eq!(outcome.status_code, Some(5));
}

/// Says of itself what the asked-for service's name says; wants a token for `secret`.
struct Obedient;

#[tonic::async_trait]
impl tonic_health::pb::health_server::Health for Obedient {
    type WatchStream = tonic::codegen::tokio_stream::Empty<Result<tonic_health::pb::HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<tonic_health::pb::HealthCheckRequest>,
    ) -> Result<Response<tonic_health::pb::HealthCheckResponse>, Status> {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let status = match request.get_ref().service.as_str() {
            "serving" => 1,
            "down" => 2,
            "odd" => 77,
            "secret" if token == "Bearer open-sesame" => 1,
            "secret" => return Err(Status::unauthenticated(format!("{token} is no token"))),
            "unimplemented" => return Err(Status::unimplemented("no health here")),
            "unavailable" => return Err(Status::unavailable("overloaded")),
            _ => return Err(Status::not_found("unknown")),
        };
        Ok(Response::new(tonic_health::pb::HealthCheckResponse { status }))
    }

    async fn watch(
        &self,
        _: Request<tonic_health::pb::HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not watched"))
    }
}

pub(crate) async fn obedient() -> Peer {
    Peer::start("127.0.0.1", |stream| async move {
        let service = TowerToHyperService::new(HealthServer::new(Obedient));
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    })
    .await
    .unwrap()
}

#[rstest]
#[case::serving("serving", Reason::Succeeded, "SERVING", None)]
#[case::down("down", Reason::NotServing, "\"down\" is NOT_SERVING, expected SERVING", None)]
#[case::odd("odd", Reason::NotServing, "unknown state 77", None)]
#[case::unknown("nobody", Reason::NotServing, "NOT_FOUND", Some(5))]
#[case::unimplemented("unimplemented", Reason::ProtocolError, "register its health service", Some(12))]
#[case::unavailable("unavailable", Reason::UnexpectedStatus, "14 Unavailable (\"overloaded\")", Some(14))]
#[case::unauthenticated("secret", Reason::UnexpectedStatus, "16 Unauthenticated", Some(16))]
#[tokio::test]
async fn each_answer_has_its_reason(
    #[case] service: &str,
    #[case] reason: Reason,
    #[case] says: &str,
    #[case] code: Option<u16>,
) {
    let server = obedient().await;
    let outcome = ask(grpc_spec(grpc(server.address.port(), service))).await;
    assert_eq!((outcome.reason, outcome.status_code), (reason, code), "{}", outcome.response);
    assert!(outcome.response.contains(says), "{}", outcome.response);
}

#[tokio::test]
async fn metadata_is_sent_and_never_shown() {
    let server = obedient().await;
    let with = |token: &str| GrpcProbe {
        metadata: vec![NamedValue { name: "Authorization".to_owned(), value: Sensitive::new(token) }],
        ..grpc(server.address.port(), "secret")
    };
    let outcome = ask(grpc_spec(with("Bearer open-sesame"))).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    let outcome = ask(grpc_spec(with("Bearer wrong-sesame"))).await;
    assert_eq!(outcome.reason, Reason::UnexpectedStatus);
    assert!(!format!("{outcome:?}").contains("wrong-sesame"), "{outcome:?}");
    let outcome = ask(grpc_spec(with("line\nbreak"))).await;
    assert_eq!(outcome.reason, Reason::InvalidConfiguration, "{}", outcome.response);
}

#[tokio::test]
async fn whoever_does_not_speak_grpc_is_told_so() {
    let http1 = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let outcome = ask(grpc_spec(grpc(http1.address.port(), ""))).await;
    assert_eq!(outcome.reason, Reason::ProtocolError, "{}", outcome.response);

    let closed = Peer::start("127.0.0.1", async |stream| drop(stream)).await.unwrap();
    let outcome = ask(grpc_spec(grpc(closed.address.port(), ""))).await;
    assert!(matches!(outcome.reason, Reason::ConnectionReset | Reason::ProtocolError), "{}", outcome.response);
}

/// A proxy or a web server that answers over HTTP/2, but not gRPC.
async fn web(status: u16) -> Peer {
    Peer::start("127.0.0.1", move |stream| async move {
        let service = hyper::service::service_fn(move |_| async move {
            let answer = hyper::Response::builder().status(status).header("retry-after", "7");
            answer.body(http_body_util::Empty::<bytes::Bytes>::new())
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    })
    .await
    .unwrap()
}

#[rstest]
#[case::page(200, Reason::ProtocolError)]
#[case::bad_gateway(502, Reason::UnexpectedStatus)]
#[case::too_many(429, Reason::RateLimited)]
#[tokio::test]
async fn what_a_proxy_says_over_http_is_told_as_such(#[case] status: u16, #[case] reason: Reason) {
    let server = web(status).await;
    let outcome = ask(grpc_spec(grpc(server.address.port(), ""))).await;
    assert_eq!(outcome.reason, reason, "{}", outcome.response);
    let wait = (reason == Reason::RateLimited).then(|| std::time::Duration::from_secs(7));
    assert_eq!(outcome.retry_after, wait);
}

#[tokio::test]
async fn a_server_of_one_family_fails_when_both_must_pass() {
    let server = obedient().await;
    let mut both = grpc_spec(GrpcProbe { host: Host::parse("localhost"), ..grpc(server.address.port(), "serving") });
    both.ip_family = IpFamily::Both;
    let outcome = ask(both).await;
    assert_eq!(outcome.reason, Reason::ConnectionRefused);
    assert!(outcome.response.contains("(over IPv6)"), "{}", outcome.response);
}
