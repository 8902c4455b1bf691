//! `udp`.

use health_model::UdpProbe;

use super::{Conversion, tcp::transpose};
use crate::{path::FieldPath, resource::udp::Udp};

impl Conversion<'_> {
    /// Reads the section.
    pub(crate) fn udp(&mut self, path: &FieldPath<'_>, udp: &Udp) -> Option<UdpProbe> {
        let Udp { host, port, send, expect } = udp;
        let host = self.host(&path.key("host"), host);
        let port = self.port(&path.key("port"), *port);
        let send = self.bytes(&path.key("send"), send);
        let expect = expect.as_deref().map(|text| self.multi_line_pattern(&path.key("expect"), text));
        Some(UdpProbe { host: host?, port: port?, send: send?, expect: transpose(expect)? })
    }
}
