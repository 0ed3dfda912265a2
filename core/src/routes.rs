//! The table of a namespace: which events it answers, which it sends, which HTTP routes it has.

mod built_in;
mod outline;
mod presence;

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

pub use self::outline::{CallOutline, EmitOutline, EventOutline, GetOutline, Outline};
pub use self::presence::PresenceOutline;
use crate::ack::Ack;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::packet::Item;
use crate::params::{Parameters, Params, lacking};
use crate::payload::{AnyEvent, Arguments, Decode, Reply};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::sink::Mode;

/// A started call: resolves to the ack packet, where one was asked for.
pub(crate) type Answer = BoxFuture<'static, Result<Option<Item>>>;

type EventFn<P> = Box<dyn Fn(&Arc<P>, Ctx, &Arguments, Option<i64>) -> Result<Answer> + Send + Sync>;
type HandshakeFn<P> = Box<dyn Fn(&Arc<P>, Peer) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;
type GetFn<P> = Box<dyn Fn(&Arc<P>, &Params) -> Result<BoxFuture<'static, Result<Bytes>>> + Send + Sync>;

/// Where a plugin declares what its namespace does. Frozen at boot: documentation, schemas and metric labels come from it.
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
///     fn routes(on: &mut Routes<Self>, _: &NoConfig) {
///         on.event("say", "Tells everybody.", Self::say);
///         on.emits::<Said>("said", "To everybody when somebody says something.");
///     }
/// # }
/// # impl Chat {
/// #     async fn say(self: Arc<Self>, _: Ctx, said: Said) -> Result<()> {
/// #         self.host.to("/chat").publish("said", &said)
/// #     }
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
pub struct Routes<P> {
    table: Table<P>,
    schemas: SchemaGenerator,
}

/// The frozen table.
pub(crate) struct Table<P> {
    pub(crate) events: Vec<EventFn<P>>,
    pub(crate) any: Option<EventFn<P>>,
    pub(crate) gets: Vec<GetFn<P>>,
    pub(crate) handshake: Option<HandshakeFn<P>>,
    pub(crate) outline: Outline,
}

