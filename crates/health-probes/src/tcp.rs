//! `tcp`: a connection must be accepted (or refused), TLS agreed on, a dialogue held.

use health_model::{DialogueStep, Reason, TcpProbe};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    Ask,
    dialogue::{Heard, confidential},
    failure::Failure,
    starttls,
    tls::{self, Alpn, TlsPeer},
    trace::{Phase, Trace},
};

/// What every connection that succeeded says.
const CONNECTED: &str = "Connection Successful";
/// What a refusal that was asked for says.
const REFUSED: &str = "Connection Refused, as expected";
/// Bytes read at once.
const READ: usize = 4096;

/// Connects, and does what else the check asks for.
pub(crate) async fn probe(ask: &Ask<'_>, tcp: &TcpProbe, trace: &mut Trace) -> Result<String, Failure> {
    let connected = ask.connector.tcp(&tcp.host, tcp.port, ask.family, trace).await;
    if tcp.expect_refused {
        return refused(connected.map(drop), tcp);
    }
    let mut stream = connected?;
    if let Some(protocol) = tcp.start_tls {
        let host = tcp.tls.server_name.clone().unwrap_or_else(|| tcp.host.to_string());
        trace.enter(Phase::Tls);
        Box::pin(starttls::negotiate(protocol, &mut stream, &host, trace)).await?;
    }
    if tcp.tls.enabled || tcp.start_tls.is_some() {
        let peer = TlsPeer { host: &tcp.host, options: &tcp.tls, alpn: Alpn::None };
        let mut stream = Box::pin(ask.connector.tls(stream, &peer, trace)).await?;
        hold(&mut stream, &tcp.dialogue, trace).await?;
        tls::check_expiry(trace, tcp.certificate_expiry_days, Timestamp::now())?;
    } else {
        hold(&mut stream, &tcp.dialogue, trace).await?;
    }
    Ok(CONNECTED.to_owned())
}

fn refused(connected: Result<(), Failure>, tcp: &TcpProbe) -> Result<String, Failure> {
    match connected {
        Err(failure) if failure.reason == Reason::ConnectionRefused => Ok(REFUSED.to_owned()),
        Err(failure) => Err(failure),
        Ok(()) => Err(Failure::new(
            Reason::UnexpectedAnswer,
            format!(
                "connection accepted by {}, expected it to be refused (expectRefused)",
                tcp.host.with_port(tcp.port)
            ),
        )),
    }
}

/// Holds a dialogue on an open connection: in each step what is to be sent goes first, then the answer is waited for.
pub(crate) async fn hold<S>(stream: &mut S, steps: &[DialogueStep], trace: &mut Trace) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if steps.is_empty() {
        return Ok(());
    }
    trace.enter(Phase::Processing);
    let sent = steps.iter().filter_map(|step| step.send.as_deref());
    let mut heard = Heard::hiding(sent.flat_map(confidential).collect());
    for step in steps {
        if let Some(bytes) = &step.send {
            let sent = async {
                stream.write_all(bytes).await?;
                stream.flush().await
            };
            sent.await.map_err(|error| trace.broken(&error, "sending"))?;
        }
        if let Some(expect) = &step.expect {
            listen(stream, &mut heard, expect, trace).await?;
        }
    }
    trace.leave();
    Ok(())
}

async fn listen<S>(
    stream: &mut S,
    heard: &mut Heard<'_>,
    expect: &health_model::Pattern,
    trace: &mut Trace,
) -> Result<(), Failure>
where
    S: AsyncRead + Unpin,
{
    let mut buffer = vec![0; READ];
    while !heard.take_match(expect) {
        if heard.is_full() {
            return Err(heard.unexpected(expect, "64 KiB came without it"));
        }
        let read = stream.read(&mut buffer).await.map_err(|error| trace.broken(&error, "waiting for an answer"))?;
        if read == 0 {
            return Err(heard.unexpected(expect, "the connection was closed after"));
        }
        heard.extend(&buffer[..read]);
        heard.note(trace);
    }
    Ok(())
}
