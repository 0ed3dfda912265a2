//! The clocks are the server's: a plugin whose threads are all blocked is answered for in time, once, in order.
//!
//! The plugins here run on real threads and are blocked by gates that the tests open, so nothing depends on how fast the
//! machine is; the time limit of a handler is short, and what the tests wait for comes or fails after a minute.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};

use carillon_core::identity::Shown;
use carillon_core::lifecycle::App;
use carillon_core::params::Params;
use carillon_core::prelude::*;
use carillon_core::registry::{Registration, Registry};
use carillon_core::testing::{Harness, TestClient};
use carillon_core::threads::Threads;
use serde_json::{Value, json};

const LIMIT_MS: u64 = 300;

/// Blocks threads until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
    /// How many threads have come here, and gone on.
    entered: AtomicUsize,
    passed: AtomicUsize,
}

impl Gate {
    fn pass(&self) {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| !*open).unwrap());
        self.passed.fetch_add(1, Ordering::SeqCst);
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    async fn reached(&self, threads: usize) {
        until(|| self.entered.load(Ordering::SeqCst) == threads).await;
    }
}

/// Waits for something that other threads do, which nobody announces.
async fn until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}

/// Declares a plugin that blocks at a gate of its own, so that tests can run side by side.
macro_rules! blocking {
    ($type:ident, $gate:ident, $name:literal, $namespace:literal $(, $hook:item)?) => {
        static $gate: OnceLock<Gate> = OnceLock::new();
        struct $type;
        impl Plugin for $type {
            const NAME: &'static str = $name;
            const NAMESPACE: &'static str = $namespace;
            type Config = NoConfig;

            async fn init(_: NoConfig, _: Host) -> Result<Self> {
                Ok(Self)
            }

            fn routes(on: &mut Routes<Self>, _: &NoConfig) {
                on.event("block", "Blocks its thread.", async |_, _, _: Ignored| {
                    $gate.get_or_init(Gate::default).pass();
                    Ok("late")
                });
                on.event("wait", "Never answers.", async |_, _, _: Ignored| std::future::pending::<Result<()>>().await);
                on.event("quick", "Answers at once.", async |_, _, n: Option<u64>| Ok(n));
                on.get(concat!($namespace, "/{n}"), "Answers at once.", async |_, at: At| Ok(at.n));
            }

            $($hook)?
        }
    };
}

#[derive(Deserialize, JsonSchema)]
struct At {
    n: u64,
}

blocking!(Quiet, QUIET, "quiet", "/quiet");

