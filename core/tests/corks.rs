//! The answers of a run of events leave in one write: the sink is corked while it may wait, and never for longer.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use carillon_core::lifecycle::App;
use carillon_core::packet::Item;
use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::router::Session;
use carillon_core::sink::{Part, Pushed, Sink, Taken, Transport};
use carillon_core::testing::Harness;
use carillon_core::threads::Threads;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// Opens once.
static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

struct Probe;

impl Plugin for Probe {
    const NAME: &'static str = "probe";
    const NAMESPACE: &'static str = "/probe";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("quick", "Answers at once.", async |_, _, _: Ignored| Ok(()));
        on.event("slow", "Answers after a second.", async |_, _, _: Ignored| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(())
        });
        on.event("soon", "Answers after a moment.", async |_, _, _: Ignored| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(())
        });
        on.event("panic", "Panics.", Self::panics);
        on.event("block", "Blocks its thread until the gate opens.", async |_, _, _: Ignored| {
            drop(GATE.1.wait_while(GATE.0.lock().unwrap(), |open| !*open).unwrap());
            Ok(())
        });
    }
}

impl Probe {
    async fn panics(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<()> {
        panic!("on purpose")
    }
}

/// Notes what it is told, in order: `cork`, `uncork`, `room`, and the ids of acks.
struct Notes {
    log: Mutex<Vec<String>>,
    /// A permit for each answer the client has room for.
    room: Arc<Semaphore>,
    /// Nobody begins to wait, and who waits goes on waiting.
    some: AtomicBool,
}

impl Notes {
    fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { log: Mutex::default(), room: Arc::new(Semaphore::new(room)), some: AtomicBool::new(false) })
    }

    fn note(&self, what: impl ToString) {
        self.log.lock().unwrap().push(what.to_string());
    }

    fn read(&self) -> String {
        self.log.lock().unwrap().join(" ")
    }
}

impl Sink for Notes {
    fn connection(&self) -> u64 {
        1
    }

    fn send(&self, item: &Item) -> Pushed {
        if let Ok(room) = self.room.try_acquire() {
            room.forget();
        }
        self.note(item.ack_id().unwrap());
        Pushed::Delivered
    }

    fn cork(&self) {
        self.note("cork");
    }

    fn uncork(&self) {
        self.note("uncork");
    }

    fn push(&self, part: &Part<'_>) -> Taken {
        Taken::all(part.len(), Pushed::Closed)
    }

    fn call(&self, _: &Item, _: Duration) -> BoxFuture<'static, Result<Payload>> {
        Box::pin(async { Err(Error::unavailable("nobody is there to answer")) })
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        if self.has_room() || self.some.load(Ordering::Relaxed) {
            return None;
        }
        self.note("room");
        let room = Arc::clone(&self.room);
        Some(Box::pin(async move { drop(room.acquire().await) }))
    }

    fn has_room(&self) -> bool {
        self.room.available_permits() > 0
    }

    fn pause_reading(&self, _: bool) {}

    fn disconnect(&self) {}

    fn close(&self, _: Reason) {}

    fn transport(&self) -> Transport {
        Transport::WebSocket
    }
}

async fn connect(harness: &Harness, sink: &Arc<Notes>) -> Session {
    let peer = Peer::new(([127, 0, 0, 1], 9).into(), Transport::WebSocket, String::new(), None);
    let session = harness.app().router().admit("/probe", peer, Arc::clone(sink) as Arc<dyn Sink>).await.unwrap();
    session.opened();
    // `connected` is a run of its own.
    tokio::time::sleep(Duration::from_millis(1)).await;
    session
}

fn send(session: &Session, events: &[&str]) {
    for (event, id) in events.iter().zip(1..) {
        session.event(format!("[\"{event}\"]").into(), Vec::new(), Some(id));
    }
}

async fn told(events: &[&str]) -> String {
    let harness = Harness::of::<Probe>().await;
    let sink = Notes::new(1000);
    let session = connect(&harness, &sink).await;
    send(&session, events);
    tokio::time::sleep(Duration::from_secs(5)).await;
    sink.read()
}

#[tokio::test(start_paused = true)]
async fn a_run_is_corked_once_and_a_single_event_not_at_all() {
    assert_eq!(told(&["quick", "quick", "quick"]).await, "cork 1 2 3 uncork");
    assert_eq!(told(&["quick"]).await, "1");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_holds_no_answer_back() {
    assert_eq!(told(&["quick", "slow", "quick", "quick"]).await, "cork 1 uncork 2 cork 3 4 uncork");
}

#[tokio::test(start_paused = true)]
async fn a_panic_leaves_no_cork_behind() {
    assert_eq!(told(&["quick", "panic", "quick"]).await, "cork 1 2 3 uncork");
    assert_eq!(told(&["quick", "panic"]).await, "cork 1 2 uncork");
}

/// A long run gives way to other clients, and its answers leave meanwhile.
#[tokio::test(start_paused = true)]
async fn a_cork_ends_with_its_turn() {
    let text = told(&["quick"; 100]).await;
    assert_eq!(text.matches(" uncork").count(), 2, "{text}");
    assert_eq!(text.matches("cork").count(), 4, "{text}");
}

/// Answers that wait for a cork cannot make the room that the next one waits for.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_room_has_uncorked() {
    let harness = Harness::of::<Probe>().await;
    let sink = Notes::new(2);
    let session = connect(&harness, &sink).await;
    send(&session, &["quick", "quick", "quick", "quick"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sink.read(), "cork 1 2 room uncork");
    sink.room.add_permits(100);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sink.read(), "cork 1 2 room uncork cork 3 4 uncork");
}

/// A client that leaves while its events run.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_off_leaves_no_cork_behind() {
    let harness = Harness::of::<Probe>().await;
    let sink = Notes::new(1000);
    let session = connect(&harness, &sink).await;
    send(&session, &["quick", "quick", "slow", "quick"]);
    session.closed(Reason::TransportClose);
    drop(session);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(sink.read(), "cork 1 2 uncork 3 4");
}

/// Who reads slowly is served slowly: there may be some room already, and not yet as much as it takes to go on.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_client_that_reads_slowly_is_not_answered_in_its_place() {
    let harness = Harness::of::<Probe>().await;
    let sink = Notes::new(1);
    let session = connect(&harness, &sink).await;
    send(&session, &["quick", "quick"]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    sink.some.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = sink.read();
    assert!(before.ends_with("1 room uncork"), "{before}");
    sink.room.add_permits(1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sink.read(), format!("{before} 2"));
}

/// A handler that blocks its thread keeps the answers of those before it for as long as its time, and no longer.
#[tokio::test]
async fn the_clock_uncorks_what_a_blocked_handler_holds_back() {
    let registry = Registry::of::<Probe>();
    let sections = carillon_config::all_sections(registry.sections());
    let loader = carillon_config::Loader::new(sections).flag("router.handler_timeout_ms", "500", "a test");
    let app = App::boot(&registry, &loader.load().unwrap(), Threads::PerPlugin(1), 1).await.unwrap();
    let harness = Harness::from(app);
    let sink = Notes::new(1000);
    let session = connect(&harness, &sink).await;
    // The last two are there when the first has its answer.
    send(&session, &["soon", "quick", "block"]);
    let wait = async {
        while !sink.read().ends_with("3 uncork") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
    let before = sink.read();
    assert!(before.ends_with("1 cork 2 3 uncork"), "{before}");
    *GATE.0.lock().unwrap() = true;
    GATE.1.notify_all();
    harness.shutdown().await;
    assert_eq!(sink.read(), before, "what came late was answered already");
}
