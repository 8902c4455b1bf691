//! One request on a connection of its own, up to the head of its answer: connect, proxy, TLS, protocol version.

use bytes::Bytes;
use health_model::{Host, HttpVersion, TlsOptions};
use http::Request;
use http_body_util::Full;

use super::{
    Errand, host_of, proxy,
    redirect::Hop,
    request::{self, Travel},
    wire::{self, Answer, AnyStream},
};
use crate::{
    failure::Failure,
    tls::{Alpn, TlsPeer},
    trace::Trace,
};

impl Errand<'_> {
    /// Asks once, where this hop leads, with this bearer token from an OAuth 2 server.
    pub(super) async fn exchange(&self, hop: &Hop, token: Option<&str>, trace: &mut Trace) -> Result<Answer, Failure> {
        let secure = hop.url.scheme() == "https";
        let host = host_of(&hop.url)?;
        let port = hop.url.port_or_known_default().unwrap_or(if secure { 443 } else { 80 });
        if secure {
            let stream = Box::pin(self.reached(&host, port, trace)).await?;
            return Box::pin(self.secured(hop, token, stream, trace)).await;
        }
        if self.http.proxy.is_some() {
            let request = request::build(self.http, hop, Travel::Http1ByProxy, token, self.looks_at_body)?;
            return Box::pin(self.passed_on(request, &host, port, trace)).await;
        }
        let travel = plain_travel(self.http.version)?;
        let request = request::build(self.http, hop, travel, token, self.looks_at_body)?;
        let stream = self.ask.connector.tcp(&host, port, self.ask.family, trace).await?;
        match travel {
            Travel::Http2 => Box::pin(wire::http2(stream, request, trace)).await,
            Travel::Http1 | Travel::Http1ByProxy => wire::http1(stream, request, trace).await,
        }
    }

    /// A plain request that a proxy passes on.
    async fn passed_on(
        &self,
        request: Request<Full<Bytes>>,
        host: &Host,
        port: u16,
        trace: &mut Trace,
    ) -> Result<Answer, Failure> {
        let stream = match &self.http.proxy {
            Some(proxy) => {
                proxy::permitted(self.ask, host, port, trace).await?;
                proxy::connect(self.ask, proxy, trace).await?
            }
            None => self.reached(host, port, trace).await?,
        };
        wire::http1(stream, request, trace).await
    }

    /// A stream to the target's own port, through the proxy's tunnel where there is one.
    async fn reached(&self, host: &Host, port: u16, trace: &mut Trace) -> Result<AnyStream, Failure> {
        let Some(proxy) = &self.http.proxy else {
            return Ok(Box::new(self.ask.connector.tcp(host, port, self.ask.family, trace).await?));
        };
        proxy::permitted(self.ask, host, port, trace).await?;
        let stream = proxy::connect(self.ask, proxy, trace).await?;
        // What is known of the proxy's certificate says nothing about the target's.
        trace.certificate = None;
        proxy::tunnel(stream, proxy, &host.with_port(port), trace).await
    }

    /// The part of an exchange that is spoken inside TLS.
    async fn secured(
        &self,
        hop: &Hop,
        token: Option<&str>,
        stream: AnyStream,
        trace: &mut Trace,
    ) -> Result<Answer, Failure> {
        let host = &host_of(&hop.url)?;
        let alpn = match self.http.version {
            HttpVersion::Auto => Alpn::H2OrHttp1,
            HttpVersion::Http1 => Alpn::Http1,
            HttpVersion::Http2 => Alpn::H2,
            HttpVersion::H2c => {
                let problem = "httpVersion: H2C is HTTP/2 without TLS: for https, set HTTP2 or Auto";
                return Err(Failure::configuration(problem));
            }
        };
        // Name and certificate of ours belong to the check's own origin; another hop is judged by its own name.
        let foreign;
        let options = if hop.own_origin {
            &self.http.tls
        } else {
            foreign = TlsOptions { server_name: None, client_certificate: None, ..self.http.tls.clone() };
            &foreign
        };
        let stream = self.ask.connector.tls(stream, &TlsPeer { host, options, alpn }, trace).await?;
        let build = |travel| request::build(self.http, hop, travel, token, self.looks_at_body);
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            return wire::http2(stream, build(Travel::Http2)?, trace).await;
        }
        if self.http.version == HttpVersion::Http2 {
            return Err(Failure::protocol(
                "the server does not agree on HTTP/2 (ALPN): set httpVersion to Auto or HTTP1",
            ));
        }
        wire::http1(stream, build(Travel::Http1)?, trace).await
    }
}

fn plain_travel(version: HttpVersion) -> Result<Travel, Failure> {
    match version {
        HttpVersion::Auto | HttpVersion::Http1 => Ok(Travel::Http1),
        HttpVersion::H2c => Ok(Travel::Http2),
        HttpVersion::Http2 => {
            Err(Failure::configuration("httpVersion: HTTP2 is spoken over https only: without TLS, set H2C"))
        }
    }
}
