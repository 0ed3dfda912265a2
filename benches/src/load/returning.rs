//! A client that goes and comes back for what it has missed: one blocking socket, for a thread of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use memchr::memmem;

use super::frame::{self, Opcode};
use super::packet::{Dialect, Packet};
use super::target::{ACCEPT, Target};
use crate::{Result, clock};

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes read at once.
const BUFFER: usize = 256 << 10;
/// What its number is: no other client has it.
const NUMBER: usize = 1_000_000;

/// Where a client left off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pid: String,
    /// The last argument of the last message it got.
    offset: String,
}

/// What came when it was back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Returned {
    pub(crate) messages: u64,
    /// From the CONNECT to the last message, in seconds.
    pub(crate) seconds: f64,
}

/// Comes for the first time, says `word`, and goes when it has got one message under test.
pub(crate) fn leave(target: &Target, word: &str) -> Result<Left> {
    let mut client = Client::connect(target, r#"{"recovery":true}"#)?;
    let (mut pid, mut offset) = (None, None);
    while offset.is_none() {
        let mut connected = false;
        client.read(|dialect, text| {
            if dialect.message(text).is_some() {
                offset = offset.take().or_else(|| offset_of(text).map(|(epoch, number)| format!("{epoch}-{number}")));
            } else if dialect.parse(text) == Packet::Connected {
                pid = between(text, "\"pid\":\"");
                connected = true;
                if pid.is_none() {
                    return Err("the server keeps nothing for clients that come back".into());
                }
            }
            Ok(())
        })?;
        if connected {
            client.say(word)?;
        }
    }
    let (pid, offset) = pid.zip(offset).ok_or("a message came before the CONNECT reply")?;
    Ok(Left { pid, offset })
}

/// Comes back, and reads until it has got so many messages: each comes once and in order, or this fails.
pub(crate) fn come_back(target: &Target, left: &Left, wanted: u64) -> Result<Returned> {
    let Left { pid, offset } = left;
    let mut client = Client::connect(target, &format!(r#"{{"recovery":true,"pid":"{pid}","offset":"{offset}"}}"#))?;
    let start = clock::now();
    let (epoch, number) = offset.rsplit_once('-').ok_or("not an offset")?;
    let (mut messages, mut number) = (0, number.parse::<u64>()?);
    while messages < wanted {
        client.read(|dialect, text| {
            if dialect.message(text).is_some() {
                let next = offset_of(text).filter(|(other, next)| *other == epoch && *next == number + 1);
                number = next.ok_or_else(|| format!("not the message after {number}: {}", shown(text)))?.1;
                messages += 1;
            } else if dialect.parse(text) == Packet::Connected && between(text, "\"pid\":\"").as_ref() != Some(pid) {
                return Err(format!("it was not recovered: {}", shown(text)).into());
            }
            Ok(())
        })?;
    }
    Ok(Returned { messages, seconds: clock::seconds(clock::now() - start) })
}

/// A socket, and what of its bytes has not been looked at.
struct Client<'a> {
    dialect: &'a Dialect,
    stream: TcpStream,
    buffer: Box<[u8]>,
    unread: Vec<u8>,
}

impl<'a> Client<'a> {
    /// Opens a WebSocket, and asks to be let into the namespace.
    fn connect(target: &'a Target, auth: &str) -> Result<Self> {
        let stream = TcpStream::connect(target.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let (buffer, unread) = (vec![0; BUFFER].into_boxed_slice(), Vec::new());
        let mut client = Self { dialect: &target.dialect, stream, buffer, unread };
        client.stream.write_all(target.handshake(NUMBER).as_bytes())?;
        loop {
            client.fill()?;
            let Some(end) = memmem::find(&client.unread, b"\r\n\r\n") else { continue };
            let head: Vec<u8> = client.unread.drain(..end + 4).collect();
            if memmem::find(&head, ACCEPT.as_bytes()).is_none() {
                return Err(format!("no WebSocket: {}", shown(&head)).into());
            }
            break;
        }
        client.say(&format!("{}{auth}", client.dialect.connect()))?;
        Ok(client)
    }

    fn say(&mut self, text: &str) -> Result<()> {
        let mut out = Vec::new();
        frame::from_client(Opcode::Text, text.as_bytes(), &mut out);
        Ok(self.stream.write_all(&out)?)
    }

    fn fill(&mut self) -> Result<()> {
        match self.stream.read(&mut self.buffer)? {
            0 => Err(format!("the server closed the connection: {}", shown(&self.unread)).into()),
            read => {
                self.unread.extend_from_slice(&self.buffer[..read]);
                Ok(())
            }
        }
    }

    /// Reads once; `each` is given every text that has come whole.
    fn read(&mut self, mut each: impl FnMut(&Dialect, &[u8]) -> Result<()>) -> Result<()> {
        self.fill()?;
        let (mut at, mut pings) = (0, 0);
        for (opcode, payload, end) in frame::sent(&self.unread) {
            at = end;
            match opcode {
                Opcode::Text if payload == b"2" => pings += 1,
                Opcode::Text => each(self.dialect, payload)?,
                _ => return Err(format!("the server closed the connection: {}", shown(payload)).into()),
            }
        }
        self.unread.drain(..at);
        (0..pings).try_for_each(|_| self.say("3"))
    }
}

/// What the last argument of a message says: the epoch and the number.
fn offset_of(text: &[u8]) -> Option<(&str, u64)> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix("\"]")?;
    let (epoch, number) = text[text.rfind('"')? + 1..].rsplit_once('-')?;
    Some((epoch, number.parse().ok()?))
}

/// What stands behind `key`, up to the next quotation mark.
fn between(text: &[u8], key: &str) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let rest = &text[text.find(key)? + key.len()..];
    Some(rest[..rest.find('"')?].to_owned())
}

/// The beginning of what was read, for people.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_the_last_argument() {
        let text = br#"42/bench,["tick",{"text":"a-1"},"9Zx_-1-17"]"#;
        assert_eq!(offset_of(text), Some(("9Zx_-1", 17)));
        assert_eq!(offset_of(br#"42/bench,["tick",{"text":"a-1"}]"#), None);
        assert_eq!(between(br#"40/bench,{"sid":"a","pid":"b"}"#, "\"pid\":\"").as_deref(), Some("b"));
    }
}
