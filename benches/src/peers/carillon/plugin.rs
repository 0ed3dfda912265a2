//! `/bench`: publishes inside the server as the load asks it to, answers calls, and remembers who has gone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use carillon_core::prelude::*;
use tokio::sync::watch;

use super::endless;
use crate::clock;
use crate::load::shape::{NAMESPACES, ROOMS, Shape, To};
use crate::peers::protocol::{DONE, Done, Ended, NAMESPACE, Run, TICK, Tick};
use crate::peers::publisher::{self, Outlet};

/// A client whose connection the server ended.
#[derive(Debug, Serialize, JsonSchema)]
struct Gone {
    /// The number the client gave in the query of its handshake.
    client: String,
    /// Why.
    reason: &'static str,
    /// When the plugin was told, in nanoseconds of the machine's monotonic clock.
    at: u64,
}

struct Bench {
    host: Host,
    seen: watch::Sender<u64>,
    gone: Mutex<Vec<Gone>>,
    notes: AtomicU64,
    /// The ids of clients by the number they gave.
    clients: Mutex<BTreeMap<u64, String>>,
}

impl Plugin for Bench {
    const NAME: &'static str = super::PLUGIN;
    const NAMESPACE: &'static str = NAMESPACE;
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self {
            host,
            seen: watch::Sender::new(0),
            gone: Mutex::default(),
            notes: AtomicU64::new(0),
            clients: Mutex::default(),
        })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("run", "Publishes as told.", Self::run);
        on.event("seen", "So many messages have been received by all.", Self::seen);
        on.event("echo", "Answers with the same.", Self::echo);
        on.event("note", "Is counted, and not answered.", Self::note);
        on.event("noted", "How many notes came since the last call.", Self::noted);
        on.event("ended", "What became of messages without end.", Self::ended);
        on.event("gone", "Whose connections the server ended since the last call.", Self::gone);
        on.emits::<Tick>(TICK, "A message under test.");
        on.emits::<Done>(DONE, "All messages of a run have been published.");
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        if let Ok(number) = number(&ctx).parse::<u64>() {
            self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(number, ctx.id().to_owned());
            ctx.join(ROOMS[(number % 2) as usize])?;
        }
        Ok(())
    }

    async fn disconnected(self: Arc<Self>, ctx: Ctx, reason: Reason) {
        if matches!(reason, Reason::TransportClose | Reason::ClientDisconnect) {
            return; // It left by itself, and knows when.
        }
        let gone = Gone { client: number(&ctx), reason: reason.as_str(), at: clock::now() };
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).push(gone);
    }
}

/// The number the client gave in its handshake, whose query is forgotten once the client is connected.
fn number(ctx: &Ctx) -> String {
    let number = ctx.state::<OnceLock<String>>();
    let in_query = || {
        let query = ctx.peer().query();
        query.split('&').find_map(|pair| pair.strip_prefix("client=")).unwrap_or_default().to_owned()
    };
    number.get_or_init(in_query).clone()
}

impl Bench {
    async fn run(self: Arc<Self>, ctx: Ctx, run: Run) -> Result<()> {
        self.seen.send_replace(0);
        let seen = self.seen.subscribe();
        let ids = self.clients.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let audience = Audience { host: self.host.clone(), shape: run.shape, clients: run.clients, ids };
        self.host.spawn("publisher", async move {
            let done = publisher::publish(&run, seen, &audience).await;
            if let Err(error) = ctx.emit(DONE, &done) {
                eprintln!("{error}");
            }
        });
        Ok(())
    }

    async fn seen(self: Arc<Self>, _: Ctx, seen: u64) -> Result<()> {
        self.seen.send_replace(seen);
        Ok(())
    }

    async fn echo(self: Arc<Self>, _: Ctx, payload: Payload) -> Result<Plain<Payload>> {
        Ok(Plain(payload))
    }

    async fn note(self: Arc<Self>, _: Ctx, _: Payload) -> Result<()> {
        self.notes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn noted(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<Plain<u64>> {
        Ok(Plain(self.notes.swap(0, Ordering::Relaxed)))
    }

    async fn ended(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<Plain<Ended>> {
        Ok(Plain(endless::ended()))
    }

    async fn gone(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<Plain<Vec<Gone>>> {
        Ok(Plain(std::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner))))
    }
}

/// To whom a run is published.
struct Audience {
    host: Host,
    shape: Shape,
    clients: u64,
    ids: BTreeMap<u64, String>,
}

impl Outlet for Audience {
    // The plugin has threads of its own: it stands in nobody's way.
    const BURST: u64 = 64;

    async fn publish(&self, number: u64, tick: &Tick) {
        let id = |client: u64| self.ids.get(&client).cloned().unwrap_or_default();
        let target = match self.shape.to(number, self.clients) {
            To::All(namespace) => self.host.to(NAMESPACES[namespace]),
            To::Room(room) => self.host.to(NAMESPACE).room(ROOMS[room]),
            To::Except(client) => self.host.to(NAMESPACE).except(id(client)),
            To::Client(client) => self.host.to(NAMESPACE).client(id(client)),
        };
        if let Err(error) = target.publish_wait(TICK, tick).await {
            eprintln!("{error}");
        }
    }
}

/// One more namespace, for whoever wants to be in several.
macro_rules! namespace {
    ($plugin:ident, $name:literal, $namespace:literal) => {
        struct $plugin;

        impl Plugin for $plugin {
            const NAME: &'static str = $name;
            const NAMESPACE: &'static str = $namespace;
            type Config = NoConfig;

            async fn init(_: NoConfig, _: Host) -> Result<Self> {
                Ok(Self)
            }

            fn routes(on: &mut Routes<Self>, _: &NoConfig) {
                on.emits::<Tick>(TICK, "A message under test.");
            }
        }

        plugin!($plugin);
    };
}

namespace!(Second, "bench2", "/bench2");
namespace!(Third, "bench3", "/bench3");

plugin!(Bench);
