//! The floor: what the kernel alone takes. One thread writes the same prebuilt frame to every socket, and does nothing else.
//!
//! It speaks just enough of the protocol to be driven like the others. `batch` messages leave in one `write`, so it also
//! tells what coalescing is worth: no server that makes one system call for so many messages can cost less. And it knows
//! one shape besides: a message to one client each.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use carillon_core::packet::frame::{Message, Opcode, Reader, frame};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::protocol::{DONE, Done, Mode, Run, TICK, Tick, dialect};
use crate::load::packet::{Dialect, Packet};
use crate::load::shape::{Shape, To};
use crate::load::target::ACCEPT;
use crate::{Result, clock};

const LISTENER: Token = Token(usize::MAX);
/// Messages to single clients between two looks at what has come in, as [`publisher`](super::publisher) has it.
const SINGLE_BURST: usize = 64;
/// What opens an Engine.IO session.
const OPEN: &str = r#"0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

/// Serves until killed.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    Floor::listen(address)?.run()
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    clients: Vec<Option<Client>>,
    /// Where each client is, by the number it gave.
    numbers: HashMap<u64, usize>,
    dialect: Dialect,
    publishing: Option<Publishing>,
}

/// A run under way.
struct Publishing {
    run: Run,
    controller: usize,
    start: u64,
    sent: u64,
    seen: u64,
}

impl Publishing {
    /// Whether to publish now, or else how long to wait, or else that it is over.
    fn next(&self, now: u64) -> Next {
        let Run { mode, seconds, window, batch, .. } = self.run;
        match mode {
            Mode::Flood if now >= self.start + clock::nanos(seconds) => Next::Over,
            Mode::Flood if self.sent + batch <= self.seen + window => Next::Now(now),
            Mode::Flood => Next::In(Duration::from_millis(100)),
            Mode::Paced if self.sent == self.run.paced_messages() => Next::Over,
            Mode::Paced if now > self.start + self.run.limit() => Next::Over,
            Mode::Paced => {
                let due = self.start + self.run.due(self.sent);
                if now >= due { Next::Now(due) } else { Next::In(Duration::from_nanos(due - now)) }
            }
        }
    }
}

enum Next {
    /// Publish, marked with this time.
    Now(u64),
    In(Duration),
    Over,
}

