//! What the micro benchmarks share: an application without sockets, and sinks that only remember.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use carillon_config::{Loader, Problems, all_sections};
use carillon_core::lifecycle::{App, BootError};
use carillon_core::packet::Item;
use carillon_core::payload::Payload;
use carillon_core::peer::Peer;
use carillon_core::plugin::Plugin;
use carillon_core::registry::Registry;
use carillon_core::router::Session;
use carillon_core::sink::{Part, Pushed, Reason, Sink, Taken, Transport};
use carillon_core::threads::Threads;
use carillon_core::{Code, Error, Result};

use carillon_core::prelude::{JsonSchema, schemars};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// What limits one client, as high as it can be set: a benchmark sends as fast as it can, and what it costs to count is part
/// of the price.
pub const OUT_OF_REACH: [(&str, &str); 4] = [
    ("limits.connection_events_per_s", "1000000000"),
    ("limits.connection_events_burst", "1000000000"),
    ("limits.connection_bytes_per_s", "1000000000"),
    ("limits.connection_bytes_burst", "1000000000"),
];

/// Boots plugin `P` alone, on the caller's runtime.
///
/// # Errors
/// What the boot says.
pub async fn boot<P: Plugin>() -> std::result::Result<App, BootError> {
    boot_with(&Registry::of::<P>(), &[]).await
}

/// Boots the plugins of `registry` on the caller's runtime, with settings such as `("plugins.relay.rows", "[]")`.
///
/// # Errors
/// What the boot says.
pub async fn boot_with(registry: &Registry, settings: &[(&str, &str)]) -> std::result::Result<App, BootError> {
    boot_as(registry, settings, Threads::Shared).await
}

/// Boots plugin `P` alone, on so many threads of its own, as the server does.
///
/// # Errors
/// What the boot says.
pub async fn boot_on_threads<P: Plugin>(threads: usize) -> std::result::Result<App, BootError> {
    boot_as(&Registry::of::<P>(), &[], Threads::PerPlugin(threads)).await
}

async fn boot_as(
    registry: &Registry,
    settings: &[(&str, &str)],
    threads: Threads,
) -> std::result::Result<App, BootError> {
    let sections = all_sections(registry.sections());
    let settings: Vec<_> = OUT_OF_REACH.iter().chain(settings).collect();
    let loader = Loader::new(sections);
    let loader = settings.iter().fold(loader, |loader, (path, text)| loader.flag(*path, *text, "a benchmark"));
    let settings = loader.load().map_err(|problems: Problems| BootError::Config(problems.to_string()))?;
    App::boot(registry, &settings, threads, 1).await
}

/// A sensor's reading; `note` brings it to the wanted size.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// Where it was taken.
    pub node: String,
    /// What it says.
    pub value: f64,
    /// As long as it has to be.
    pub note: String,
}

/// A reading of `size` bytes as JSON, 50 at least.
#[must_use]
pub fn reading(size: usize) -> Reading {
    let of = |note: usize| Reading { node: "node6.lan".to_owned(), value: 12.5, note: "x".repeat(note) };
    let bare = serde_json::to_string(&of(0)).map_or(0, |json| json.len());
    of(size.saturating_sub(bare))
}

/// Connects a client that remembers what it gets in `sink`.
///
/// # Errors
/// The plugin's refusal.
pub async fn connect(app: &App, namespace: &str, sink: Arc<MemorySink>) -> Result<Session> {
    let peer = Peer::new(([127, 0, 0, 1], 9).into(), Transport::WebSocket, String::new(), None);
    let session = app.router().admit(namespace, peer, sink).await?;
    session.opened();
    Ok(session)
}

/// Keeps the packets it is given until there are many, as a connection's queue would.
pub struct MemorySink {
    /// Each is a connection of its own.
    number: u64,
    queue: Mutex<Vec<Item>>,
    pushed: AtomicU64,
    /// Who is woken at which packet.
    sleeper: Mutex<Option<Thread>>,
    wake_at: AtomicU64,
}

/// Packets kept before the queue is emptied: about what a connection holds between two writes under load.
const KEPT: usize = 64;

impl Default for MemorySink {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            queue: Mutex::default(),
            pushed: AtomicU64::new(0),
            sleeper: Mutex::default(),
            wake_at: AtomicU64::new(u64::MAX),
        }
    }
}

impl MemorySink {
    /// Packets pushed so far.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Acquire)
    }

    /// Unparks the calling thread when so many packets have been pushed.
    pub fn wake_at(&self, pushed: u64) {
        *self.sleeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        self.wake_at.store(pushed, Ordering::Release);
    }
}

impl Sink for MemorySink {
    fn connection(&self) -> u64 {
        self.number
    }

    fn push(&self, part: &Part<'_>) -> Taken {
        let mut taken = Taken::default();
        part.items().for_each(|(item, _)| taken.add(1, self.send(item)));
        taken
    }

    fn send(&self, item: &Item) -> Pushed {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() == KEPT {
            queue.clear();
        }
        queue.push(item.clone());
        drop(queue);
        if self.pushed.fetch_add(1, Ordering::AcqRel) + 1 == self.wake_at.load(Ordering::Acquire)
            && let Some(sleeper) = &*self.sleeper.lock().unwrap_or_else(PoisonError::into_inner)
        {
            sleeper.unpark();
        }
        Pushed::Delivered
    }

    fn call(&self, _: &Item, _: Duration) -> BoxFuture<'static, Result<Payload>> {
        Box::pin(async { Err(Error::new(Code::Unavailable, "nobody is there to answer")) })
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    fn pause_reading(&self, _: bool) {}

    fn disconnect(&self) {}

    fn close(&self, _: Reason) {}

    fn transport(&self) -> Transport {
        Transport::WebSocket
    }
}
