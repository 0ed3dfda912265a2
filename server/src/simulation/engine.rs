//! Socket.IO's part in one session: a queue, polls that empty it, an upgrade, and the tasks of a WebSocket.
//!
//! A model of engineioxide and of the bridge's door: what they do to the session and the wire, in the order in which
//! they do it, and nothing of how they parse.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carillon_core::payload::Payload;
use carillon_core::peer::Peer;
use carillon_core::router::{Router, Session};
use carillon_core::sink::{Reason, Sink};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::packet::{Inbound, Packet, frame, prefix};
use super::sink::ToClient;
use super::world::{NAMESPACES, spawn, tell, world};
use crate::link::{Link, cost};
use crate::wire::Wire;

pub(super) struct Engine {
    pub(super) link: Arc<Link>,
    router: Router,
    queue: mpsc::UnboundedSender<Vec<Packet>>,
    /// Held by the poll or the WebSocket that empties the queue.
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<Packet>>>,
    upgrading: AtomicBool,
    websocket: AtomicBool,
    closed: CancellationToken,
    guests: Mutex<[Option<Guest>; 2]>,
    connecting: [AtomicUsize; 2],
}

struct Guest {
    sink: Arc<ToClient>,
    session: Session,
    member: usize,
}

impl Engine {
    /// A session, and its name where later requests need one.
    pub(super) fn new(link: Arc<Link>, router: Router, polling: bool) -> Arc<Self> {
        let (queue, waiting) = mpsc::unbounded_channel();
        let engine = Arc::new(Self {
            link,
            router,
            queue,
            waiting: tokio::sync::Mutex::new(waiting),
            upgrading: AtomicBool::new(false),
            websocket: AtomicBool::new(!polling),
            closed: CancellationToken::new(),
            guests: Mutex::default(),
            connecting: Default::default(),
        });
        let id = world(|world| {
            world.engines.push(Arc::downgrade(&engine));
            world.engines.len() - 1
        });
        if polling {
            engine.link.named(&id.to_string());
        }
        engine
    }

    fn guests(&self) -> MutexGuard<'_, [Option<Guest>; 2]> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Whether the session goes on: nobody has ended it, on either side of the bridge.
    pub(super) fn lives(&self) -> bool {
        !self.is_closed() && self.link.ended().is_none()
    }

    pub(super) fn queue(&self, packets: Vec<Packet>) -> Result<(), ()> {
        self.queue.send(packets).map_err(drop)
    }

    pub(super) fn ping(&self) {
        self.queue(vec![Packet::Text("2".to_owned())]).ok();
    }

    // --- Polling -----------------------------------------------------------------------------------------------

    /// Waits for packets to the client; `None` when there is no such session any more.
    pub(super) async fn poll(self: &Arc<Self>) -> Option<Vec<Packet>> {
        if self.websocket.load(Ordering::Relaxed) || self.is_closed() {
            return None;
        }
        if self.upgrading.load(Ordering::Relaxed) {
            return Some(vec![Packet::Text("6".to_owned())]);
        }
        let Ok(mut waiting) = self.waiting.try_lock() else {
            self.close(Reason::DoublePoll);
            return None;
        };
        let mut packets = tokio::select! {
            biased;
            first = waiting.recv() => first?,
            () = self.closed.cancelled() => return None,
        };
        while let Ok(more) = waiting.try_recv() {
            packets.extend(more);
        }
        drop(waiting);
        if world(|world| world.random.bool()) {
            tokio::task::yield_now().await;
        }
        for packet in &packets {
            match packet {
                Packet::Text(text) => self.link.polled(text.as_bytes(), cost(text.len())),
                Packet::Binary(data) => self.link.polled(b"b", cost(data.len())),
            }
        }
        Some(packets)
    }

    // --- The WebSocket -----------------------------------------------------------------------------------------

    /// The wire carries the session from its start, or after an upgrade.
    pub(super) async fn carry(self: Arc<Self>, mut wire: Wire, upgrade: bool) {
        if wire.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.is_err() {
            return self.close(Reason::TransportError);
        }
        let (mut reader, mut writer) = tokio::io::split(wire);
        let mut inbound = Inbound::default();
        let begun = match upgrade {
            true => {
                let shaken = self.upgrade(&mut reader, &mut writer, &mut inbound);
                self.closed.run_until_cancelled(shaken).await.flatten()
            }
            false => writer.write_all(&frame(&Packet::Text("0{}".to_owned()))).await.ok(),
        };
        if begun.is_none() {
            return self.close(Reason::TransportError);
        }
        spawn(Arc::clone(&self).pump(writer));
        let reading = async {
            while let Some(text) = inbound.next(&mut reader).await {
                self.receive(&text);
            }
        };
        if self.closed.run_until_cancelled(reading).await.is_some() {
            self.close(Reason::TransportClose);
        }
    }

    async fn upgrade(
        &self,
        reader: &mut ReadHalf<Wire>,
        writer: &mut WriteHalf<Wire>,
        inbound: &mut Inbound,
    ) -> Option<()> {
        self.upgrading.store(true, Ordering::Relaxed);
        self.queue(vec![Packet::Text("6".to_owned())]).ok()?;
        let _waiting = self.waiting.lock().await;
        if inbound.next(reader).await? != "2probe" {
            return None;
        }
        writer.write_all(&frame(&Packet::Text("3probe".to_owned()))).await.ok()?;
        if inbound.next(reader).await? != "5" {
            return None;
        }
        self.upgrading.store(false, Ordering::Relaxed);
        self.websocket.store(true, Ordering::Relaxed);
        Some(())
    }

