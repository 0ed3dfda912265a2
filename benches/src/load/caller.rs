//! One client that calls and waits for the answer, on a thread and a blocking socket of its own: what it measures is not
//! delayed by the load beside it.

use std::io::{Read, Write};
use std::net::TcpStream;

use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::frame::Opcode;
use super::packet::Packet;
use super::target::Target;
use super::{frame, histogram};
use crate::{Result, clock};

/// How long the last answers may take before the run is given up.
const PATIENCE: u64 = 10_000_000_000;

/// One client.
pub(crate) struct Caller {
    stream: TcpStream,
    target: Target,
    /// Read and not yet looked at.
    bytes: Vec<u8>,
    buffer: Vec<u8>,
    ready: bool,
    /// When each call was due, by its number.
    calls: Vec<u64>,
    /// Calls without an answer so far.
    open: u64,
    latency: Histogram<u64>,
}

impl Caller {
    /// Connects, and waits until the namespace lets it in.
    pub(crate) fn connect(target: &Target) -> Result<Self> {
        let mut stream = TcpStream::connect(target.address)?;
        stream.set_nodelay(true)?;
        stream.write_all(target.handshake(usize::from(u16::MAX)).as_bytes())?;
        let mut caller = Self {
            stream,
            target: target.clone(),
            bytes: Vec::new(),
            buffer: vec![0; 64 << 10],
            ready: false,
            calls: Vec::new(),
            open: 0,
            latency: histogram(),
        };
        let deadline = clock::now() + PATIENCE;
        let head = loop {
            if let Some(end) = memchr::memmem::find(&caller.bytes, b"\r\n\r\n") {
                break end + 4;
            }
            caller.read(deadline)?;
        };
        if !caller.bytes.starts_with(b"HTTP/1.1 101") {
            return Err("the server refuses WebSockets".into());
        }
        caller.bytes.drain(..head);
        // The first packets may have come along with the answer.
        caller.handle()?;
        while !caller.ready {
            caller.listen(deadline)?;
        }
        Ok(caller)
    }

    /// Calls `event` at `rate` calls a second until `end`, on time whether or not earlier ones have been answered; returns
    /// how long after its time each call was answered.
    pub(crate) fn run(&mut self, event: &str, argument: &str, rate: f64, end: u64) -> Result<Histogram<u64>> {
        let period = clock::nanos(1.0 / rate);
        let mut due = clock::now();
        while due < end {
            if clock::now() < due {
                self.listen(due)?;
                continue;
            }
            self.say(&self.target.dialect.call(self.calls.len() as u64, event, argument))?;
            self.calls.push(due);
            self.open += 1;
            due += period;
        }
        while self.open > 0 {
            if clock::now() > end + PATIENCE {
                return Err(format!("{} calls of `{event}` were not answered", self.open).into());
            }
            self.listen(end + PATIENCE)?;
        }
        Ok(std::mem::replace(&mut self.latency, histogram()))
    }

    fn say(&mut self, text: &str) -> Result<()> {
        let mut bytes = Vec::new();
        frame::from_client(Opcode::Text, text.as_bytes(), &mut bytes);
        self.stream.write_all(&bytes).map_err(|error| format!("after {} calls: {error}", self.calls.len()).into())
    }

    /// Reads once, waiting no longer than until `deadline`.
    fn read(&mut self, deadline: u64) -> Result<()> {
        // Exact to microseconds, unlike a socket's read timeout.
        let left = deadline.saturating_sub(clock::now());
        let left = Timespec { tv_sec: (left / 1_000_000_000) as i64, tv_nsec: (left % 1_000_000_000) as i64 };
        if poll(&mut [PollFd::new(&self.stream, PollFlags::IN)], Some(&left))? == 0 {
            return Ok(());
        }
        match self.stream.read(&mut self.buffer)? {
            0 => Err(format!("after {} calls: the server closed the connection", self.calls.len()).into()),
            read => {
                self.bytes.extend_from_slice(&self.buffer[..read]);
                Ok(())
            }
        }
    }

    /// Reads once and handles whatever is complete.
    fn listen(&mut self, deadline: u64) -> Result<()> {
        self.read(deadline)?;
        self.handle()
    }

    fn handle(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        let mut at = 0;
        for (opcode, payload, end) in frame::sent(&bytes) {
            at = end;
            if opcode != Opcode::Text || self.target.dialect.message(payload).is_some() {
                continue;
            }
            match self.target.dialect.parse(payload) {
                Packet::Open => self.say(&self.target.dialect.connect())?,
                Packet::Ping => self.say(self.target.dialect.pong())?,
                Packet::Connected => self.ready = true,
                Packet::Ack(id, _) => {
                    if let Some(due) = self.calls.get(id as usize) {
                        self.latency.saturating_record(clock::now() - due);
                        self.open = self.open.saturating_sub(1);
                    }
                }
                Packet::Refused(why) => return Err(why.to_owned().into()),
                _ => {}
            }
        }
        self.bytes = bytes;
        self.bytes.drain(..at);
        Ok(())
    }
}
