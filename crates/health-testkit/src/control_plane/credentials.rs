//! Who the control plane trusts and who may speak to it: an authority, the API server's certificate, the key that signs
//! ServiceAccount tokens, the administrator's token, kubeconfigs. Must not be used outside tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::ControlPlaneError;

pub(super) const SERVER_CERTIFICATE: &str = "api-server.crt";
pub(super) const SERVER_KEY: &str = "api-server.key";
pub(super) const TOKENS: &str = "tokens.csv";
pub(super) const ACCOUNTS_KEY: &str = "service-accounts.key";
pub(super) const ACCOUNTS_PUBLIC_KEY: &str = "service-accounts.pub";

/// A control plane that nobody but its test can reach needs no better secret.
const ADMIN_TOKEN: &str = "administrator-of-a-test";

impl From<rcgen::Error> for ControlPlaneError {
    fn from(error: rcgen::Error) -> Self {
        Self::new(format!("control plane: certificate: {error}"))
    }
}

#[derive(Debug)]
pub(super) struct Credentials {
    home: PathBuf,
    address: String,
    ca: String,
    admin: PathBuf,
    written: AtomicU32,
}

impl Credentials {
    pub(super) fn create(home: &Path, address: &str) -> Result<Self, ControlPlaneError> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::<String>::new())?;
        authority.distinguished_name.push(DnType::CommonName, "authority of a test");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let server_key = KeyPair::generate()?;
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let server = CertificateParams::new(names)?.signed_by(&server_key, &issuer)?;

        let accounts = KeyPair::generate()?;
        fs::write(home.join(SERVER_CERTIFICATE), server.pem())?;
        fs::write(home.join(SERVER_KEY), server_key.serialize_pem())?;
        fs::write(home.join(ACCOUNTS_KEY), accounts.serialize_pem())?;
        fs::write(home.join(ACCOUNTS_PUBLIC_KEY), accounts.public_key_pem())?;
        fs::write(home.join(TOKENS), format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n"))?;

        let mut credentials = Self {
            home: home.to_path_buf(),
            address: address.to_owned(),
            ca,
            admin: PathBuf::new(),
            written: AtomicU32::new(0),
        };
        fs::write(home.join("ca.crt"), &credentials.ca)?;
        credentials.admin = credentials.kubeconfig_for(ADMIN_TOKEN, "default")?;
        Ok(credentials)
    }

    pub(super) fn ca_pem(&self) -> &str {
        &self.ca
    }

    pub(super) fn admin_token(&self) -> &'static str {
        ADMIN_TOKEN
    }

    pub(super) fn admin_kubeconfig(&self) -> &Path {
        &self.admin
    }

    pub(super) fn kubeconfig_for(&self, token: &str, namespace: &str) -> Result<PathBuf, ControlPlaneError> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let path = self.home.join(format!("kubeconfig-{number}.yaml"));
        fs::write(
            &path,
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
                 clusters:\n- name: test\n  cluster:\n    server: {address}\n    certificate-authority: {ca}\n\
                 users:\n- name: test\n  user:\n    token: {token}\n\
                 contexts:\n- name: test\n  context: {{cluster: test, user: test, namespace: {namespace}}}\n",
                address = self.address,
                ca = self.home.join("ca.crt").display(),
            ),
        )?;
        Ok(path)
    }
}
