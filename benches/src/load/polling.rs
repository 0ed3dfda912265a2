//! A client that polls: one connection, one request at a time, and the packets in the answers.

use std::borrow::Cow;

pub(super) use carillon_core::packet::engine::SEPARATOR;
use httparse::{EMPTY_HEADER, Response, Status};
use serde::Deserialize;

use super::target::Target;

/// Headers of an answer that can be read.
const HEADERS: usize = 32;

/// What such a client has to say, and what it waits for.
#[derive(Debug)]
pub(crate) struct Polling {
    /// The path with its query, up to the session.
    path: String,
    host: String,
    /// Packets for the next request.
    said: String,
    /// The request that has no answer yet.
    pending: Option<Request>,
    /// Whether it polls although it expects nothing, as clients do; without, its connection is free for what it says.
    pub(crate) eager: bool,
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Poll,
    Post,
}

/// The first packet of a session.
#[derive(Deserialize)]
struct Open {
    sid: String,
}

impl Polling {
    /// Client `index` of `target`.
    pub(super) fn new(target: &Target, index: usize) -> Self {
        let (path, host) = target.polling(index);
        Self { path, host, said: String::new(), pending: None, eager: true }
    }

    /// Queues a packet.
    pub(super) fn say(&mut self, packet: &str) {
        if !self.said.is_empty() {
            self.said.push(char::from(SEPARATOR));
        }
        self.said.push_str(packet);
    }

    /// The next request, when there is none under way: what there is to say, or else a poll if `waits` for something.
    pub(super) fn request(&mut self, waits: bool) -> Option<String> {
        let Self { path, host, said, .. } = self;
        if self.pending.is_some() || said.is_empty() && !waits && !self.eager {
            return None;
        }
        if said.is_empty() {
            self.pending = Some(Request::Poll);
            return Some(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        }
        self.pending = Some(Request::Post);
        let said = std::mem::take(said);
        let kind = "Content-Type: text/plain;charset=UTF-8\r\nContent-Length";
        Some(format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{kind}: {}\r\n\r\n{said}", said.len()))
    }

    /// The request under way has been answered; whether the body holds packets.
    pub(super) fn answered(&mut self) -> bool {
        self.pending.take() == Some(Request::Poll)
    }

    /// The session is open: every later request names it.
    pub(super) fn open(&mut self, packet: &[u8]) {
        if let Some(Ok(Open { sid })) = packet.strip_prefix(b"0").map(serde_json::from_slice) {
            self.path.push_str("&sid=");
            self.path.push_str(&sid);
        }
    }
}

/// An answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: Cow<'a, [u8]>,
    /// Bytes of all of it.
    pub(super) len: usize,
}

/// The answer that begins here, when all of it has arrived.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<Answer<'_>>, httparse::Error> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut response = Response::new(&mut headers);
    let Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value))
    };
    if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return chunked(&bytes[head..])
            .map(|body| body.map(|(body, used)| Answer { status, body: Cow::Owned(body), len: head + used }))
            .map_err(|_| httparse::Error::Token);
    }
    let length: usize = header("content-length").and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let body = bytes.get(head..head.saturating_add(length));
    Ok(body.map(|body| Answer { status, body: Cow::Borrowed(body), len: head + length }))
}

/// A body in chunks, and how many bytes it takes.
fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, httparse::InvalidChunkSize> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Status::Complete((head, size)) = httparse::parse_chunk_size(&bytes[at..])? else { return Ok(None) };
        let size = usize::try_from(size).unwrap_or(usize::MAX / 2);
        let Some(chunk) = bytes.get(at + head..at + head + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        at += head + size + 2;
        if bytes.len() < at {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::packet::Dialect;

    /// Requests follow each other: what there is to say goes first, and nothing is asked while an answer is due.
    #[test]
    fn one_request_at_a_time() {
        let target = Target::local(([127, 0, 0, 1], 9).into(), Dialect::new("/bench", "tick"));
        let mut polling = Polling::new(&target, 3);
        let first = polling.request(true).unwrap();
        assert!(
            first.starts_with("GET /socket.io/?EIO=4&transport=polling&client=3 HTTP/1.1\r\nHost: 127.0.0.1:9\r\n")
        );
        polling.say("3");
        polling.say("40/bench,");
        assert_eq!(polling.request(true), None, "one is under way");
        assert!(polling.answered());
        polling.open(b"0{\"sid\":\"x\"}");
        let post = polling.request(true).unwrap();
        assert!(post.starts_with("POST /socket.io/?EIO=4&transport=polling&client=3&sid=x "), "{post}");
        assert!(post.ends_with("Content-Length: 11\r\n\r\n3\u{1e}40/bench,"), "{post}");
        assert!(!polling.answered(), "no packets in an `ok`");
        polling.eager = false;
        assert_eq!(polling.request(false), None);
        assert!(polling.request(true).unwrap().starts_with("GET "));
    }

    /// An answer is read when all of it is there, whole or in chunks, and never before.
    #[test]
    fn answers_in_pieces() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n2\u{1e}401",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n2\u{1e}\r\n3\r\n401\r\n0\r\n\r\n",
        ] {
            for cut in 0..text.len() {
                assert_eq!(answer(&text.as_bytes()[..cut]).unwrap(), None, "{cut} of {text}");
            }
            let Answer { status, body, len } = answer(text.as_bytes()).unwrap().unwrap();
            assert_eq!((status, &*body, len), (200, &b"2\x1e401"[..], text.len()));
        }
        assert_eq!(answer(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap().unwrap().status, 400);
        assert!(answer(b"nonsense\r\n\r\n").is_err());
        assert!(answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n").is_err());
    }
}
