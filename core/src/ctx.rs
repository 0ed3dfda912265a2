//! One client, as a handler sees it.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::oneshot;

use crate::ack::Deferred;
use crate::answer::fail_call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::journal::Keeper;
use crate::packet::{Item, split_event};
use crate::payload::{Decode, Emit, Payload, encode_event};
use crate::peer::Peer;
use crate::sink::{Reason, Transport};

/// The client a handler works for. Cheap to clone, and fine to keep: once the client is gone every call does nothing.
///
/// ```
/// # use carillon_core::prelude::*;
/// # use carillon_core::testing::Harness;
/// # #[derive(Clone, Deserialize, Serialize, JsonSchema)]
/// # struct Said { text: String }
/// # struct Chat { host: Host }
/// # impl Plugin for Chat {
/// #     const NAME: &'static str = "chat";
/// #     const NAMESPACE: &'static str = "/chat";
/// #     type Config = NoConfig;
/// #     async fn init(_: NoConfig, host: Host) -> Result<Self> { Ok(Self { host }) }
/// #     fn routes(on: &mut Routes<Self>, _: &NoConfig) {
/// #         on.event("say", "Tells everybody.", Self::say);
/// #         on.emits::<Said>("said", "To everybody when somebody says something.");
/// #     }
/// # }
/// # impl Chat {
///     async fn say(self: Arc<Self>, ctx: Ctx, said: Said) -> Result<usize> {
///         ctx.join("talkers")?;
///         ctx.emit("said", &said)?;
///         Ok(ctx.rooms().len())
///     }
/// # }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// #     let harness = Harness::of::<Chat>().await;
/// #     let mut client = harness.connect("/chat").await.unwrap();
/// #     let answer = client.call("say", serde_json::json!({"text": "hi"})).await;
/// #     assert_eq!(answer["ok"], true, "{answer}");
/// #     assert_eq!(client.expect("said").await["text"], "hi");
/// # }
/// ```
#[derive(Clone)]
pub struct Ctx(Arc<Client>);

impl Ctx {
    pub(crate) fn new(client: &Arc<Client>) -> Self {
        Self(Arc::clone(client))
    }

    /// The journal of the client's namespace, if it has one.
    pub(crate) fn keeper(&self) -> Option<&Keeper> {
        self.0.namespace.keeper()
    }

    pub(crate) fn namespace_arc(&self) -> &Arc<str> {
        &self.0.namespace.name
    }

    /// What the client is told of an event, given as it was received, that its namespace does not take.
    pub(crate) fn unknown_event(&self, event: &str) -> Error {
        let name = split_event(event).map(|event| event.name).unwrap_or_default();
        self.0.namespace.unknown_event(&name, self.0.peer.identity().as_ref())
    }

    /// Calls whose handlers hold the ack.
    pub(crate) fn deferred(&self) -> &Deferred {
        &self.0.deferred
    }

    /// Sends an ack that nobody else will.
    pub(crate) fn send_ack(&self, item: Item) {
        self.0.namespace.ack_once(&self.0, item);
    }

    /// Answers call `id` of an event with an error, remembered as any handler's own.
    pub(crate) fn fail_call(&self, event: &ByteString, id: i64, error: &Error) {
        fail_call(&self.0, event, id, error);
    }

