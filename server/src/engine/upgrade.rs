//! The way from an HTTP request to a WebSocket: a new session's, or one that leaves polling for it.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use carillon_core::packet::engine::{Kind, PROBE, parse, text_frame};
use carillon_core::packet::frame::{Message, Opcode, Reader, close, frame};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::ReadBuf;

use super::Common;
use super::out::Carrier;
use super::session::Session;
use super::websocket::Connection;
use crate::admission::Guest;
use crate::wire::{Place, Stream, Wire};

/// How long a client may take to probe, and from there to upgrade, beside the time that a POST of its may take.
const UPGRADE_TIME: Duration = Duration::from_secs(10);
/// Bytes read at once while there is little to read.
const READ: usize = 4096;
/// The most a client may send along with its probe.
const MOST: usize = 64 << 10;
/// The close codes of a WebSocket that is not needed, and of one that probes wrongly.
const NORMAL: u16 = 1000;
const POLICY: u16 = 1008;

/// What a WebSocket is for.
pub(super) enum Purpose {
    /// A session of its own, for a client that was let in.
    Session(Arc<Guest>),
    /// A session that began with polling.
    Upgrade(Arc<Session>),
}

/// Takes the connection over once its 101 is written, and serves it to its end.
pub(super) async fn serve(common: Arc<Common>, purpose: Purpose, upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let Some(socket) = taken_back(upgraded) else { return };
    carry(common, purpose, socket).await;
}

/// A WebSocket whose handshake is done.
pub(super) struct Socket {
    pub(super) stream: Arc<Stream>,
    pub(super) place: Place,
    /// What is to be written before anything else: the answer to the handshake, where that was kept.
    pub(super) answer: Vec<u8>,
    /// What has been read of it already.
    pub(super) rest: Vec<u8>,
}

/// Serves a WebSocket to its end.
pub(super) async fn carry(common: Arc<Common>, purpose: Purpose, socket: Socket) {
    match purpose {
        Purpose::Session(guest) => {
            let Some(connection) = opened(&common, socket, guest) else { return };
            connection.await;
        }
        // Seldom, and large: it does not make every connection larger.
        Purpose::Upgrade(session) => Box::pin(upgraded_session(session, socket)).await,
    }
}

/// The bare socket below hyper, and what has been read of it already.
fn taken_back(upgraded: Upgraded) -> Option<Socket> {
    let parts = upgraded.downcast::<TokioIo<Wire>>().ok()?;
    let (stream, place, answer) = parts.io.into_inner().into_parts();
    Some(Socket { stream, place, answer, rest: parts.read_buf.to_vec() })
}

fn opened(common: &Arc<Common>, socket: Socket, guest: Arc<Guest>) -> Option<Connection> {
    let Socket { stream, place, answer: mut first, rest } = socket;
    let session = Session::open(common, guest)
        .inspect_err(|error| tracing::error!(%error, "a session has no id: it is not opened"))
        .ok()?;
    session.out().carrier = Carrier::WebSocket(Arc::clone(&stream));
    first.extend_from_slice(&text_frame(Kind::Open, &session.greeting(false)));
    session.say(first.into());
    let reader = Reader::new(common.settings.max_message_bytes);
    Some(Connection::new(session, stream, place, reader, rest))
}

async fn upgraded_session(session: Arc<Session>, Socket { stream, place, rest, .. }: Socket) {
    let Some(upgrading) = Upgrading::begin(&session) else {
        // It has a WebSocket, or is about to.
        return end(&stream, Some(NORMAL)).await;
    };
    let mut probe =
        Probe { stream, reader: Reader::new(session.common.settings.max_message_bytes), bytes: rest, at: 0 };
    let shaken = tokio::select! {
        shaken = probe.shake(&session) => shaken,
        () = session.until(|session| session.ended().map(drop).ok_or(None)) => false,
    };
    let Probe { stream, reader, bytes, at } = probe;
    if !shaken || !upgrading.complete(&stream) {
        // The session goes on with polling.
        return end(&stream, Some(POLICY)).await;
    }
    let rest = bytes.get(at..).unwrap_or_default().to_vec();
    Connection::new(session, stream, place, reader, rest).await;
}

