//! How the question travels: UDP, TCP, TLS, HTTPS.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use health_model::{DnsProbe, DnsTransport, Host};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::Url;

use super::{
    https,
    message::{self, Answer, NoAnswer, Question},
};
use crate::{
    Ask,
    failure::Failure,
    tls::{Alpn, TlsPeer},
    trace::{Phase, Trace},
    udp,
};

/// A datagram may be lost: the question is repeated after this long, then after twice as long, and so on.
const FIRST_REPEAT: Duration = Duration::from_secs(1);
/// The largest datagram that is read.
const LARGEST_DATAGRAM: usize = 4096;

/// One address of a server.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) address: SocketAddr,
    /// What its certificate must be for.
    pub(super) host: Host,
    /// The endpoint, where one was given.
    pub(super) url: Option<&'a Url>,
}

/// Asks one server, over the transport of the check; over TCP again where a datagram was too small.
pub(super) async fn ask(
    ask: &Ask<'_>,
    dns: &DnsProbe,
    server: &Server<'_>,
    question: &Question,
    trace: &mut Trace,
) -> Result<Answer, Failure> {
    match dns.transport {
        DnsTransport::Udp => {
            let answer = over_udp(server.address, question, trace).await?;
            if answer.truncated { over_tcp(ask, server, question, trace).await } else { Ok(answer) }
        }
        DnsTransport::Tcp => over_tcp(ask, server, question, trace).await,
        DnsTransport::Tls => {
            let stream = ask.connector.dial(&[server.address], trace).await?;
            let peer = TlsPeer { host: &server.host, options: &dns.tls, alpn: Alpn::Dot };
            let mut stream = Box::pin(ask.connector.tls(stream, &peer, trace)).await?;
            exchange(&mut stream, question, trace).await
        }
        DnsTransport::Https => Box::pin(https::ask(ask, dns, server, question, trace)).await,
    }
}

async fn over_udp(address: SocketAddr, question: &Question, trace: &mut Trace) -> Result<Answer, Failure> {
    let mut patience = FIRST_REPEAT;
    let broken = |error: io::Error| Failure::io(&error, address, "asking over UDP");
    loop {
        // A new port and a new id each time: guessing one repeat tells nothing about the next.
        trace.enter(Phase::Connect);
        let socket = udp::connected(address).await.map_err(broken)?;
        let id = rand::random();
        let bytes = encoded(question, id)?;
        trace.enter(Phase::Processing);
        socket.send(&bytes).await.map_err(broken)?;
        let until = Instant::now() + patience;
        let mut buffer = [0; LARGEST_DATAGRAM];
        while let Ok(received) = tokio::time::timeout_at(until.into(), socket.recv(&mut buffer)).await {
            let length = received.map_err(broken)?;
            match message::decode(&buffer[..length], question, id) {
                Ok(answer) => {
                    trace.leave();
                    return Ok(answer);
                }
                Err(problem @ NoAnswer::Foreign(_)) => {
                    trace.note(format!("{address}: a datagram was ignored: {problem}"))
                }
                Err(problem @ NoAnswer::Broken(_)) => return Err(no_answer(address, &problem)),
            }
        }
        trace.note(format!("{address}: no answer within {} s, asked again", patience.as_secs()));
        patience *= 2;
    }
}

async fn over_tcp(
    ask: &Ask<'_>,
    server: &Server<'_>,
    question: &Question,
    trace: &mut Trace,
) -> Result<Answer, Failure> {
    let mut stream = ask.connector.dial(&[server.address], trace).await?;
    exchange(&mut stream, question, trace).await
}

/// One question and its answer on a stream, each behind its length (RFC 1035 section 4.2.2).
async fn exchange<S>(stream: &mut S, question: &Question, trace: &mut Trace) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    trace.enter(Phase::Processing);
    let id = rand::random();
    let bytes = encoded(question, id)?;
    let length = u16::try_from(bytes.len()).map_err(|_| Failure::configuration("name: makes no DNS message"))?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(&bytes);
    let talk = async {
        stream.write_all(&framed).await?;
        stream.flush().await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = talk.await.map_err(|error| trace.broken(&error, "asking over a stream"))?;
    trace.leave();
    let from = trace.remote.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
    message::decode(&answer, question, id).map_err(|problem| no_answer(from, &problem))
}

/// The bytes of a question.
pub(super) fn encoded(question: &Question, id: u16) -> Result<Vec<u8>, Failure> {
    message::encode(question, id)
        .map_err(|error| Failure::configuration(format!("name: cannot be asked for ({error})")))
}

/// The server's bytes are no answer.
pub(super) fn no_answer(from: SocketAddr, problem: &NoAnswer) -> Failure {
    Failure::protocol(format!("what {from} sent back cannot be used: {problem}"))
}
