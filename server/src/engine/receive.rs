//! What a client sends: Engine.IO messages in, the router's calls out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_core::Error;
use carillon_core::packet::engine::{self, Kind};
use carillon_core::packet::received::{self, Received};
use carillon_core::peer::Peer;
use carillon_core::sink::{Reason, Sink};
use serde::Serialize;
use tokio::time::Instant;

use super::client::Client;
use super::out::Joined;
use super::outbox::Key;
use super::session::{Guest, Inside, Seat, Session};
use crate::admission::Held;

/// A CONNECT packet larger than this closes the connection: it is kept in memory until it is answered.
const CONNECT_MAX: usize = 64 << 10;
/// CONNECT packets a connection may send at once, and how many of them it earns back a second.
const CONNECT_BURST: f32 = 100.0;
const CONNECTS_PER_SECOND: f32 = 2.0;
/// Attachments of one packet, and the time all of them may take to arrive.
const ATTACHMENTS: usize = 10;
const ATTACHMENTS_TIME: Duration = Duration::from_secs(10);

/// A packet whose attachments are arriving.
pub(super) struct Assembly {
    kind: received::Kind,
    namespace: Box<str>,
    id: Option<i64>,
    json: ByteString,
    attachments: Vec<Bytes>,
    missing: usize,
    bytes: usize,
    /// What has come of it counts for the memory budget.
    held: Held,
}

/// How many CONNECT packets the client may still send.
pub(super) struct Connects {
    left: f32,
    at: Instant,
}

impl Connects {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: CONNECT_BURST, at: now }
    }

    /// Takes one; whether there was one.
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.at).as_secs_f32() * CONNECTS_PER_SECOND;
        self.left = (self.left + earned).min(CONNECT_BURST) - 1.0;
        self.at = now;
        self.left >= 0.0
    }
}

/// What the client did ends its session.
pub(super) type Handled = Result<(), Reason>;

impl Session {
    /// A text message: one Engine.IO packet.
    pub(super) fn text(self: &Arc<Self>, packet: &str) -> Handled {
        let (kind, data) = engine::parse(packet).ok_or(Reason::BadPacket)?;
        self.packet(kind, data)
    }

    /// One Engine.IO packet.
    pub(super) fn packet(self: &Arc<Self>, kind: Kind, data: &str) -> Handled {
        match kind {
            Kind::Message => self.message(data),
            Kind::Pong => {
                self.pong_seen();
                Ok(())
            }
            Kind::Noop => Ok(()),
            Kind::Close => Err(Reason::TransportClose),
            Kind::Open | Kind::Ping | Kind::Upgrade => Err(Reason::BadPacket),
        }
    }

    /// A Socket.IO packet.
    fn message(self: &Arc<Self>, text: &str) -> Handled {
        if self.inside().assembly.is_some() {
            // An announced attachment must come.
            return Err(Reason::BadPacket);
        }
        let packet = Received::parse(text).map_err(|_| Reason::BadPacket)?;
        match packet.kind {
            received::Kind::Connect => self.connect(&packet),
            received::Kind::Disconnect => {
                self.leave(packet.namespace, None, Reason::ClientDisconnect);
                Ok(())
            }
            kind => {
                let guest = self.guest(packet.namespace)?;
                let json = ByteString::from(packet.json);
                if packet.attachments == 0 {
                    self.deliver(guest, kind, packet.id, json, Vec::new());
                    return Ok(());
                }
                if packet.attachments > ATTACHMENTS {
                    return Err(Reason::BadPacket);
                }
                let held = self.newcomer.hold(json.len()).ok_or(Reason::TransportError)?;
                self.inside().assembly = Some(Box::new(Assembly {
                    kind,
                    namespace: packet.namespace.into(),
                    id: packet.id,
                    bytes: json.len(),
                    json,
                    attachments: Vec::new(),
                    missing: packet.attachments,
                    held,
                }));
                self.awaits_attachments(Some(Instant::now() + ATTACHMENTS_TIME));
                Ok(())
            }
        }
    }

