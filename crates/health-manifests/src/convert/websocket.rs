//! `websocket`.

use health_model::{HttpAuth, WebSocketProbe};

use super::{Conversion, tcp::transpose, tls::TlsUse, url::UrlShape};
use crate::{path::FieldPath, resource::websocket::WebSocket};

impl Conversion<'_> {
    /// Reads the section.
    pub(crate) fn websocket(&mut self, path: &FieldPath<'_>, websocket: &WebSocket) -> Option<WebSocketProbe> {
        let WebSocket { url, headers, send, expect, tls } = websocket;
        let url = self.url(&path.key("url"), &url.0, UrlShape::WEBSOCKET);
        let headers = self.headers(&path.key("headers"), headers);
        let send = send.as_deref().map(|text| self.text_message(&path.key("send"), text));
        let expect = expect.as_deref().map(|text| self.multi_line_pattern(&path.key("expect"), text));
        let tls = self.tls(&path.key("tls"), tls.as_ref(), TlsUse::Scheme);
        let (url, user_info) = url?;
        Some(WebSocketProbe {
            url,
            headers,
            auth: user_info.map(HttpAuth::Basic),
            send: transpose(send)?,
            expect: transpose(expect)?,
            tls: tls?.0,
        })
    }

    /// A text message must be UTF-8 (RFC 6455 section 5.6).
    fn text_message(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Vec<u8>> {
        let bytes = self.bytes(path, text)?;
        let good = std::str::from_utf8(&bytes).is_ok();
        if !good {
            self.fault(path, "is no UTF-8 text once its escapes are undone", "write the characters themselves");
        }
        good.then_some(bytes)
    }
}