    /// The client's public id, unique over all nodes. `host.to(ns).client(id)` reaches it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.peer.id()
    }

    /// The namespace the client is connected to.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.0.namespace.name
    }

    /// What is known of the client: id, address, transport; in `connected` also auth, query and headers.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// Whether the client has come back and gets on where it left off: it has the id and the rooms it had, and has got what
    /// it has missed when `connected` runs. What a plugin keeps of it in [`state`](Self::state) is new.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.0.has_resumed()
    }

    /// Who the client is: what its token or key says. `None` while `auth.mode` is `"open"`: nobody is asked then.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.0.peer.identity()
    }

    /// The transport in use now, or at the time of CONNECT once the client is gone.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.0.sink().map_or(self.0.peer.transport(), |sink| sink.transport())
    }

    /// Sends an event to this client. What one task emits, publishes and answers arrives in that order.
    ///
    /// # Errors
    /// `internal` when the value cannot be written as JSON. A client that is gone is no error.
    #[track_caller]
    pub fn emit<T: Emit + ?Sized>(&self, event: &str, value: &T) -> Result<()> {
        self.0.namespace.note(event, Location::caller());
        self.0.namespace.emit(&self.0, event, value)
    }

    /// Sends an event and waits for the client's ack: `R` is its first argument, [`Payload`] all of them.
    ///
    /// A handler may await it: the answer waits for no turn, the client's further events do. The handler's own limit
    /// (`router.handler_timeout_ms`) holds whatever `timeout` is: when it passes, the handler is dropped here and its call is
    /// answered `timeout`. A question that may take longer is asked in a task of [`Host::spawn`](crate::Host::spawn), with the
    /// [`Ack`](crate::ack::Ack) in hand.
    ///
    /// # Errors
    /// `timeout` when no ack came in time, `unavailable` when the client is gone, `bad_payload` when the ack is not
    /// an `R`: the message tells that it is the answer to `event`, and not what the handler was called with.
    #[track_caller]
    pub fn call<R: Decode>(
        &self,
        event: &str,
        value: &(impl Emit + ?Sized),
        timeout: Duration,
    ) -> impl Future<Output = Result<R>> + Send {
        let at = Location::caller();
        async move {
            self.0.namespace.note(event, at);
            let item: Item = encode_event(&self.0.namespace.name, event, value)?;
            let _asking = self.0.ask();
            self.0.namespace.count_call(event, &item);
            // The call takes its turn in the client's order; its answer comes back over the channel.
            let (answer, answered) = oneshot::channel();
            let sink = self.0.sink().ok_or_else(|| Error::unavailable("the client is gone"))?;
            self.0.seat.send(item.wire_len(), move || {
                answer.send(sink.call(&item, timeout)).ok();
            });
            let call = answered.await.map_err(|_| Error::unavailable("the server is going away"))?;
            let answer: Payload = call.await?;
            R::decode(&answer.into_arguments())
                .map_err(|error| Error::bad_payload(format!("the answer to {event:?}: {}", error.message())))
        }
    }

    /// Puts the client into a room of its namespace: it gets every publish to the room from now on.
    ///
    /// # Errors
    /// When the name is empty or too long, the client is in [`MAX_ROOMS`](crate::hub::MAX_ROOMS) rooms, or its token lists
    /// the rooms it may be in and not this one (`forbidden`).
    pub fn join(&self, room: &str) -> Result<()> {
        self.0.join(room)
    }

    /// Takes the client out of a room.
    pub fn leave(&self, room: &str) {
        self.0.leave(room);
    }

    /// The rooms the client is in; in `disconnected`, those it was in at its end.
    #[must_use]
    pub fn rooms(&self) -> Vec<String> {
        self.0.rooms().names.iter().map(|room| (**room).to_owned()).collect()
    }

    /// The plugin's value of type `T` for this client, made by `T::default` on first use and dropped with the client.
    #[must_use]
    pub fn state<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.0.state()
    }

    /// Sends a Socket.IO DISCONNECT: the client leaves this namespace and does not reconnect by itself. Whatever it is
    /// sent afterwards does not reach it, the ack of the running handler included: an [`Ack`](crate::ack::Ack) can be
    /// sent before.
    pub fn disconnect(&self) {
        if let Some(sink) = self.0.sink() {
            self.0.seat.send(0, move || sink.disconnect());
        }
    }

    /// Closes the client's connection at once, with all its namespaces; a stock client reconnects.
    pub fn close(&self) {
        if let Some(sink) = self.0.sink() {
            sink.close(Reason::Killed);
        }
    }
}
