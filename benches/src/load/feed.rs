//! A connection that only publishes: into servers that pass messages on and have no code of ours inside.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::nats;
use super::packet::Packet;
use crate::Result;

/// How long a server may take to greet.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a server takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inlet {
    /// NATS' own protocol over TCP.
    Nats,
    /// HTTP requests to nchan, one for each message, sent without waiting for the answers.
    Nchan,
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Feed {
    stream: TcpStream,
    inlet: Inlet,
    /// What could not be written yet.
    out: Vec<u8>,
    /// Answers of which not all has been read.
    answers: Vec<u8>,
}

impl Feed {
    /// Connects to the server at `address`.
    pub(crate) fn connect(inlet: Inlet, address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).map_err(|error| format!("the publisher's connection: {error}"))?;
        stream.set_nodelay(true)?;
        let mut feed = Self { stream, inlet, out: Vec::new(), answers: Vec::new() };
        if inlet == Inlet::Nats {
            feed.stream.set_read_timeout(Some(PATIENCE))?;
            feed.stream.write_all(nats::CONNECT.as_bytes())?;
            feed.stream.write_all(b"PING\r\n")?;
            // Its greeting, then the answer to our ping: from then on it has nothing to say.
            while memchr::memmem::find(&feed.answers, nats::PONG.as_bytes()).is_none() {
                if feed.read()? == 0 {
                    return Err("NATS does not answer its publisher".into());
                }
            }
            feed.check()?;
        }
        feed.stream.set_nonblocking(true)?;
        Ok(feed)
    }

    /// Queues a message for everybody; [`Feed::flush`] sends it.
    pub(crate) fn publish(&mut self, event: &str, argument: &str) {
        let said = match self.inlet {
            Inlet::Nats => nats::publish(event, argument),
            Inlet::Nchan => {
                format!("POST /pub HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n{argument}", argument.len())
            }
        };
        self.out.extend_from_slice(said.as_bytes());
    }

    /// Sends as much as goes, and reads what the server has answered; false when there is more to send.
    pub(crate) fn flush(&mut self) -> Result<bool> {
        let mut sent = 0;
        while sent < self.out.len() {
            match self.stream.write(&self.out[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("the publisher: {error}").into()),
            }
        }
        self.out.drain(..sent);
        while self.read()? > 0 {}
        self.check()?;
        Ok(self.out.is_empty())
    }

    /// Reads once; 0 when there is nothing.
    fn read(&mut self) -> Result<usize> {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err("the server closed the publisher's connection".into()),
            Ok(read) => {
                self.answers.extend_from_slice(&buffer[..read]);
                Ok(read)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => self.read(),
            Err(error) => Err(format!("the publisher: {error}").into()),
        }
    }

    /// Looks through the answers for what must not be ignored.
    fn check(&mut self) -> Result<()> {
        let (used, pings) = match self.inlet {
            Inlet::Nats => lines(&self.answers)?,
            Inlet::Nchan => (statuses(&self.answers)?, 0),
        };
        self.answers.drain(..used);
        (0..pings).for_each(|_| self.out.extend_from_slice(nats::PONG.as_bytes()));
        Ok(())
    }
}

/// What NATS says to a publisher: the bytes of whole lines, and how many of them are pings.
fn lines(bytes: &[u8]) -> io::Result<(usize, usize)> {
    let (mut at, mut pings) = (0, 0);
    while let Some((packet, len)) = nats::next(&bytes[at..]) {
        at += len;
        match packet {
            Packet::Refused(why) => return Err(io::Error::other(format!("NATS refuses the publisher: {why}"))),
            Packet::Ping => pings += 1,
            _ => {}
        }
    }
    Ok((at, pings))
}

/// The bytes of whole lines of HTTP responses, all of which have to say that the message was accepted.
fn statuses(bytes: &[u8]) -> io::Result<usize> {
    let mut used = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        used += line.len();
        // A body without a final line end stands before the next status on one line.
        let status = memchr::memmem::find(line, b"HTTP/1.1 ").map(|at| &line[at..]);
        if let Some(status) = status
            && !status.starts_with(b"HTTP/1.1 20")
        {
            let status = String::from_utf8_lossy(status).trim().to_owned();
            return Err(io::Error::other(format!("the message was not accepted: {status}")));
        }
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_matter() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\n\r\nqueuedHTTP/1.1 201 Created\r\nServ";
        assert_eq!(statuses(answer).unwrap(), answer.len() - 4);
        let refused = statuses(b"HTTP/1.1 200 OK\r\n\r\nyesHTTP/1.1 507 Full\r\n").unwrap_err();
        assert_eq!(refused.to_string(), "the message was not accepted: HTTP/1.1 507 Full");
        assert_eq!(lines(b"INFO {}\r\nPING\r\nPI").unwrap(), (15, 1));
        assert!(lines(b"-ERR 'Maximum Payload Violation'\r\n").is_err());
    }

    /// A message reaches the server, and its pings are answered.
    #[test]
    fn a_publisher_of_each_kind() {
        for (inlet, said) in [
            (Inlet::Nchan, "POST /pub HTTP/1.1\r\nHost: bench\r\nContent-Length: 2\r\n\r\n{}"),
            (Inlet::Nats, "PUB tick 2\r\n{}\r\n"),
        ] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                if inlet == Inlet::Nats {
                    stream.write_all(b"INFO {}\r\nPONG\r\n").unwrap();
                }
                let mut heard = String::new();
                stream.read_to_string(&mut heard).unwrap();
                heard
            });
            let mut feed = Feed::connect(inlet, address).unwrap();
            feed.publish("tick", "{}");
            assert!(feed.flush().unwrap());
            drop(feed);
            let heard = server.join().unwrap();
            assert!(heard.ends_with(said), "{heard}");
        }
    }
}
