//! `tls` and `sslCheck`.

use health_model::{StartTls, TlsOptions, TlsVersion};

use super::{Conversion, value::Read};
use crate::{
    material::MaterialKind,
    path::FieldPath,
    resource::tls::{ClientCertificate, SslCheck, StartTls as StartTlsSpec, Tls, TlsVersion as TlsVersionSpec},
};

/// What a probe does with `tls`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsUse {
    /// The URL's scheme (or the transport) says whether TLS is spoken.
    Scheme,
    /// `enabled` says it.
    Switch,
    /// `enabled` or `startTls` says it.
    SwitchOrStartTls,
}

impl Conversion<'_> {
    /// Reads `tls`; absent is all defaults.
    pub(crate) fn tls(
        &mut self,
        path: &FieldPath<'_>,
        tls: Option<&Tls>,
        usage: TlsUse,
    ) -> Option<(TlsOptions, Option<StartTls>)> {
        let Some(tls) = tls else { return Some((TlsOptions::default(), None)) };
        let Tls { enabled, server_name, ca, client_certificate, insecure_skip_verify, min_version, start_tls } = tls;
        if start_tls.is_some() && usage != TlsUse::SwitchOrStartTls {
            self.fault(path.key("startTls"), "works in tcp only", "remove it");
        }
        if start_tls.is_some() && *enabled == Some(false) {
            self.fault(path.key("enabled"), "is false although startTls asks for TLS", "remove one of the two");
        }
        if enabled.is_some() && usage == TlsUse::Scheme {
            self.fault(path.key("enabled"), "has no effect here", "remove it: the address says whether TLS is spoken");
        }
        let ca_pem = match ca {
            Some(ca) => Some(self.certificate_authority(&path.key("ca"), ca)?),
            None => None,
        };
        let client_certificate = match client_certificate {
            Some(reference) => Some(self.client_certificate(&path.key("clientCertificate"), reference)?),
            None => None,
        };
        let options = TlsOptions {
            enabled: enabled.unwrap_or(false) || start_tls.is_some(),
            server_name: server_name.clone(),
            ca_pem,
            client_certificate,
            insecure_skip_verify: insecure_skip_verify.unwrap_or(false),
            min_version: match min_version {
                Some(TlsVersionSpec::V1_3) => TlsVersion::V1_3,
                Some(TlsVersionSpec::V1_2) | None => TlsVersion::V1_2,
            },
        };
        Some((options, start_tls.map(Into::into)))
    }

    fn certificate_authority(
        &mut self,
        path: &FieldPath<'_>,
        ca: &crate::resource::value::ValueOrRef,
    ) -> Option<health_model::Sensitive> {
        match self.value(path, ca)? {
            Read::Known(pem) if !pem.expose().contains("-----BEGIN CERTIFICATE-----") => {
                self.fault(path, "holds no certificate in PEM", "give text with -----BEGIN CERTIFICATE-----");
                None
            }
            read => Some(read.into_sensitive()),
        }
    }

    fn client_certificate(
        &mut self,
        path: &FieldPath<'_>,
        reference: &ClientCertificate,
    ) -> Option<health_model::ClientCertificate> {
        let ClientCertificate { secret_name } = reference;
        let path = path.key("secretName");
        let Some(held) = self.held(&path, MaterialKind::Secret, secret_name)? else {
            return Some(health_model::ClientCertificate { certificate_pem: "".into(), key_pem: "".into() });
        };
        let certificate_pem = self.text(&held, "tls.crt");
        let key_pem = self.text(&held, "tls.key");
        Some(health_model::ClientCertificate { certificate_pem: certificate_pem?.into(), key_pem: key_pem?.into() })
    }
}

/// Days of `sslCheck`.
pub(crate) fn expiry_days(check: Option<&SslCheck>) -> Option<u32> {
    check.map(|SslCheck { expiration }| u32::try_from(*expiration).unwrap_or(u32::MAX))
}

impl From<StartTlsSpec> for StartTls {
    fn from(spec: StartTlsSpec) -> Self {
        match spec {
            StartTlsSpec::Smtp => Self::Smtp,
            StartTlsSpec::Imap => Self::Imap,
            StartTlsSpec::Pop3 => Self::Pop3,
            StartTlsSpec::Ftp => Self::Ftp,
            StartTlsSpec::Ldap => Self::Ldap,
            StartTlsSpec::Xmpp => Self::Xmpp,
            StartTlsSpec::Postgres => Self::Postgres,
            StartTlsSpec::MySql => Self::MySql,
        }
    }
}
