//! A provider on the loopback: records every request and answers as it is told to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What a provider does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status line and headers (without the final blank line), and a body.
    Says(&'static str, Vec<u8>),
    /// Never answers.
    Hangs,
    /// Reads the request and resets the connection.
    Resets,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: tokio::time::Instant,
}

impl Received {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The provider.
pub struct Provider {
    pub url: String,
    state: Arc<State>,
    count: watch::Receiver<usize>,
}

struct State {
    script: Mutex<VecDeque<Answer>>,
    usual: Mutex<Answer>,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
}

impl Provider {
    /// Starts one that accepts everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, count) = watch::channel(0);
        let state = Arc::new(State {
            script: Mutex::default(),
            usual: Mutex::new(Answer::Says("200 OK", b"ok".to_vec())),
            received: Mutex::default(),
            count: sender,
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, state, count }
    }

    /// Answers the next requests like this, one after the other, before the usual answer.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.script.lock().unwrap().extend(answers);
    }

    /// Answers every further request like this.
    pub fn usually(&self, answer: Answer) {
        *self.state.usual.lock().unwrap() = answer;
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub async fn wait_for(&self, requests: usize) -> Vec<Received> {
        let mut count = self.count.clone();
        let waited = tokio::time::timeout(Duration::from_secs(20), count.wait_for(|count| *count >= requests)).await;
        let received = self.received();
        assert!(waited.is_ok(), "waited for {requests} requests, {} came: {received:?}", received.len());
        received
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let answer = state.script.lock().unwrap().pop_front();
        let answer = answer.unwrap_or_else(|| state.usual.lock().unwrap().clone());
        state.received.lock().unwrap().push(request);
        let done = respond(&mut stream, &answer).await;
        state.count.send_modify(|count| *count += 1);
        if !done {
            if matches!(answer, Answer::Hangs) {
                let _ = stream.read(&mut [0; 64]).await;
            }
            return;
        }
    }
}

async fn respond(stream: &mut TcpStream, answer: &Answer) -> bool {
    match answer {
        Answer::Says(head, body) => {
            let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.is_ok() && stream.write_all(body).await.is_ok()
        }
        Answer::Hangs => false,
        Answer::Resets => {
            let _ = stream.set_zero_linger();
            false
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let mut lines = head.split("\r\n");
            let mut first = lines.next()?.split(' ');
            let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
            let headers: Vec<(String, String)> =
                lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            let length = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case("content-length"));
            let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
            while buffer.len() < end + 4 + length {
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            let body = buffer[end + 4..end + 4 + length].to_vec();
            buffer.drain(..end + 4 + length);
            return Some(Received { method, path, headers, body, at: tokio::time::Instant::now() });
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
