//! What happens to a client at a namespace: asked in, listened to, seen off. All of it is set up before the CONNECT
//! reply leaves, so that no event of a fast client is missed.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use carillon_core::peer::Peer;
use carillon_core::router::{Router, Session};
use carillon_core::sink::{Reason, Sink};
use socketioxide::handler::{ConnectHandler, DisconnectHandler, MessageHandler};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide_core::Value;
use tokio::runtime::Handle;

use super::adapter::{Raw, Raws};
use super::requests::Caller;
use super::session::Session as Known;
use super::sink::ToClient;

/// Why a client is not let in; Socket.IO sends the text as the message of `connect_error`.
type Refusal = Box<dyn Display + Send>;

/// Answers CONNECT for one namespace.
#[derive(Clone)]
pub(super) struct Door {
    namespace: Arc<str>,
    router: Router,
    raws: Raws,
    runtime: Handle,
}

impl Door {
    pub(super) fn new(namespace: &str, router: &Router, raws: &Raws, runtime: &Handle) -> Self {
        Self { namespace: namespace.into(), router: router.clone(), raws: raws.clone(), runtime: runtime.clone() }
    }

    async fn ask(&self, socket: Arc<Socket<Raw>>, auth: &Option<Value>) -> Result<(), Refusal> {
        let unavailable = || -> Refusal { Box::new("the server is not ready") };
        let Caller(known) = socket.req_parts().extensions.get::<Caller>().ok_or_else(unavailable)?.clone();
        let raw = self.raws.get(&self.namespace).ok_or_else(unavailable)?;
        let sink = ToClient::new(raw, &known, &socket, &self.runtime);
        let auth = auth.as_ref().and_then(Value::as_str).map(|json| ByteString::from(json.as_str()));
        let peer = Peer::of(known.guest().handshake(), sink.carried_by(), auth);
        let session = self.router.admit(&self.namespace, peer, Arc::clone(&sink) as Arc<dyn Sink>).await;
        let session = session.map_err(|error| -> Refusal { Box::new(error.message().to_owned()) })?;
        socket.on_fallback(Ear { session: session.clone(), known: Arc::clone(&known) });
        socket.on_disconnect(Farewell { session: session.clone(), sink: Arc::clone(&sink), known });
        socket.extensions.insert(Arrival { session, sink });
        Ok(())
    }
}

impl ConnectHandler<Raw, ()> for Door {
    /// The CONNECT reply is in the client's queue.
    fn call(&self, socket: Arc<Socket<Raw>>, _: Option<Value>) {
        if let (Some(Arrival { session, sink }), Some(Caller(known))) =
            (socket.extensions.get(), socket.req_parts().extensions.get())
        {
            known.joins(&self.namespace, &sink, &session);
            session.opened();
        }
    }

    fn call_middleware<'a>(
        &'a self,
        socket: Arc<Socket<Raw>>,
        auth: &'a Option<Value>,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>> {
        Box::pin(self.ask(socket, auth))
    }
}

/// A client that has been asked in and waits for its CONNECT reply.
#[derive(Clone)]
struct Arrival {
    session: Session,
    sink: Arc<ToClient>,
}

/// Hands every event to the router, whatever its name. Called by the reader of the connection, so in order.
struct Ear {
    session: Session,
    known: Arc<Known>,
}

impl MessageHandler<Raw, ()> for Ear {
    fn call(&self, _: Arc<Socket<Raw>>, event: Value, ack: Option<i64>) {
        let Value::Str(json, attachments) = event else { return };
        // It was checked when it arrived; an empty text is answered like every other malformed event.
        let json = ByteString::try_from(Bytes::from(json)).unwrap_or_default();
        if ack.is_some() {
            self.known.asked();
        }
        self.session.event(json, attachments.map(Vec::from).unwrap_or_default(), ack);
    }
}

/// Tells the router that the client is gone.
struct Farewell {
    session: Session,
    sink: Arc<ToClient>,
    known: Arc<Known>,
}

impl DisconnectHandler<Raw, ()> for Farewell {
    /// Nothing here waits: until `forget` has run, the client could not join again.
    fn call_with_defer(&self, socket: Arc<Socket<Raw>>, why: DisconnectReason, forget: fn(Arc<Socket<Raw>>)) {
        self.sink.leave();
        self.session.closed(match reason(why) {
            reason @ (Reason::ClientDisconnect | Reason::ServerDisconnect) => reason,
            // Ours is more precise where we ended the session.
            other => self.known.ended().unwrap_or(other),
        });
        forget(socket);
    }
}

/// socketioxide's reasons in the router's words.
fn reason(why: DisconnectReason) -> Reason {
    match why {
        DisconnectReason::TransportClose => Reason::TransportClose,
        DisconnectReason::TransportError => Reason::TransportError,
        DisconnectReason::MultipleHttpPollingError => Reason::DoublePoll,
        DisconnectReason::PacketParsingError => Reason::BadPacket,
        DisconnectReason::HeartbeatTimeout => Reason::PingTimeout,
        DisconnectReason::ClientNSDisconnect => Reason::ClientDisconnect,
        DisconnectReason::ServerNSDisconnect => Reason::ServerDisconnect,
        DisconnectReason::ClosingServer => Reason::Drain,
    }
}