    /// A binary message: an attachment that was announced.
    pub(super) fn binary(self: &Arc<Self>, data: Bytes) -> Handled {
        let mut inside = self.inside();
        let assembly = inside.assembly.as_mut().ok_or(Reason::BadPacket)?;
        assembly.bytes += data.len();
        if assembly.bytes > self.common.settings.max_message_bytes {
            return Err(Reason::TooLarge);
        }
        // The allocator rounds large blocks up by an eighth, and half as much again lies between them.
        if !assembly.held.grow(data.len() + data.len() / 4) {
            return Err(Reason::TransportError);
        }
        assembly.attachments.push(data);
        assembly.missing -= 1;
        let Some(whole) = inside.assembly.take_if(|assembly| assembly.missing == 0) else { return Ok(()) };
        drop(inside);
        self.awaits_attachments(None);
        let Assembly { kind, namespace, id, json, attachments, .. } = *whole;
        // The client may have been sent away meanwhile.
        let guest = self.inside().guest(&namespace);
        self.deliver(guest, kind, id, json, attachments);
        Ok(())
    }

    /// Whose packet it is: nobody's, in a namespace that does not exist.
    fn guest(&self, namespace: &str) -> Result<Option<Guest>, Reason> {
        match self.inside().guest(namespace) {
            None if self.common.namespace(namespace).is_some() => Err(Reason::TransportClose),
            guest => Ok(guest),
        }
    }

    fn deliver(
        &self,
        guest: Option<Guest>,
        kind: received::Kind,
        id: Option<i64>,
        json: ByteString,
        attachments: Vec<Bytes>,
    ) {
        let Some(Guest { client, member }) = guest else { return };
        if kind == received::Kind::Ack {
            return client.answered(id.unwrap_or_default(), &json, attachments);
        }
        if id.is_some() {
            self.owed.fetch_add(1, Ordering::AcqRel);
        }
        member.event(json, attachments, id);
    }

    // --- Namespaces --------------------------------------------------------------------------------------------

    fn connect(self: &Arc<Self>, packet: &Received<'_>) -> Handled {
        let mut inside = self.inside();
        if packet.namespace.len() + packet.json.len() > CONNECT_MAX || !inside.connects.take() {
            return Err(Reason::BadPacket);
        }
        let Some(namespace) = self.common.namespace(packet.namespace) else {
            drop(inside);
            let error = Error::not_found("Invalid namespace");
            self.say(engine::text_frame(Kind::Message, &refusal(packet.namespace, &error)));
            return Ok(());
        };
        // A second CONNECT is ignored: the client stays as it is.
        if inside.seats.iter().any(|seat| seat.namespace == *namespace) {
            return Ok(());
        }
        inside.tickets += 1;
        let ticket = inside.tickets;
        inside.seats.push(Seat { namespace: Arc::clone(namespace), ticket, guest: None });
        drop(inside);
        let auth = (!packet.json.is_empty()).then(|| ByteString::from(packet.json));
        // Also where nobody has to be asked: whether a client may speak before it was answered is not to depend on that.
        let admission = Arc::clone(self).admit(Arc::clone(namespace), ticket, auth);
        self.common.tasks.spawn_on(admission, &self.common.runtime);
        Ok(())
    }

    /// Asks the namespace whether the client may come in, and tells it.
    async fn admit(self: Arc<Self>, namespace: Arc<str>, ticket: Key, auth: Option<ByteString>) {
        let client = Client::new(&self, &namespace, ticket);
        let peer = Peer::of(self.newcomer.handshake(), self.transport(), auth);
        let sink = Arc::clone(&client) as Arc<dyn Sink>;
        match self.common.router.admit(&namespace, peer, sink).await {
            Ok(member) => {
                let guest = Guest { client, member };
                if self.let_in(&namespace, ticket, &guest) {
                    guest.member.open().await;
                    // Whoever reads its reply is in: it misses nothing that is published because of it.
                    self.uncork(ticket);
                }
            }
            Err(error) => {
                let mut inside = self.inside();
                let places = inside.seats.len();
                inside.seats.retain(|seat| seat.ticket != ticket);
                if inside.seats.len() < places {
                    drop(inside);
                    let refusal = refusal(&namespace, &error);
                    self.say(engine::text_frame(Kind::Message, &refusal));
                }
            }
        }
    }

