//! The session of a simulated client, reached as its requests and its WebSocket would reach it.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carillon_core::sink::Reason;

use super::packet::Packet;
use super::world::{spawn, tell};
use crate::engine::{Engine, Session};
use crate::wire::{Stream, Wire};

/// See the module's documentation. Clones are the same session.
#[derive(Clone)]
pub(super) struct Served {
    engine: Engine,
    session: Arc<OnceLock<Arc<Session>>>,
}

impl Served {
    /// A session; one over a WebSocket begins when that is carried.
    pub(super) fn new(engine: &Engine, polling: bool) -> Self {
        let session = if polling { OnceLock::from(engine.open_polling()) } else { OnceLock::new() };
        Self { engine: engine.clone(), session: Arc::new(session) }
    }

    pub(super) fn number(&self) -> u64 {
        self.session.get().map_or(0, |session| session.name())
    }

    /// Whether the session goes on.
    pub(super) fn lives(&self) -> bool {
        self.session.get().is_none_or(|session| session.lives())
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.session.get().map_or(0, |session| session.waiting_bytes())
    }

    /// Waits for packets to the client; `None` when there is no such session any more.
    pub(super) async fn poll(&self) -> Option<Vec<Packet>> {
        let body = self.session.get()?.poll().await?;
        Some(body.split('\x1e').map(polled).collect())
    }

    /// One POST.
    pub(super) async fn post(&self, text: String) {
        if let Some(session) = self.session.get() {
            session.post(text).await;
        }
    }

    pub(super) fn end(&self, reason: Reason) {
        self.session.get().into_iter().for_each(|session| session.kill(reason));
    }

    pub(super) fn ends_gently(&self, reason: Reason, patience: Duration) {
        tell!("session {} ends gently", self.number());
        let session = Arc::clone(&self.session);
        spawn(async move {
            if let Some(session) = session.get() {
                session.end_gently(reason, patience).await;
            }
        });
    }

    /// A WebSocket is opened for the session.
    pub(super) fn carry(&self, wire: Wire, upgrade: bool) {
        spawn(self.clone().carried(wire, upgrade));
    }

    async fn carried(self, wire: Wire, upgrade: bool) {
        let (stream, place, mut answer) = wire.into_parts();
        answer.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
        if upgrade && !write(&stream, &std::mem::take(&mut answer)).await {
            return;
        }
        let session = upgrade.then(|| self.session.get().cloned()).flatten();
        let mut serving = Box::pin(self.engine.clone().carry(session, stream, place, answer));
        // Its session is opened with the first step it takes, on this one thread.
        let mut opens = !upgrade;
        poll_fn(move |cx| {
            let step = serving.as_mut().poll(cx);
            if std::mem::take(&mut opens) {
                self.engine.newest().into_iter().for_each(|session| drop(self.session.set(session)));
            }
            step
        })
        .await;
    }
}

/// Writes all of it, if the client lets it.
async fn write(stream: &Stream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if poll_fn(|cx| stream.poll_writable(cx)).await.is_err() {
            return false;
        }
        match stream.try_write(&[IoSlice::new(bytes)]) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    true
}

/// A packet in the body of a poll's answer.
fn polled(packet: &str) -> Packet {
    match packet.strip_prefix('b') {
        Some(data) => Packet::Binary(STANDARD.decode(data).unwrap().into()),
        None => Packet::Text(packet.to_owned()),
    }
}