fn gate(gate: &'static OnceLock<Gate>) -> &'static Gate {
    gate.get_or_init(Gate::default)
}

/// Boots plugins with two threads each.
async fn boot(entries: &[Registration]) -> Harness {
    let registry = Registry::new(entries.to_vec()).unwrap();
    let sections = carillon_config::all_sections(registry.sections());
    let loader = carillon_config::Loader::new(sections);
    let config = loader.flag("router.handler_timeout_ms", LIMIT_MS.to_string(), "a test").load().unwrap();
    Harness::from(App::boot(&registry, &config, Threads::PerPlugin(2), 1).await.unwrap())
}

fn code(ack: &Value) -> &str {
    ack["error"]["code"].as_str().unwrap_or("ok")
}

/// Blocks both threads of a plugin, by two clients.
async fn block(harness: &Harness, namespace: &str, gate: &Gate) -> [TestClient; 2] {
    let blockers = [harness.connect(namespace).await.unwrap(), harness.connect(namespace).await.unwrap()];
    for (n, blocker) in blockers.iter().enumerate() {
        blocker.send("block", "", Vec::new(), Some(100));
        gate.reached(n + 1).await;
    }
    blockers
}

/// A plugin that decides about nobody is not asked: its clients come in, and what they call is answered in time.
#[tokio::test]
async fn who_decides_about_nobody_keeps_nobody_waiting() {
    blocking!(Busy, BUSY, "busy", "/busy");
    let gate = gate(&BUSY);
    let harness = boot(&[Registration::of::<Busy>("b.rs", 1)]).await;
    let _blockers = block(&harness, "/busy", gate).await;
    let mut fresh = harness.connect("/busy").await.unwrap();
    assert_eq!(code(&fresh.call("quick", json!(1)).await), "timeout");
    gate.open();
}

/// Every way in (events before, behind and beside the blocked ones, CONNECT, HTTP) is answered `timeout`, once; another
/// plugin notices nothing; and all works again when the threads are free. A sink that gets two acks of one call panics.
#[tokio::test]
async fn blocked_threads_are_answered_for() {
    blocking!(
        Stuck,
        STUCK,
        "stuck",
        "/stuck",
        async fn admit(self: Arc<Self>, _: Peer) -> Result<()> {
            Ok(())
        }
    );
    let gate = gate(&STUCK);
    let harness = boot(&[Registration::of::<Stuck>("s.rs", 1), Registration::of::<Quiet>("q.rs", 1)]).await;
    let mut beside = harness.connect("/stuck").await.unwrap();
    let mut quiet = harness.connect("/quiet").await.unwrap();
    let [mut one, mut two] = block(&harness, "/stuck", gate).await;
    let start = tokio::time::Instant::now();
    let route = harness.app().router().http().iter().find(|route| &*route.namespace == "/stuck").unwrap().clone();
    let params = || Params::new(vec![("n".to_owned(), "7".to_owned())]);

    let (behind_one, behind_two, other, refused, body) = tokio::join!(
        one.call("quick", json!(1)),
        two.call("quick", json!(2)),
        beside.call("quick", json!(3)),
        async { harness.connect("/stuck").await.err().unwrap() },
        async { harness.app().router().get(&route, None, &Shown::default(), params()).await.err().unwrap() },
    );
    for ack in [&behind_one, &behind_two, &other] {
        assert_eq!(code(ack), "timeout", "{ack}");
    }
    assert_eq!((refused.code(), body.code()), (Code::Timeout, Code::Timeout));
    let late = start.elapsed();
    assert!(late < Duration::from_millis(LIMIT_MS + 1_000), "answered after {late:?}");
    assert_eq!(quiet.call("quick", json!(4)).await["data"], 4, "the other plugin goes on");
    assert_eq!(gate.passed.load(Ordering::SeqCst), 0, "the threads are still blocked");

    gate.open();
    assert_eq!(one.call("quick", json!(5)).await["data"], 5);
    assert_eq!(beside.call("quick", json!(6)).await["data"], 6);
    assert_eq!(harness.connect("/stuck").await.unwrap().call("quick", json!(7)).await["data"], 7);
    assert_eq!(harness.app().router().get(&route, None, &Shown::default(), params()).await.unwrap(), "7");
    until(|| gate.passed.load(Ordering::SeqCst) == 2).await;
    let timeouts = r#"carillon_handler_outcomes_total{event="block",namespace="/stuck",outcome="timeout"}"#;
    assert_eq!(harness.metric(timeouts), 2.0, "what returned late counts once");
    let ok = r#"carillon_handler_outcomes_total{event="block",namespace="/stuck",outcome="ok"}"#;
    assert_eq!(harness.metric(ok), 0.0);
    until(|| harness.metric(r#"carillon_handlers_in_flight{namespace="/stuck"}"#) == 0.0).await;
    harness.shutdown().await;
}

/// What one client has sent behind a blocked handler is answered in the order of sending, and what is still in time when
/// the thread comes back is run.
#[tokio::test]
async fn answers_behind_a_blocked_handler_keep_their_order() {
    blocking!(Held, HELD, "held", "/held");
    let gate = gate(&HELD);
    let harness = boot(&[Registration::of::<Held>("h.rs", 1)]).await;
    let [mut one, _two] = block(&harness, "/held", gate).await;
    for id in 101..130 {
        one.send("quick", "", Vec::new(), Some(id));
    }
    one.send("quick", "", Vec::new(), None);
    let error = one.expect("error").await;
    assert_eq!((&error["event"], &error["code"]), (&json!("quick"), &json!("timeout")));
    let shown = format!("{:?}", one.sink());
    let ids: Vec<u64> =
        shown.lines().filter_map(|line| line.trim().strip_prefix("ack ")?.split(' ').next()?.parse().ok()).collect();
    assert_eq!(ids, (100..130).collect::<Vec<_>>(), "{shown}");
    gate.open();
    assert_eq!(one.call("quick", json!(1)).await["data"], 1);
    harness.shutdown().await;
}

/// A handler that only waits is dropped in time, and the client's next event has its full time.
#[tokio::test]
async fn a_handler_that_waits_is_dropped_and_the_next_has_its_time() {
    blocking!(Lazy, LAZY, "lazy", "/lazy");
    gate(&LAZY).open();
    let harness = boot(&[Registration::of::<Lazy>("l.rs", 1)]).await;
    let mut client = harness.connect("/lazy").await.unwrap();
    client.send("wait", "", Vec::new(), None);
    client.send("wait", "", Vec::new(), None);
    assert_eq!(client.call("quick", json!(1)).await["data"], 1, "run, not answered for");
    for _ in 0..2 {
        assert_eq!(client.expect("error").await["event"], "wait");
    }
    assert_eq!(harness.metric(r#"carillon_handlers_in_flight{namespace="/lazy"}"#), 0.0);
    harness.shutdown().await;
}

/// B5: a client that has left is let go of, with its session, however long its plugin is blocked.
#[tokio::test]
async fn b5_a_blocked_plugin_keeps_no_session() {
    blocking!(Keeper, KEEPER, "keeper", "/keeper");
    let gate = gate(&KEEPER);
    let harness = boot(&[Registration::of::<Keeper>("k.rs", 1)]).await;
    let sink = std::sync::Arc::new(carillon_core::testing::RecordingSink::default());
    let peer = Peer::new(([127, 0, 0, 1], 9).into(), carillon_core::sink::Transport::WebSocket, String::new(), None);
    let session = harness.app().router().admit("/keeper", peer, sink.clone()).await.unwrap();
    session.opened();
    session.event("[\"block\"]".into(), Vec::new(), Some(1));
    gate.reached(1).await;
    session.event("[\"quick\"]".into(), Vec::new(), Some(2));
    session.closed(Reason::TransportClose);
    drop(session);
    until(|| std::sync::Arc::strong_count(&sink) == 1).await;
    assert_eq!(gate.passed.load(Ordering::SeqCst), 0, "the thread is still blocked");
    gate.open();
    harness.shutdown().await;
}

/// What blocks a thread is named, for `/readyz` and for whoever asks, and no longer than it does.
#[tokio::test]
async fn a_blocked_thread_is_named() {
    blocking!(Culprit, CULPRIT, "culprit", "/culprit");
    let gate = gate(&CULPRIT);
    let harness = boot(&[Registration::of::<Culprit>("c.rs", 1)]).await;
    let client = harness.connect("/culprit").await.unwrap();
    client.send("block", "", Vec::new(), None);
    gate.reached(1).await;
    until(|| !harness.app().blocked().is_empty()).await;
    let blocked = harness.app().blocked();
    assert_eq!((blocked.len(), blocked[0].plugin, &*blocked[0].what), (1, "culprit", "block"));
    assert!(blocked[0].milliseconds >= 2_000);
    let readiness = harness.app().readiness().await;
    let detail = &readiness.components["culprit"].detail;
    assert!(detail.contains("block") && readiness.components["culprit"].ready, "one thread is free: {detail}");
    gate.open();
    until(|| harness.app().blocked().is_empty()).await;
    harness.shutdown().await;
}
