//! `grpc`.

use health_model::GrpcProbe;

use super::{Conversion, tls::TlsUse};
use crate::{
    path::FieldPath,
    resource::{grpc::Grpc, tls::SslCheck},
};

impl Conversion<'_> {
    /// Reads the section.
    pub(crate) fn grpc(&mut self, path: &FieldPath<'_>, grpc: &Grpc, beside: Option<&SslCheck>) -> Option<GrpcProbe> {
        let Grpc { host, port, service, metadata, tls, ssl_check } = grpc;
        let host = self.host(&path.key("host"), host);
        let port = self.port(&path.key("port"), *port);
        for (index, entry) in metadata.iter().enumerate() {
            if entry.name.to_ascii_lowercase().starts_with("grpc-") {
                let path = path.key("metadata");
                self.fault(path.index(index), "has a name that belongs to gRPC", "choose one without grpc- in front");
            }
        }
        let metadata = self.headers(&path.key("metadata"), metadata);
        let tls = self.tls(&path.key("tls"), tls.as_ref(), TlsUse::Switch);
        let certificate_expiry_days = self.ssl_check(ssl_check.as_ref(), beside);
        let tls = tls?.0;
        self.ssl_check_needs_tls(path, certificate_expiry_days, &tls);
        let service = service.clone().unwrap_or_default();
        Some(GrpcProbe { host: host?, port: port?, service, metadata, tls, certificate_expiry_days })
    }
}
