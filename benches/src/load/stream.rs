//! The bytes of a client: as they are, or encrypted.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use rustls::{ClientConnection, StreamOwned};

use super::Target;
use crate::Result;

/// A connection to a server.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Over `socket`, as the target wants it.
    pub(crate) fn new(socket: TcpStream, target: &Target) -> Result<Self> {
        let Some(tls) = &target.tls else { return Ok(Self::Plain(socket)) };
        let client = ClientConnection::new(tls.clone(), target.address.ip().into())?;
        Ok(Self::Tls(Box::new(StreamOwned::new(client, socket))))
    }

    /// For registration with the poll, and what is not about bytes.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.get_mut(),
        }
    }

    /// Whether less than there was room for is all there was: not where bytes come in records.
    pub(crate) fn ends_short(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Sends what is encrypted already, as far as it goes.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(tls) if tls.conn.wants_write() => match tls.flush() {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(()),
                result => result,
            },
            Self::Plain(_) | Self::Tls(_) => Ok(()),
        }
    }
}
