//! One client that calls and waits for the answer, on a thread and a blocking socket of its own: what it measures is not
//! delayed by the load beside it.

use std::io::{Read, Write};
use std::net::TcpStream;

use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::packet::Packet;
use super::target::Target;
use super::{frame, histogram};
use crate::{Result, clock};

/// How long an answer may take before the run is given up.
const PATIENCE: u64 = 10_000_000_000;

/// One client.
pub(crate) struct Caller {
    stream: TcpStream,
    target: Target,
    /// Read and not yet looked at.
    bytes: Vec<u8>,
    buffer: Vec<u8>,
    calls: u64,
    ready: bool,
    answered: Option<u64>,
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
            calls: 0,
            ready: false,
            answered: None,
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
        while !caller.ready {
            caller.listen(deadline)?;
        }
        Ok(caller)
    }

    /// Calls `event` at `rate` calls a second until `end`, on time whether or not the last answer came quickly; returns
    /// how long after its time each call was answered.
    pub(crate) fn run(&mut self, event: &str, argument: &str, rate: f64, end: u64) -> Result<Histogram<u64>> {
        let mut latency = histogram();
        let (start, period) = (clock::now(), clock::nanos(1.0 / rate));
        for nth in 0.. {
            let due = start + nth * period;
            if due >= end {
                break;
            }
            while clock::now() < due {
                self.listen(due)?;
            }
            self.calls += 1;
            self.say(&self.target.dialect.call(self.calls, event, argument))?;
            while self.answered != Some(self.calls) {
                if clock::now() > due + PATIENCE {
                    return Err(format!("`{event}` was not answered within {} s", PATIENCE / 1_000_000_000).into());
                }
                self.listen(due + PATIENCE)?;
            }
            latency.saturating_record(clock::now() - due);
        }
        Ok(latency)
    }

    fn say(&mut self, text: &str) -> Result<()> {
        let mut bytes = Vec::new();
        frame::from_client(frame::TEXT, text.as_bytes(), &mut bytes);
        self.stream.write_all(&bytes).map_err(|error| format!("after {} calls: {error}", self.calls).into())
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
            0 => Err(format!("after {} calls: the server closed the connection", self.calls).into()),
            read => {
                self.bytes.extend_from_slice(&self.buffer[..read]);
                Ok(())
            }
        }
    }

    /// Reads once and handles whatever is complete.
    fn listen(&mut self, deadline: u64) -> Result<()> {
        self.read(deadline)?;
        let bytes = std::mem::take(&mut self.bytes);
        let mut at = 0;
        while let Some(head) = frame::header(&bytes[at..]) {
            let Some(payload) = bytes.get(at + head.head..at + head.total()) else { break };
            at += head.total();
            if head.opcode != frame::TEXT || self.target.dialect.is_message(payload) {
                continue;
            }
            match self.target.dialect.parse(payload) {
                Packet::Open => self.say(&self.target.dialect.connect())?,
                Packet::Ping => self.say("3")?,
                Packet::Connected => self.ready = true,
                Packet::Ack(id, _) => self.answered = Some(id),
                Packet::Refused(why) => return Err(why.to_owned().into()),
                _ => {}
            }
        }
        self.bytes = bytes;
        self.bytes.drain(..at);
        Ok(())
    }
}
