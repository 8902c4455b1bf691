//! A TCP peer that does exactly what a test tells it to, and ends with the test.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A listening peer; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// Listens on a free port of `127.0.0.1` (or what `bind` says) and hands every connection to `serve`.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn start<F, S>(bind: &str, serve: F) -> io::Result<Self>
    where
        F: Fn(TcpStream) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((bind, 0)).await?;
        let address = listener.local_addr()?;
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, accepted, task })
    }

    /// As [`Peer::start`] on `127.0.0.1`, with TLS agreed on first; failed handshakes are dropped.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start_tls<F, S>(config: Arc<ServerConfig>, serve: F) -> io::Result<Self>
    where
        F: Fn(TlsStream<TcpStream>) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        Self::start_tls_on("127.0.0.1", config, serve).await
    }

    /// As [`Peer::start_tls`], on an address of one's own.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn start_tls_on<F, S>(bind: &str, config: Arc<ServerConfig>, serve: F) -> io::Result<Self>
    where
        F: Fn(TlsStream<TcpStream>) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let acceptor = TlsAcceptor::from(config);
        let serve = Arc::new(serve);
        Self::start(bind, move |stream| {
            let (acceptor, serve) = (acceptor.clone(), Arc::clone(&serve));
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            }
        })
        .await
    }

    /// A peer that answers every request (read up to its blank line) with these bytes, then closes.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> io::Result<Self> {
        Self::answering_on("127.0.0.1", answer).await
    }

    /// As [`Peer::answering`], on an address of one's own.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn answering_on(bind: &str, answer: impl Into<Vec<u8>>) -> io::Result<Self> {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(bind, move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
                // The other side closes first, so that nothing is lost in a reset.
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
        })
        .await
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Reads a request up to and with its blank line, and returns what was read, or what came before the end.
pub async fn read_head<S>(stream: &mut S) -> String
where
    S: tokio::io::AsyncRead + Unpin,
{
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 << 10 {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