impl<P: Send + Sync + 'static> Routes<P> {
    pub(crate) fn new() -> Self {
        // draft 2020-12 with `definitions` collected once per plugin.
        let mut settings = schemars::generate::SchemaSettings::draft2020_12();
        settings.definitions_path = "/definitions".into();
        settings.meta_schema = None;
        let outline = Outline::default();
        let table = Table { events: Vec::new(), any: None, gets: Vec::new(), handshake: None, outline };
        let mut routes = Self { table, schemas: settings.into_generator() };
        routes.emits::<ErrorEvent>("error", "A call without ack failed.");
        routes
    }

    /// Answers event `name` with `handler`. `name` is printable ASCII without `"` and `\`: other names would arrive
    /// escaped from some clients, which the protocol parser does not take.
    ///
    /// What is returned can say how often clients may send it: `on.event("search", "..", Self::search).limit(5, 10)`.
    #[track_caller]
    pub fn event<Req, Rsp, F, Fut>(&mut self, name: impl Into<String>, doc: &str, handler: F) -> &mut EventOutline
    where
        Req: Decode,
        Rsp: Reply,
        F: Fn(Arc<P>, Ctx, Req) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Rsp>> + Send + 'static,
    {
        self.table.events.push(erase(handler));
        self.take::<Req, Rsp>(name.into(), doc, Location::caller())
    }

    /// Answers event `name` with `handler`, which gets the ack in hand: it can send it before it ends, or keep it and
    /// have it sent later. See [`Ack`].
    #[track_caller]
    pub fn event_with_ack<Req, Rsp, F, Fut>(
        &mut self,
        name: impl Into<String>,
        doc: &str,
        handler: F,
    ) -> &mut EventOutline
    where
        Req: Decode,
        Rsp: Reply,
        F: Fn(Arc<P>, Ctx, Req, Ack<Rsp>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.table.events.push(erase_with_ack(handler));
        self.take::<Req, Rsp>(name.into(), doc, Location::caller())
    }

    fn take<Req: Decode, Rsp: Reply>(
        &mut self,
        name: String,
        doc: &str,
        at: &'static Location<'static>,
    ) -> &mut EventOutline {
        let event = self.outlined::<Req, Rsp>(name, doc, at);
        let events = &mut self.table.outline.events;
        let place = events.len();
        events.push(event);
        &mut events[place]
    }

    fn outlined<Req: Decode, Rsp: Reply>(
        &mut self,
        name: String,
        doc: &str,
        at: &'static Location<'static>,
    ) -> EventOutline {
        let (request, response) = (Req::schema(&mut self.schemas), Rsp::schema(&mut self.schemas));
        EventOutline { name, doc: doc.to_owned(), request, response, envelope: Rsp::ENVELOPE, limit: None, at }
    }

    /// Asks `decide` about every handshake with this server, before there is a session and whatever namespaces its client
    /// will want. What it refuses is answered with its status and text. Plugins are asked one after the other, in the
    /// order of their names; one that fails, or takes longer than `router.handler_timeout_ms`, refuses.
    ///
    /// The peer has the request's address, headers, query and path, and neither an `auth` nor the id of a later client.
    pub fn handshake<F, Fut>(&mut self, doc: &str, decide: F)
    where
        F: Fn(Arc<P>, Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.table.outline.handshake = Some(doc.to_owned());
        self.table.handshake = Some(Box::new(move |plugin, peer| Box::pin(decide(Arc::clone(plugin), peer))));
    }

    /// Declares what clients send as `auth` in their CONNECT, for the reference and its types. It refuses nobody: that is for
    /// `admit`, which reads it with [`Peer::auth_as`](crate::peer::Peer::auth_as).
    pub fn auth<T: JsonSchema>(&mut self) {
        self.table.outline.auth = Some(self.schemas.subschema_for::<T>());
    }

    /// Declares an event that a client is sent and answers: what [`Ctx::call`] sends, and what it gets back.
    pub fn calls<Req: JsonSchema, Rsp: JsonSchema>(&mut self, event: impl Into<String>, doc: &str) {
        self.table.outline.calls.push(CallOutline {
            name: event.into(),
            doc: doc.to_owned(),
            request: self.schemas.subschema_for::<Req>(),
            response: self.schemas.subschema_for::<Rsp>(),
        });
    }

    /// Takes every event that is not declared. In metrics they all count as `_other`.
    pub fn any<Rsp, F, Fut>(&mut self, doc: &str, handler: F)
    where
        Rsp: Reply,
        F: Fn(Arc<P>, Ctx, AnyEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Rsp>> + Send + 'static,
    {
        self.table.outline.any = Some(doc.to_owned());
        self.table.any = Some(erase(handler));
    }

    /// Answers `GET path` with JSON. `path` is absolute, `{name}` matches one segment; `Req` is made from the path's
    /// and the query's parameters. [`Ignored`](crate::payload::Ignored), or `()`, takes none and looks at none.
    ///
    /// ```
    /// # use carillon_core::prelude::*;
    /// # use carillon_core::testing::Harness;
    /// # struct Rooms;
    /// # impl Plugin for Rooms {
    /// #     const NAME: &'static str = "rooms";
    /// #     const NAMESPACE: &'static str = "/rooms";
    /// #     type Config = NoConfig;
    /// #     async fn init(_: NoConfig, _: Host) -> Result<Self> { Ok(Self) }
    ///     fn routes(on: &mut Routes<Self>, _: &NoConfig) {
    ///         on.get("/api/rooms", "The names of the rooms.", Self::list);
    ///     }
    /// # }
    /// # impl Rooms {
    ///     async fn list(self: Arc<Self>, _: Ignored) -> Result<Vec<String>> {
    ///         Ok(vec!["lobby".to_owned()])
    ///     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// #     let harness = Harness::of::<Rooms>().await;
    /// #     assert_eq!(harness.get("/api/rooms", &[("x", "1")]).await.unwrap(), serde_json::json!(["lobby"]));
    /// # }
    /// ```
    #[track_caller]
    pub fn get<Req, Rsp, F, Fut>(&mut self, path: impl Into<String>, doc: &str, handler: F)
    where
        Req: Parameters,
        Rsp: Serialize + JsonSchema + Send + 'static,
        F: Fn(Arc<P>, Req) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Rsp>> + Send + 'static,
    {
        let path = path.into();
        let schema = Req::whole_schema(&mut self.schemas);
        self.table.outline.http.push(GetOutline {
            lacking: lacking(&path, &schema),
            path,
            doc: doc.to_owned(),
            request: Req::schema(&mut self.schemas),
            response: self.schemas.subschema_for::<Rsp>(),
            at: Location::caller(),
        });
        self.table.gets.push(Box::new(move |plugin, params| {
            let answer = handler(Arc::clone(plugin), Req::read(params, &schema)?);
            Ok(Box::pin(async move { Ok(serde_json::to_vec(&answer.await?)?.into()) }))
        }));
    }

    /// Declares an event this namespace sends. What is returned can say that slow clients need not get every publish of
    /// it: `on.emits::<T>("snapshot", "..").latest()`.
    pub fn emits<T: JsonSchema>(&mut self, event: impl Into<String>, doc: &str) -> &mut EmitOutline {
        self.declare::<T>(None, event.into(), doc)
    }

    /// Declares an event the plugin sends to a namespace of another plugin; boot fails when nobody serves it.
    pub fn emits_to<T: JsonSchema>(
        &mut self,
        namespace: impl Into<String>,
        event: impl Into<String>,
        doc: &str,
    ) -> &mut EmitOutline {
        self.declare::<T>(Some(namespace.into()), event.into(), doc)
    }

    /// Says that the namespace sends events whose names come from elsewhere, so that they cannot be declared. In metrics
    /// they all count as `_other`. Without it an undeclared event is told to the log, and fails a test with the harness.
    pub fn emits_any(&mut self, doc: &str) {
        self.table.outline.emits_any = Some(doc.to_owned());
    }

    fn declare<T: JsonSchema>(&mut self, namespace: Option<String>, name: String, doc: &str) -> &mut EmitOutline {
        let payload = self.schemas.subschema_for::<T>();
        let emits = &mut self.table.outline.emits;
        let at = emits.len();
        emits.push(EmitOutline { namespace, name, doc: doc.to_owned(), payload, mode: Mode::All, kept: false });
        &mut emits[at]
    }

    /// Ends the declarations.
    pub(crate) fn freeze(mut self) -> Table<P> {
        self.table.outline.definitions = self.schemas.take_definitions(true);
        self.table
    }
}

