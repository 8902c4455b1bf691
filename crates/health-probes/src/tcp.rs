//! `tcp`: a connection must be accepted.

use health_model::TcpProbe;

use crate::{Ask, failure::Failure, trace::Trace};

/// What every plain connection that succeeded says.
const CONNECTED: &str = "Connection Successful";

/// Connects.
pub(crate) async fn probe(ask: &Ask<'_>, tcp: &TcpProbe, trace: &mut Trace) -> Result<String, Failure> {
    if tcp.tls.enabled || tcp.start_tls.is_some() || tcp.expect_refused || !tcp.dialogue.is_empty() {
        return Err(Failure::configuration("tcp options beyond host and port are not supported yet"));
    }
    let _stream = ask.connector.tcp(&tcp.host, tcp.port, ask.family, trace).await?;
    Ok(CONNECTED.to_owned())
}
