//! The session of a simulated client: of our own engine, or of the model of the other one over our wire.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carillon_core::sink::Reason;

use super::engine::Engine;
use super::packet::{Packet, frame, masked};
use super::world::{spawn, tell};
use crate::engine::{Engine as Own, Session};
use crate::wire::{Place, Stream, Wire};

/// See the module's documentation. Clones are the same session.
#[derive(Clone)]
pub(super) enum Served {
    Model(Arc<Engine>),
    Own(Own, Arc<OnceLock<Arc<Session>>>),
}

impl Served {
    /// A session of our own engine; one over a WebSocket begins when that is carried.
    pub(super) fn own(engine: &Own, polling: bool) -> Self {
        let session = if polling { OnceLock::from(engine.open_polling()) } else { OnceLock::new() };
        Self::Own(engine.clone(), Arc::new(session))
    }

    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Model(engine) => engine.link.number(),
            Self::Own(_, session) => session.get().map_or(0, |session| session.name()),
        }
    }

    /// Whether the session goes on.
    pub(super) fn lives(&self) -> bool {
        match self {
            Self::Model(engine) => engine.lives(),
            Self::Own(_, session) => session.get().is_none_or(|session| session.lives()),
        }
    }

    pub(super) fn queued_bytes(&self) -> usize {
        match self {
            Self::Model(engine) => engine.link.queued_bytes(),
            Self::Own(_, session) => session.get().map_or(0, |session| session.waiting_bytes()),
        }
    }

    /// Waits for packets to the client; `None` when there is no such session any more.
    pub(super) async fn poll(&self) -> Option<Vec<Packet>> {
        match self {
            Self::Model(engine) => engine.poll().await,
            Self::Own(_, session) => {
                let body = session.get()?.poll().await?;
                Some(body.split('\x1e').map(polled).collect())
            }
        }
    }

    /// One POST.
    pub(super) async fn post(&self, text: String) {
        match self {
            Self::Model(engine) => {
                Arc::clone(&engine.link).readable().await;
                if engine.link.ended().is_none() && !engine.is_closed() {
                    match text.as_str() {
                        "3" => engine.link.pong_seen(),
                        text if text.starts_with("40") => engine.link.connect_seen(text.len() as u64),
                        _ => {}
                    }
                    engine.receive(&text);
                }
            }
            Self::Own(_, session) => {
                if let Some(session) = session.get() {
                    session.post(text).await;
                }
            }
        }
    }

    /// What the client sends over its WebSocket.
    pub(super) fn frame(&self, packet: &Packet) -> Vec<u8> {
        match self {
            Self::Model(_) => frame(packet),
            Self::Own(..) => masked(packet),
        }
    }

    /// The client answers no pings any more.
    pub(super) fn falls_silent(&self) {
        // Over our own engine the heartbeat finds out.
        if let Self::Model(engine) = self {
            engine.close(Reason::PingTimeout);
        }
    }

    /// The session's heartbeat, where time does not bring it.
    pub(super) fn ping(&self) {
        if let Self::Model(engine) = self {
            engine.ping();
        }
    }

    pub(super) fn end(&self, reason: Reason) {
        match self {
            Self::Model(engine) => engine.link.end(reason),
            Self::Own(_, session) => session.get().into_iter().for_each(|session| session.kill(reason)),
        }
    }

    pub(super) fn ends_gently(&self, reason: Reason, patience: Duration) {
        tell!("session {} ends gently", self.number());
        match self.clone() {
            Self::Model(engine) => spawn(async move { engine.link.end_gently(reason, patience).await }),
            Self::Own(_, session) => spawn(async move {
                if let Some(session) = session.get() {
                    session.end_gently(reason, patience).await;
                }
            }),
        }
    }

    /// A WebSocket is opened for the session.
    pub(super) fn carry(&self, wire: Wire, upgrade: bool) {
        match self {
            Self::Model(engine) => {
                let handle = wire.handle();
                handle.carry(&engine.link);
                engine.link.carried_by(&handle, upgrade);
                spawn(Arc::clone(engine).carry(wire, upgrade));
            }
            Self::Own(engine, session) => {
                let (stream, place) = wire.into_parts();
                spawn(carried(engine.clone(), Arc::clone(session), upgrade, stream, place));
            }
        }
    }
}

async fn carried(engine: Own, of: Arc<OnceLock<Arc<Session>>>, upgrade: bool, stream: Arc<Stream>, place: Place) {
    let mut head = &b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..];
    while !head.is_empty() {
        if std::future::poll_fn(|cx| stream.poll_writable(cx)).await.is_err() {
            return;
        }
        match stream.try_write(&[std::io::IoSlice::new(head)]) {
            Ok(written) => head = &head[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    let session = upgrade.then(|| of.get().cloned()).flatten();
    let mut serving = Box::pin(engine.clone().carry(session, (stream, place, Vec::new())));
    // Its session is opened with the first step it takes, on this one thread.
    let first = Mutex::new(true);
    std::future::poll_fn(move |cx| {
        let step = serving.as_mut().poll(cx);
        let first = std::mem::replace(&mut *first.lock().unwrap_or_else(PoisonError::into_inner), false);
        if first && !upgrade {
            engine.newest().into_iter().for_each(|session| drop(of.set(session)));
        }
        step
    })
    .await;
}

/// A packet in the body of a poll's answer.
fn polled(packet: &str) -> Packet {
    match packet.strip_prefix('b') {
        Some(data) => Packet::Binary(STANDARD.decode(data).unwrap().into()),
        None => Packet::Text(packet.to_owned()),
    }
}