    /// Tells a client that it is in; whether it still wants to be.
    fn let_in(self: &Arc<Self>, namespace: &Arc<str>, ticket: Key, guest: &Guest) -> bool {
        let mut inside = self.inside();
        // One that left before it was answered is counted as abandoned: nobody keeps its member.
        let Some(seat) = inside.seats.iter_mut().find(|seat| seat.ticket == ticket) else { return false };
        seat.guest = Some(guest.clone());
        let pid = guest.member.pid().map(|pid| format!(",\"pid\":\"{pid}\"")).unwrap_or_default();
        let reply = format!("0{}{{\"sid\":\"{}\"{pid}}}", prefix(namespace), guest.member.id());
        let mut out = self.out();
        // Who has come back is sent what it has missed before it is in, and behind the reply.
        let corked = !guest.member.has_resumed();
        out.joined.push(Joined { key: ticket, namespace: Arc::clone(namespace), corked });
        // Nothing of the namespace leaves before the reply, and from here on it may.
        let queued = self.queue(&mut out, engine::text_frame(Kind::Message, &reply), 0);
        drop(out);
        drop(inside);
        if !queued {
            self.end(Reason::Slow);
            return false;
        }
        self.set_idle(false);
        #[cfg(test)]
        crate::simulation::arrives(guest.member.id());
        true
    }

    /// The client leaves a namespace, by its own will or by the server's.
    fn leave(self: &Arc<Self>, namespace: &str, only: Option<Key>, reason: Reason) {
        let mut inside = self.inside();
        let here = |seat: &Seat| *seat.namespace == *namespace && only.is_none_or(|key| seat.ticket == key);
        let Some(place) = inside.seats.iter().position(here) else { return };
        let seat = inside.seats.remove(place);
        let idle = inside.seats.iter().all(|seat| seat.guest.is_none());
        drop(inside);
        if idle {
            self.set_idle(true);
        }
        if let Some(Guest { client, member }) = seat.guest {
            client.leaves();
            #[cfg(test)]
            crate::simulation::departs(member.id());
            member.closed(reason);
        }
    }

    /// The server sends a client away.
    pub(super) fn dismiss(self: &Arc<Self>, namespace: &str, key: Key) {
        // Nothing follows the DISCONNECT.
        if self.unjoin(key) {
            self.say(engine::text_frame(Kind::Message, &format!("1{}", prefix(namespace))));
        }
        self.leave(namespace, Some(key), Reason::ServerDisconnect);
    }
}

impl Inside {
    fn guest(&self, namespace: &str) -> Option<Guest> {
        self.seats.iter().find(|seat| *seat.namespace == *namespace)?.guest.clone()
    }
}

impl super::Common {
    /// The namespace of this name, if there is one.
    fn namespace(&self, name: &str) -> Option<&Arc<str>> {
        self.namespaces.iter().find(|known| ***known == *name)
    }
}

/// What stands in front of a packet's data: nothing for the root namespace, else the name and a comma.
fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

/// The packet that tells a client that it may not come in.
fn refusal(namespace: &str, error: &Error) -> String {
    #[derive(Serialize)]
    struct Refusal<'a> {
        message: &'a str,
        data: Data,
    }
    #[derive(Serialize)]
    struct Data {
        code: &'static str,
        retryable: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    let retry_after_ms = error.retry_after_ms();
    let data = Data { code: error.code().as_str(), retryable: error.is_retryable(), retry_after_ms };
    let json = serde_json::to_string(&Refusal { message: error.message(), data }).unwrap_or_default();
    format!("4{}{json}", prefix(namespace))
}
