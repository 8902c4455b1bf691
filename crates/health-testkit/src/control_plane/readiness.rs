//! Asks the API server whether it is ready, until it is. One plain HTTPS request at a time, trusting only the
//! authority of this control plane. Must not hide a server that has ended.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::{ControlPlane, ControlPlaneError, server};

const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn wait(plane: &ControlPlane, limit: Duration) -> Result<(), ControlPlaneError> {
    let connector = connector(plane.ca_pem())?;
    let ready = async {
        loop {
            if let Ok(Ok(true)) = timeout(ANSWER_WITHIN, is_ready(plane, &connector)).await {
                return Ok(());
            }
            for server in [&plane.etcd, &plane.api_server] {
                if let Some(failure) = server::locked(server).has_ended() {
                    return Err(failure);
                }
            }
            sleep(ASK_AGAIN_AFTER).await;
        }
    };
    timeout(limit, ready).await.unwrap_or_else(|_| {
        let api_server = server::locked(&plane.api_server);
        Err(ControlPlaneError::new(format!(
            "{} was not ready within {limit:?}:\n{}",
            api_server.name(),
            api_server.last_lines()
        )))
    })
}

fn connector(ca: &str) -> Result<TlsConnector, ControlPlaneError> {
    let refused = |error: &dyn std::fmt::Display| ControlPlaneError::new(format!("control plane: TLS: {error}"));
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(|error| refused(&error))?;
    roots.add(authority).map_err(|error| refused(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn is_ready(plane: &ControlPlane, connector: &TlsConnector) -> std::io::Result<bool> {
    let authority = plane.url().trim_start_matches("https://");
    let stream = TcpStream::connect(authority).await?;
    let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from(std::net::Ipv4Addr::LOCALHOST)));
    let mut stream = connector.connect(name, stream).await?;
    let request = format!(
        "GET /readyz HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        plane.admin_token()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut status).await?;
    Ok(&status == b"HTTP/1.1 200")
}