/// Names the Socket.IO clients use for themselves.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// What is wrong with `name` as the name of an event, if anything.
#[must_use]
pub fn mistake_in_event_name(name: &str) -> Option<&'static str> {
    if RESERVED.contains(&name) {
        return Some("the name is reserved by the Socket.IO clients");
    }
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ';
    (name.is_empty() || !name.chars().all(plain)).then_some("use printable ASCII without quotes and backslashes")
}

/// `error`: a call without ack failed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ErrorEvent {
    /// The event that failed; missing when it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<String>,
    /// What went wrong, for a person.
    pub(crate) message: String,
    /// The code, as in the ack's envelope.
    pub(crate) code: &'static str,
    /// For `rate_limited`: in how many milliseconds it may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
    /// When, RFC 3339 in UTC.
    pub(crate) timestamp: String,
}

fn erase<P, Req, Rsp, F, Fut>(handler: F) -> EventFn<P>
where
    P: Send + Sync + 'static,
    Req: Decode,
    Rsp: Reply,
    F: Fn(Arc<P>, Ctx, Req) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Rsp>> + Send + 'static,
{
    Box::new(move |plugin, ctx, arguments, ack| {
        let request = Req::decode(arguments)?;
        let namespace = Arc::clone(ctx.namespace_arc());
        let answer = handler(Arc::clone(plugin), ctx, request);
        Ok(Box::pin(async move {
            let response = answer.await?;
            ack.map(|id| response.encode(&namespace, id)).transpose()
        }))
    })
}

fn erase_with_ack<P, Req, Rsp, F, Fut>(handler: F) -> EventFn<P>
where
    P: Send + Sync + 'static,
    Req: Decode,
    Rsp: Reply,
    F: Fn(Arc<P>, Ctx, Req, Ack<Rsp>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    Box::new(move |plugin, ctx, arguments, id| {
        let request = Req::decode(arguments)?;
        let (ack, pending) = Ack::new(&ctx, arguments.event().clone(), id);
        let client = ctx.clone();
        let answer = handler(Arc::clone(plugin), ctx, request, ack);
        Ok(Box::pin(async move {
            answer.await?;
            if let Some(id) = id {
                pending.keep()?;
                client.deferred().remove(id);
            }
            Ok(None)
        }))
    })
}