    /// Writes what is queued.
    async fn pump(self: Arc<Self>, mut writer: WriteHalf<Wire>) {
        let Some(mut waiting) = self.closed.run_until_cancelled(self.waiting.lock()).await else { return };
        loop {
            let mut packets = tokio::select! {
                biased;
                Some(packets) = waiting.recv() => packets,
                () = self.closed.cancelled() => break,
            };
            while let Ok(more) = waiting.try_recv() {
                packets.extend(more);
            }
            let texts = packets.iter().filter(|packet| !matches!(packet, Packet::Text(text) if text == "6"));
            let bytes: Vec<u8> = texts.flat_map(frame).collect();
            let cut = world(|world| world.random.usize(..=bytes.len()));
            for piece in [&bytes[..cut], &bytes[cut..]] {
                writer.write_all(piece).await.ok();
            }
        }
        writer.shutdown().await.ok();
    }

    // --- Socket.IO ---------------------------------------------------------------------------------------------

    /// A packet of the client's.
    pub(super) fn receive(self: &Arc<Self>, text: &str) {
        let (kind, rest) = text.split_at(text.len().min(2));
        let (namespace, rest) = rest.strip_prefix("/n,").map_or((0, rest), |rest| (1, rest));
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, json) = (rest[..digits].parse::<i64>().ok(), &rest[digits..]);
        match kind {
            "40" => self.connect(namespace),
            "41" => self.farewell(namespace, Reason::ClientDisconnect),
            "42" => {
                let session = self.guests()[namespace].as_ref().map(|guest| guest.session.clone());
                let Some(session) = session else { return };
                if id.is_some() {
                    self.link.asked();
                }
                session.event(json.into(), Vec::new(), id);
            }
            "43" => {
                let sink = self.guests()[namespace].as_ref().map(|guest| Arc::clone(&guest.sink));
                let payload = Payload::from_array(&json.into(), Vec::new()).unwrap();
                sink.into_iter().for_each(|sink| sink.answer(id.unwrap_or(0), payload.clone()));
            }
            "1" => self.close(Reason::TransportClose),
            _ => {}
        }
    }

    fn connect(self: &Arc<Self>, namespace: usize) {
        // A second CONNECT while the first is being answered is ignored.
        if self.connecting[namespace].fetch_add(1, Ordering::Relaxed) == 0 {
            let engine = Arc::clone(self);
            spawn(async move {
                engine.door(namespace).await;
                engine.connecting[namespace].store(0, Ordering::Relaxed);
            });
        }
    }

    async fn door(self: &Arc<Self>, namespace: usize) {
        let sink = ToClient::new(self, namespace);
        let peer = Peer::new(([127, 0, 0, 1], 9).into(), self.link.transport(), String::new(), None);
        let id = peer.id().to_owned();
        let asked = self.router.admit(NAMESPACES[namespace], peer, Arc::clone(&sink) as Arc<dyn Sink>).await;
        let Ok(session) = asked else {
            sink.leave();
            self.queue(vec![Packet::Text(format!("44{}{{}}", prefix(namespace)))]).ok();
            return;
        };
        let member = world(|world| world.member(namespace, &id));
        let guest = Guest { sink: Arc::clone(&sink), session: session.clone(), member };
        self.guests()[namespace] = Some(guest);
        let reply = format!("40{}{{\"sid\":\"{member}\"}}", prefix(namespace));
        if self.queue(vec![Packet::Text(reply)]).is_err() {
            let guest = self.guests()[namespace].take();
            drop(guest);
            return;
        }
        tell!("  member {member} of {} is let in", NAMESPACES[namespace]);
        self.link.namespace(true);
        sink.connected();
        self.link.opens(&session);
        world(|world| world.members[member].open = true);
        session.opened();
    }

    /// The server sends a DISCONNECT.
    pub(super) fn disconnect(&self, namespace: usize) {
        if self.guests()[namespace].is_some() {
            self.queue(vec![Packet::Text(format!("41{}", prefix(namespace)))]).ok();
            self.farewell(namespace, Reason::ServerDisconnect);
        }
    }

    fn farewell(&self, namespace: usize, reason: Reason) {
        let guest = self.guests()[namespace].take();
        let Some(Guest { sink, session, member }) = guest else { return };
        tell!("  member {member} is gone: {reason:?}");
        if !matches!(reason, Reason::ClientDisconnect | Reason::ServerDisconnect) {
            self.link.gone(reason);
        }
        sink.leave();
        self.link.namespace(false);
        world(|world| world.members[member].open = false);
        session.closed(match reason {
            Reason::ClientDisconnect | Reason::ServerDisconnect => reason,
            other => self.link.ended().unwrap_or(other),
        });
    }

    /// The session is over.
    pub(super) fn close(self: &Arc<Self>, reason: Reason) {
        if self.is_closed() {
            return;
        }
        tell!("  session {} closes: {reason:?}", self.link.number());
        self.closed.cancel();
        let engine = Arc::clone(self);
        spawn(async move {
            engine.waiting.lock().await.close();
            for namespace in 0..NAMESPACES.len() {
                engine.farewell(namespace, reason);
            }
        });
    }
}
