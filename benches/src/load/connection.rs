//! One client: from the TCP connection to the messages, by hand and with as little work per message as there can be.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use super::calling::Calling;
use super::frame::{self, Opcode};
use super::mark::Finder;
use super::nats;
use super::packet::{Dialect, Packet};
use super::polling::{self, Polling};
use super::stream::Stream;
use super::tally::Tally;
use super::target::{ACCEPT, Target};

/// How far a client has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Waiting for TCP, then for the answer to the upgrade request.
    Upgrading,
    /// A WebSocket, waiting for the Engine.IO session.
    Opening,
    /// Asked to be let into the namespace.
    Joining,
    /// In the namespace.
    Ready,
    /// Over.
    Closed,
}

/// What a client does with what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Reads, and must receive everything.
    Counted,
    /// Reads, and is left out of the counts.
    Aside,
    /// Does not read.
    Deaf,
}

/// What a client heard that is no message under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// An event, `["name",args..]`.
    Event(String),
    /// The answer to a call, `[args..]`.
    Ack(u64, String),
}

/// One client.
pub(crate) struct Connection {
    stream: Stream,
    pub(crate) stage: Stage,
    pub(crate) role: Role,
    /// The number the next message should have.
    pub(crate) next: u64,
    /// Answers to calls received in this round.
    pub(crate) acks: u64,
    /// Why it is closed, and since when.
    pub(crate) closed: Option<(u64, String)>,
    /// What the client heard besides messages, when someone wants to know.
    pub(crate) heard: Option<Vec<Heard>>,
    /// The events it keeps under way, when it does.
    pub(crate) calling: Option<Box<Calling>>,
    /// Its requests, when it polls.
    pub(crate) polling: Option<Box<Polling>>,
    /// Namespaces that have not let it in yet.
    joining: usize,
    index: u64,
    finder: Finder,
    /// The beginning of something whose end has not arrived.
    rest: Vec<u8>,
    /// The same within the frames, where they carry a stream.
    stream_rest: Vec<u8>,
    /// What could not be written yet.
    out: Vec<u8>,
}

impl Connection {
    /// A client whose TCP connection is being made.
    pub(crate) fn new(stream: Stream, index: usize, target: &Target) -> Self {
        let polling = (target.polls && index > 0).then(|| Box::new(Polling::new(target, index)));
        Self {
            stream,
            stage: if polling.is_some() { Stage::Opening } else { Stage::Upgrading },
            role: Role::Counted,
            next: 0,
            acks: 0,
            closed: None,
            heard: None,
            calling: None,
            joining: 0,
            index: index as u64,
            finder: Finder::default(),
            rest: Vec::new(),
            stream_rest: Vec::new(),
            out: if polling.is_some() { Vec::new() } else { target.handshake(index).into_bytes() },
            polling,
        }
    }

