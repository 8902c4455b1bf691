//! A target that answers as the test says, and remembers what it was sent.

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Condvar, Mutex},
};

use crate::operator::PATIENCE;

/// An HTTP server on a port of its own. It answers as long as the process lives.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    requests: Arc<Mutex<Vec<String>>>,
    came: Arc<Condvar>,
}

impl Target {
    /// Answers with this status line and body.
    pub(crate) fn answering(status: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::default(),
            requests: Arc::default(),
            came: Arc::default(),
        };
        target.answer(status, body);
        let serving = target.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let request = read_request(&mut stream);
                serving.requests.lock().unwrap().push(request);
                serving.came.notify_all();
                let answer = serving.answer.lock().unwrap().clone();
                // The prober may have gone away.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        target
    }

    /// From now on, this.
    pub(crate) fn answer(&self, status: &str, body: &str) {
        let length = body.len();
        *self.answer.lock().unwrap() =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// All requests so far, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until it was asked this often.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let requests = self.requests.lock().unwrap();
        let too_few = |requests: &mut Vec<String>| requests.len() < count;
        let (requests, waited) = self.came.wait_timeout_while(requests, 4 * PATIENCE, too_few).unwrap();
        assert!(!waited.timed_out(), "waited in vain for request {count}; only {} came", requests.len());
    }
}

fn read_request(stream: &mut impl Read) -> String {
    let mut stream = BufReader::new(stream);
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length == 1) {
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    // A peer that goes away in the middle has sent nothing worth noting.
    let _ = stream.read_exact(&mut body);
    request.extend(body);
    String::from_utf8_lossy(&request).into_owned()
}