/// Closes a WebSocket that carries nothing, and gives the client a moment to close its side.
async fn end(stream: &Stream, code: Option<u16>) {
    stream.try_write(&[std::io::IoSlice::new(&close(code))]).ok();
    stream.finish().ok();
    let gone = async {
        let mut buffer = vec![0; READ];
        while read(stream, &mut buffer).await.is_some() {}
    };
    tokio::time::timeout(super::end::FAREWELL, gone).await.ok();
}

/// How many bytes have been read; `None` at the end.
async fn read(stream: &Stream, buffer: &mut [u8]) -> Option<usize> {
    std::future::poll_fn(|cx| {
        let mut read = ReadBuf::new(buffer);
        match stream.poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) if !read.filled().is_empty() => Poll::Ready(Some(read.filled().len())),
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A WebSocket that is not the session's transport yet.
struct Probe {
    stream: Arc<Stream>,
    reader: Reader,
    /// What was read, of which so many bytes are used.
    bytes: Vec<u8>,
    at: usize,
}

impl Probe {
    /// Probe, answer, upgrade; whether the client has upgraded.
    async fn shake(&mut self, session: &Session) -> bool {
        let probe = tokio::time::timeout(UPGRADE_TIME, self.next()).await;
        if !matches!(probe, Ok(Some((Kind::Ping, true)))) {
            return false;
        }
        if !self.write(&text_frame(Kind::Pong, PROBE)).await {
            return false;
        }
        // The client waits for its poll to end.
        session.release_poll();
        let limit = session.common.settings.max_pause() + UPGRADE_TIME;
        let upgrade = tokio::time::timeout(limit, self.next()).await;
        matches!(upgrade, Ok(Some((Kind::Upgrade, false))))
    }

    /// The next packet, and whether its data is that of a probe.
    async fn next(&mut self) -> Option<(Kind, bool)> {
        loop {
            let mut pong = None;
            match self.reader.next(&mut self.bytes, &mut self.at) {
                Ok(Some(Message::Text(packet))) => {
                    let (kind, data) = parse(packet)?;
                    return (data == PROBE || data.is_empty()).then_some((kind, data == PROBE));
                }
                Ok(Some(Message::Ping(payload))) => pong = Some(frame(Opcode::Pong, payload)),
                Ok(Some(Message::Pong)) => {}
                Ok(None) => {
                    (self.bytes, self.at) = (vec![0; READ], 0);
                    let read = read(&self.stream, &mut self.bytes).await?;
                    self.bytes.truncate(read);
                    if self.reader.held_bytes() > MOST {
                        return None;
                    }
                }
                Ok(Some(Message::Binary(_) | Message::Close(_))) | Err(_) => return None,
            }
            if let Some(pong) = pong {
                self.write(&pong).await;
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if std::future::poll_fn(|cx| self.stream.poll_writable(cx)).await.is_err() {
                return false;
            }
            match self.stream.try_write(&[std::io::IoSlice::new(bytes)]) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// The right to be the one WebSocket that a session is moved to, given back when it is not.
struct Upgrading(Option<Arc<Session>>);

impl Upgrading {
    fn begin(session: &Arc<Session>) -> Option<Self> {
        let mut out = session.out();
        if out.upgrading || !matches!(out.carrier, Carrier::Polling { .. }) {
            return None;
        }
        out.upgrading = true;
        // Who waits for room is not held up by an upgrade.
        session.changed.notify_waiters();
        Some(Self(Some(Arc::clone(session))))
    }

    /// The client has left polling: everything that waits follows over the WebSocket.
    fn complete(mut self, stream: &Arc<Stream>) -> bool {
        let Some(session) = self.0.take() else { return false };
        session.release_poll();
        let mut out = session.out();
        out.upgrading = false;
        if session.ended().is_some() {
            return false;
        }
        out.carrier = Carrier::WebSocket(Arc::clone(stream));
        session.flush(&mut out);
        drop(out);
        session.carried_otherwise();
        session.changed.notify_waiters();
        true
    }
}

impl Drop for Upgrading {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.out().upgrading = false;
            session.changed.notify_waiters();
        }
    }
}
