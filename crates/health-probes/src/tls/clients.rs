//! TLS configurations, made once and kept, and the handshake itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use health_model::{CertificateFacts, ClientCertificate, Sensitive, TlsOptions, TlsVersion};
use jiff::Timestamp;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::TrustAnchor,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Alpn, TlsPeer, facts,
    judge::{self, Expectation},
    refusal,
};
use crate::{failure::Failure, trace::Trace};

/// Configurations kept at most; beyond it, all are made anew as they are needed.
const MOST_CLIENTS: usize = 1024;
/// Certificates of a chain that are looked at.
const LONGEST_CHAIN: usize = 16;

/// What makes one configuration different from another. `insecureSkipVerify` and the name are judged per connection.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    ca: Option<Sensitive>,
    certificate: Option<(Sensitive, Sensitive)>,
    at_least_1_3: bool,
    alpn: Alpn,
}

/// A configuration ready for use.
struct Client {
    config: ClientConfig,
    anchors: Anchors,
}

enum Anchors {
    System,
    Own { anchors: Vec<TrustAnchor<'static>>, certificates: Vec<CertificateDer<'static>> },
}

/// The TLS configurations of a process.
#[derive(Default)]
pub(crate) struct TlsClients {
    provider: OnceLock<Arc<CryptoProvider>>,
    system: OnceLock<RootCertStore>,
    clients: Mutex<HashMap<Key, Arc<Client>>>,
}

impl std::fmt::Debug for TlsClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClients").finish_non_exhaustive()
    }
}

impl TlsClients {
    /// Shakes hands, leaves the certificate's facts in the trace, and judges.
    pub(crate) async fn handshake<S>(
        &self,
        stream: S,
        peer: &TlsPeer<'_>,
        trace: &mut Trace,
    ) -> Result<TlsStream<S>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let written = peer.name();
        let name = ServerName::try_from(written)
            .map_err(|error| Failure::configuration(format!("tls.serverName: is no host name ({error})")))?;
        let client = self.client(peer.options, peer.alpn)?;
        let recorder = Arc::new(Recorder { provider: Arc::clone(self.provider()), chain: OnceLock::new() });
        let mut config = client.config.clone();
        config.dangerous().set_certificate_verifier(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>);
        let shaken = TlsConnector::from(Arc::new(config)).connect(name.clone(), stream).await;
        let chain = recorder.chain.get().map_or(&[][..], Vec::as_slice);
        let mut facts = facts::read(chain);
        let judged = match &shaken {
            Ok(_) if peer.options.insecure_skip_verify => Ok(None),
            Ok(_) => self.judge(&client, chain, facts.as_ref(), &name).map(Some),
            Err(_) => Ok(None),
        };
        if let (Some(facts), Ok(Some(earliest))) = (&mut facts, &judged) {
            facts.chain_not_after = *earliest;
        }
        trace.certificate = facts.map(Arc::new);
        let stream = shaken.map_err(|error| broken(&error, peer.options.min_version, trace))?;
        judged?;
        Ok(stream)
    }

    /// How many configurations are kept, and how many may be.
    pub(crate) fn level(&self) -> (usize, usize) {
        (self.clients.lock().unwrap_or_else(PoisonError::into_inner).len(), MOST_CLIENTS)
    }

    fn judge(
        &self,
        client: &Client,
        chain: &[CertificateDer<'_>],
        facts: Option<&CertificateFacts>,
        name: &ServerName<'static>,
    ) -> Result<Timestamp, Failure> {
        let (anchors, own, system) = match &client.anchors {
            Anchors::System => (self.system().roots.as_slice(), &[][..], true),
            Anchors::Own { anchors, certificates } => (anchors.as_slice(), certificates.as_slice(), false),
        };
        let now = Timestamp::now();
        judge::judge(chain, facts, &Expectation { provider: self.provider(), anchors, own, system, name, now })
    }

    fn provider(&self) -> &Arc<CryptoProvider> {
        self.provider.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
    }

    /// The system's roots, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`; read once, at the first need.
    fn system(&self) -> &RootCertStore {
        self.system.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "a file of trusted roots cannot be read");
            }
            let mut roots = RootCertStore::empty();
            let (added, ignored) = roots.add_parsable_certificates(found.certs);
            tracing::debug!(added, ignored, "trusted roots read");
            roots
        })
    }

    fn client(&self, options: &TlsOptions, alpn: Alpn) -> Result<Arc<Client>, Failure> {
        let key = Key {
            ca: options.ca_pem.clone(),
            certificate: options
                .client_certificate
                .as_ref()
                .map(|own| (own.certificate_pem.clone(), own.key_pem.clone())),
            at_least_1_3: options.min_version == TlsVersion::V1_3,
            alpn,
        };
        let clients = || self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients().get(&key) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(self.build(options, alpn)?);
        let mut clients = clients();
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        clients.insert(key, Arc::clone(&client));
        Ok(client)
    }

    fn build(&self, options: &TlsOptions, alpn: Alpn) -> Result<Client, Failure> {
        let anchors = match &options.ca_pem {
            None => Anchors::System,
            Some(pem) => own_anchors(pem)?,
        };
        let versions: &[&rustls::SupportedProtocolVersion] = match options.min_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let recorder = Recorder { provider: Arc::clone(self.provider()), chain: OnceLock::new() };
        let builder = ClientConfig::builder_with_provider(Arc::clone(self.provider()))
            .with_protocol_versions(versions)
            .map_err(|error| Failure::configuration(format!("tls: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(recorder));
        let mut config = match &options.client_certificate {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = own_certificate(own)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    Failure::configuration(format!("tls.clientCertificate: key and certificate do not fit ({error})"))
                })?
            }
        };
        config.alpn_protocols = alpn.protocols();
        config.resumption = Resumption::disabled();
        Ok(Client { config, anchors })
    }
}

fn broken(error: &std::io::Error, oldest: TlsVersion, trace: &Trace) -> Failure {
    refusal::handshake(error, oldest).unwrap_or_else(|| match trace.remote {
        Some(peer) => Failure::io(error, peer, "shaking hands (TLS)"),
        None => Failure::protocol(format!("the TLS handshake failed ({error})")),
    })
}

fn own_anchors(pem: &Sensitive) -> Result<Anchors, Failure> {
    let refused = |problem: &str| Failure::configuration(format!("tls.ca: {problem}: give certificates in PEM form"));
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.expose().as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| refused("is no PEM"))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 {
        return Err(refused("holds no certificate"));
    }
    Ok(Anchors::Own { anchors: roots.roots, certificates })
}

fn own_certificate(own: &ClientCertificate) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(own.certificate_pem.expose().as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| Failure::configuration("tls.clientCertificate: tls.crt is no PEM"))?;
    if chain.is_empty() {
        return Err(Failure::configuration("tls.clientCertificate: tls.crt holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(own.key_pem.expose().as_bytes())
        .map_err(|_| Failure::configuration("tls.clientCertificate: tls.key holds no private key in PEM form"))?;
    Ok((chain, key))
}

/// Records the chain and asserts; only the proof that the peer holds the key is checked at once.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    chain: OnceLock<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).take(LONGEST_CHAIN);
        let _ = self.chain.set(chain.map(|certificate| certificate.clone().into_owned()).collect());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
