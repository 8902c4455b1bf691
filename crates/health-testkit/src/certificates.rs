//! Certificates of every kind, good and bad, made on the spot.
//!
//! Nothing here is ever trusted by a system; a test hands [`Authority::pem`] to whoever shall trust it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validity {
    /// From 2020 to 2090.
    #[default]
    Now,
    /// Ended on the first of February 2021.
    Past,
    /// Begins in 2089.
    Future,
    /// From 2020 to 2080: sooner over than what else is valid now.
    Shorter,
}

/// What a certificate is to look like.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// Names and addresses (subjectAltName).
    pub names: &'a [&'a str],
    /// The subject's common name.
    pub common_name: &'a str,
    /// When it is valid.
    pub validity: Validity,
    /// Whether it says that it is a CA, as `openssl req -x509` does.
    pub ca: bool,
    /// Whether it is for clients rather than servers.
    pub client: bool,
}

impl<'a> Wanted<'a> {
    /// A good server certificate for these names.
    pub fn server(names: &'a [&'a str]) -> Self {
        Self { names, common_name: "a test server", ..Self::default() }
    }

    fn params(&self) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::new(self.names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.common_name);
        (params.not_before, params.not_after) = match self.validity {
            Validity::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1)),
            Validity::Past => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 2, 1)),
            Validity::Shorter => (date_time_ymd(2020, 1, 1), date_time_ymd(2080, 1, 1)),
            Validity::Future => (date_time_ymd(2089, 1, 1), date_time_ymd(2090, 1, 1)),
        };
        if self.ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        } else {
            let usage =
                if self.client { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth };
            params.extended_key_usages = vec![usage];
        }
        Ok(params)
    }
}

/// A certificate with its key and the chain that goes with it.
#[derive(Debug)]
pub struct Issued {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The chain in PEM form.
    pub chain_pem: String,
    /// The key in PEM form.
    pub key_pem: String,
    key: Vec<u8>,
}

impl Issued {
    /// A certificate that nobody but itself vouches for.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn self_signed(wanted: &Wanted<'_>) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let certificate = wanted.params()?.self_signed(&key)?;
        Ok(Self {
            chain: vec![certificate.der().clone()],
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key: key.serialize_der(),
        })
    }

    /// The key, as rustls takes it.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// A server that shows this certificate and offers these application protocols. With `clients`, it demands a
    /// certificate issued by that authority.
    ///
    /// # Errors
    /// When key and certificate do not fit.
    pub fn server(&self, protocols: &[&str], clients: Option<&Authority>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.der().clone())?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| rustls::Error::General(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(self.chain.clone(), self.key())?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    above: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// A root of its own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn root(name: &str) -> Result<Self, Error> {
        let params = Wanted { common_name: name, ca: true, ..Wanted::default() }.params()?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?, above: Vec::new() })
    }

    /// An authority below this one; what it issues comes with its certificate.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn below(&self, name: &str, validity: Validity) -> Result<Self, Error> {
        let params = Wanted { common_name: name, ca: true, validity, ..Wanted::default() }.params()?;
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate()?, &self.issuer)?;
        let above = std::iter::once(issuer.der().clone()).chain(self.above.iter().cloned()).collect();
        Ok(Self { issuer, above })
    }

    /// Its certificate in PEM form.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn issue(&self, wanted: &Wanted<'_>) -> Result<Issued, Error> {
        let key = KeyPair::generate()?;
        let certificate = wanted.params()?.signed_by(&key, &self.issuer)?;
        let chain: Vec<_> = std::iter::once(certificate.der().clone()).chain(self.above.iter().cloned()).collect();
        let mut chain_pem = certificate.pem();
        if !self.above.is_empty() {
            chain_pem.push_str(&self.issuer.pem());
        }
        Ok(Issued { chain, chain_pem, key_pem: key.serialize_pem(), key: key.serialize_der() })
    }
}