    /// For registration with the poll.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        self.stream.socket()
    }

    /// Starts a round.
    pub(crate) fn begin(&mut self, next: u64) {
        (self.next, self.acks) = (next, 0);
    }

    /// Queues a text packet; [`Connection::flush`] sends it.
    pub(crate) fn say(&mut self, text: &str) {
        if let Some(polling) = &mut self.polling {
            return polling.say(text);
        }
        frame::from_client(Opcode::Text, text.as_bytes(), &mut self.out);
    }

    /// Keeps so many calls under way from now on.
    pub(crate) fn begin_calling(&mut self, mut calling: Calling, calls: u64, now: u64) {
        for _ in 0..calls {
            calling.next(now, |text| self.say(text));
        }
        self.calling = Some(Box::new(calling));
        self.flush(now);
    }

    /// Sends as much as goes.
    pub(crate) fn flush(&mut self, now: u64) {
        let waits = self.stage != Stage::Ready || self.calling.as_ref().is_some_and(|calling| calling.under_way() > 0);
        if let Some(request) = self.polling.as_mut().and_then(|polling| polling.request(waits)) {
            self.out.extend_from_slice(request.as_bytes());
        }
        let mut sent = 0;
        while sent < self.out.len() {
            match self.stream.write(&self.out[sent..]) {
                Ok(written) => sent += written,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.close(now, &error.to_string()),
            }
        }
        self.out.drain(..sent);
        if let Err(error) = self.stream.flush() {
            self.close(now, &error.to_string());
        }
    }

    /// Reads until the kernel has no more, or `buffer` has been filled `turns` times: then there may be more (true).
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        turns: usize,
        (dialect, tally): (&Dialect, &mut Tally),
        clock: impl Fn() -> u64,
    ) -> bool {
        for _ in 0..turns {
            if self.role == Role::Deaf || self.stage == Stage::Closed {
                return false;
            }
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.close(clock(), "closed by the server");
                    return false;
                }
                Ok(read) => {
                    self.take(&buffer[..read], (dialect, tally), clock());
                    if !self.out.is_empty() || self.polling.is_some() {
                        self.flush(clock());
                    }
                    // A short read found the end: the next byte raises a new event.
                    if read < buffer.len() && self.stream.ends_short() {
                        return false;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // A handshake that has got further lets out what waits for it.
                    if !self.out.is_empty() && !self.stream.ends_short() {
                        self.flush(clock());
                    }
                    return false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.close(clock(), &error.to_string());
                    return false;
                }
            }
        }
        true
    }

    /// Takes what was read.
    fn take(&mut self, bytes: &[u8], (dialect, tally): (&Dialect, &mut Tally), now: u64) {
        tally.reads += 1;
        tally.bytes += bytes.len() as u64;
        let before = self.next;
        if self.rest.is_empty() {
            let used = self.consume(bytes, dialect, tally, now);
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(bytes);
            let used = self.consume(&joined, dialect, tally, now);
            joined.drain(..used);
            self.rest = joined;
        }
        if self.role == Role::Counted {
            tally.advance(before, self.next);
        }
    }

    /// Handles whatever is complete, and says how many bytes that was.
    fn consume(&mut self, bytes: &[u8], dialect: &Dialect, tally: &mut Tally, now: u64) -> usize {
        let mut at = 0;
        if self.polling.is_some() {
            return self.answers(bytes, (dialect, tally), now);
        }
        if self.stage == Stage::Upgrading {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return 0 };
            at = end + 4;
            self.upgraded(&bytes[..at], dialect, now);
        }
        let start = at;
        for (opcode, payload, end) in frame::sent(&bytes[start..]) {
            at = start + end;
            if opcode == Opcode::Binary && matches!(dialect, Dialect::Nats { .. }) {
                self.streamed(payload, dialect, tally, now);
            } else if opcode != Opcode::Text || !self.message(payload, (dialect, tally), now) {
                self.other(opcode, payload, dialect, now);
            }
        }
        at
    }

    /// Counts a message under test; false when it is none.
    #[inline]
    fn message(&mut self, payload: &[u8], (dialect, tally): (&Dialect, &mut Tally), now: u64) -> bool {
        let Some(place) = dialect.message(payload) else { return false };
        let Some((number, at)) = self.finder.find(payload) else { return false };
        if self.role == Role::Counted {
            let number = tally.shape.count(number, place);
            self.next = tally.message(self.next, self.index, (number, at), now);
        }
        true
    }

    fn upgraded(&mut self, head: &[u8], dialect: &Dialect, now: u64) {
        let head = String::from_utf8_lossy(head);
        if head.starts_with("HTTP/1.1 101") && head.contains(ACCEPT) {
            // Where nothing but messages is said, whoever is let in is subscribed.
            self.stage = if matches!(dialect, Dialect::Plain) { Stage::Ready } else { Stage::Opening };
        } else {
            self.close(now, head.lines().next().unwrap_or_default());
        }
    }

    #[cold]
    fn other(&mut self, opcode: Opcode, payload: &[u8], dialect: &Dialect, now: u64) {
        match opcode {
            Opcode::Text => self.packet(dialect.parse(payload), dialect, now),
            Opcode::Ping => frame::from_client(Opcode::Pong, payload, &mut self.out),
            Opcode::Close => self.close(now, "closed by the server"),
            Opcode::Binary | Opcode::Continuation | Opcode::Pong => {}
        }
    }

    #[cold]
    fn packet(&mut self, packet: Packet<'_>, dialect: &Dialect, now: u64) {
        match packet {
            Packet::Open => {
                self.stage = Stage::Joining;
                dialect.connects().iter().for_each(|packet| self.say(packet));
                self.joining = dialect.connects().len();
            }
            Packet::Ping => self.say(dialect.pong()),
            Packet::Connected => {
                self.joining = self.joining.saturating_sub(1);
                if self.joining == 0 {
                    self.stage = Stage::Ready;
                }
            }
            Packet::Refused(why) => self.close(now, why),
            Packet::Disconnected => self.close(now, "put out of the namespace"),
            Packet::Event(event) => {
                if let Some(heard) = &mut self.heard {
                    heard.push(Heard::Event(event.to_owned()));
                }
            }
            Packet::Ack(id, arguments) => {
                self.acks += 1;
                if let Some(mut calling) = self.calling.take() {
                    if calling.answered(id, now) {
                        calling.next(now, |text| self.say(text));
                    }
                    self.calling = Some(calling);
                }
                if let Some(heard) = &mut self.heard {
                    heard.push(Heard::Ack(id, arguments.to_owned()));
                }
            }
            Packet::Message(_) | Packet::Other => {}
        }
    }

    /// Ends the client, for a reason worth telling. Only the first one counts.
    pub(crate) fn close(&mut self, now: u64, why: &str) {
        self.stage = Stage::Closed;
        self.closed.get_or_insert_with(|| (now, why.to_owned()));
        // Fails when the server was faster.
        self.stream.socket().shutdown(Shutdown::Both).ok();
    }

    /// The port this client connects from.
    pub(crate) fn port(&mut self) -> io::Result<u16> {
        Ok(self.stream.socket().local_addr()?.port())
    }
}

mod streams;

#[cfg(test)]
mod tests;