impl Floor {
    fn listen(address: SocketAddr) -> Result<Self> {
        let (poll, mut listener) = (Poll::new()?, TcpListener::bind(address)?);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { poll, listener, clients: Vec::new(), numbers: HashMap::new(), dialect: dialect(), publishing: None })
    }

    fn run(mut self) -> Result<()> {
        let mut events = Events::with_capacity(4096);
        loop {
            let now = clock::now();
            let wait = match self.publishing.as_ref().map(|publishing| publishing.next(now)) {
                None => None,
                Some(Next::In(wait)) => Some(wait),
                Some(Next::Now(_)) if self.is_to_single_clients() => {
                    self.publish_to_single_clients();
                    Some(Duration::ZERO)
                }
                Some(Next::Now(at)) => {
                    self.publish(at);
                    Some(Duration::ZERO)
                }
                Some(Next::Over) => {
                    self.finish();
                    continue;
                }
            };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                } else if let Some(slot) = self.clients.get_mut(event.token().0) {
                    let alive = slot.as_mut().is_some_and(|client| client.flush().is_ok());
                    if !alive || (event.is_readable() && !self.read(event.token().0)) {
                        self.clients[event.token().0] = None;
                    }
                }
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.clients.len());
            self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            self.clients.push(Some(Client {
                stream,
                input: Vec::new(),
                reader: Reader::new(1 << 20),
                member: false,
                number: None,
                queue: VecDeque::new(),
            }));
        }
    }

    fn is_to_single_clients(&self) -> bool {
        self.publishing.as_ref().is_some_and(|publishing| publishing.run.shape == Shape::Client)
    }

    /// Writes the next messages, each to another client, for as long as a publisher inside a server goes on.
    fn publish_to_single_clients(&mut self) {
        let Some(publishing) = &mut self.publishing else { return };
        for _ in 0..SINGLE_BURST {
            let now = clock::now();
            if !matches!(publishing.next(now), Next::Now(_)) {
                return;
            }
            let (number, run) = (publishing.sent, &publishing.run);
            let To::Client(client) = run.shape.to(number, run.clients) else { return };
            let tick = Tick::new(number, now, run.bytes);
            let packet = self.dialect.event(TICK, &format!("{{\"text\":\"{}\"}}", tick.text));
            let message = frame(Opcode::Text, packet.as_bytes()).into();
            publishing.sent += 1;
            let Some(place) = self.numbers.get(&client).copied() else { continue };
            let slot = &mut self.clients[place];
            if slot.as_mut().is_some_and(|client| client.send(&message).is_err()) {
                *slot = None;
            }
        }
    }

    /// Writes the next messages to everybody: the whole of the measured work.
    fn publish(&mut self, at: u64) {
        let Some(publishing) = &mut self.publishing else { return };
        let mut frames = Vec::new();
        let batch = if publishing.run.mode == Mode::Flood { publishing.run.batch.max(1) } else { 1 };
        for _ in 0..batch {
            let tick = Tick::new(publishing.sent, at, publishing.run.bytes);
            let packet = self.dialect.event(TICK, &format!("{{\"text\":\"{}\"}}", tick.text));
            frames.extend(frame(Opcode::Text, packet.as_bytes()));
            publishing.sent += 1;
        }
        let frames = Bytes::from(frames);
        for slot in &mut self.clients {
            if slot.as_mut().is_some_and(|client| client.member && client.send(&frames).is_err()) {
                *slot = None;
            }
        }
    }

    fn finish(&mut self) {
        let Some(Publishing { controller, sent, .. }) = self.publishing.take() else { return };
        let done = format!("{{\"messages\":{}}}", Done { messages: sent }.messages);
        let packet = self.dialect.event(DONE, &done);
        self.tell(controller, &packet);
    }

    fn tell(&mut self, index: usize, text: &str) {
        if let Some(Some(client)) = self.clients.get_mut(index)
            && client.send(&frame(Opcode::Text, text.as_bytes()).into()).is_err()
        {
            self.clients[index] = None;
        }
    }

    /// Reads and answers a client; false when it is gone.
    fn read(&mut self, index: usize) -> bool {
        let Some(Some(client)) = self.clients.get_mut(index) else { return true };
        let Ok(texts) = client.read() else { return false };
        for text in texts {
            match text.as_str() {
                "GET" => {
                    let upgrade = format!(
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
                    );
                    if let Some(Some(client)) = self.clients.get_mut(index)
                        && client.send(&upgrade.into()).is_err()
                    {
                        return false;
                    }
                    self.tell(index, OPEN);
                }
                text => self.packet(index, text),
            }
        }
        true
    }

    fn packet(&mut self, index: usize, text: &str) {
        match self.dialect.parse(text.as_bytes()) {
            Packet::Connected => {
                if let Some(Some(client)) = self.clients.get_mut(index) {
                    client.member = true;
                    self.numbers.extend(client.number.map(|number| (number, index)));
                }
                let reply = format!("{}{{\"sid\":\"floor\"}}", self.dialect.connect());
                self.tell(index, &reply);
            }
            Packet::Event(event) => {
                if let Ok((_, run)) = serde_json::from_str::<(String, Run)>(event) {
                    self.publishing =
                        Some(Publishing { run, controller: index, start: clock::now(), sent: 0, seen: 0 });
                } else if let (Ok((_, seen)), Some(publishing)) =
                    (serde_json::from_str::<(String, u64)>(event), &mut self.publishing)
                {
                    publishing.seen = seen;
                }
            }
            _ => {}
        }
    }
}

struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    reader: Reader,
    member: bool,
    /// What it calls itself in the query of its handshake.
    number: Option<u64>,
    /// What the kernel had no room for.
    queue: VecDeque<Bytes>,
}

impl Client {
    fn send(&mut self, bytes: &Bytes) -> io::Result<()> {
        if !self.queue.is_empty() {
            self.queue.push_back(bytes.clone());
            return Ok(());
        }
        let written = self.write(bytes)?;
        if written < bytes.len() {
            self.queue.push_back(bytes.slice(written..));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.queue.pop_front() {
            let written = self.write(&bytes)?;
            if written < bytes.len() {
                self.queue.push_front(bytes.slice(written..));
                break;
            }
        }
        Ok(())
    }

    /// The texts a client has sent; its upgrade request is `GET`.
    fn read(&mut self) -> io::Result<Vec<String>> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.input.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let (mut texts, mut at) = (Vec::new(), 0);
        if self.input.starts_with(b"GET ") {
            let Some(end) = memchr::memmem::find(&self.input, b"\r\n\r\n") else { return Ok(texts) };
            at = end + 4;
            self.number = number(&self.input[..end]);
            texts.push("GET".to_owned());
        }
        let nonsense = |violation| io::Error::other(format!("{violation:?}"));
        while let Some(message) = self.reader.next(&mut self.input, &mut at).map_err(nonsense)? {
            if let Message::Text(text) = message {
                texts.push(text.to_owned());
            }
        }
        self.input.clear();
        Ok(texts)
    }
}

/// The number in the query of a request.
fn number(head: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(head, b"client=")? + b"client=".len();
    let digits = head[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}
