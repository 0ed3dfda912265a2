//! The namespace through the harness: what it tells, to whom, and what it remembers.

use carillon_core::registry::{Registration, Registry};
use carillon_core::testing::{Harness, TestClient};
use serde_json::{Value, json};

use super::*;
use crate::cluster::METRICS;

/// Noisy: a namespace with one event, whose background work fails at once.
struct Noisy;
impl Plugin for Noisy {
    const NAME: &'static str = "noisy";
    const NAMESPACE: &'static str = "/noisy";
    type Config = NoConfig;
    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }
    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("say", "Says nothing.", Self::say);
    }
    async fn run(self: Arc<Self>, _: Host) -> Result<()> {
        Err(Error::internal("it cannot"))
    }
}
impl Noisy {
    async fn say(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<()> {
        Ok(())
    }
}

/// The next event with this name; others come in between.
async fn heard(client: &TestClient, name: &str) -> Value {
    loop {
        let (got, args) = client.event().await;
        if got == name {
            return args.into_iter().next().unwrap_or_default();
        }
    }
}

async fn both(settings: &[(&str, &str)]) -> Harness {
    let plugins = vec![Registration::of::<Router>(file!(), line!()), Registration::of::<Noisy>(file!(), line!())];
    Harness::boot(&Registry::new(plugins).unwrap(), settings).await.unwrap()
}

/// Who is connected, what came in and went out in the last second, and which plugin has failed.
#[tokio::test(start_paused = true)]
async fn it_tells_what_the_router_does() {
    let harness = both(&[]).await;
    let viewer = harness.connect("/router").await.unwrap();
    let mut other = harness.connect("/noisy").await.unwrap();
    heard(&viewer, "router_state").await;
    for _ in 0..20 {
        other.call("say", json!({})).await;
    }
    let state = heard(&viewer, "router_state").await;
    assert_eq!(
        (&state["connections"], &state["events_in"], &state["deliveries"]),
        (&json!(2), &json!(20.0), &json!(2.0))
    );
    assert_eq!((&state["lost"], &state["slow"]["closed"]), (&json!(0.0), &json!(0)));
    assert!(state["fanout_ms"].as_f64().unwrap() >= 0.0, "what it told a second ago was fanned out: {state}");
    let clients = json!([
        {"namespace": "/noisy", "websocket": 1, "polling": 0},
        {"namespace": "/router", "websocket": 1, "polling": 0},
    ]);
    assert_eq!(state["clients"], clients);
    assert_eq!(state["queues"], json!({"publishes": 0, "bytes": 0, "handlers": 0}));
    assert_eq!((&state["bus"]["kind"], &state["bus"]["up"]), (&json!("memory"), &json!(true)));
    // The failed work has been started again once, after a second, and failed again.
    let plugins = json!([{"name": "noisy", "up": false, "restarts": 1}, {"name": "router", "up": true, "restarts": 0}]);
    assert_eq!((&state["plugins"], &state["status"]), (&plugins, &json!("unready")));
}

/// Nothing is published while nobody is there, and all the same a late client is told what happened.
#[tokio::test(start_paused = true)]
async fn a_late_client_gets_the_history() {
    let harness = both(&[]).await;
    let bus = harness.app().bus();
    for (at, cpu) in [10.0, 20.0].into_iter().enumerate() {
        let round = json!({"timestamp": at.to_string(), "nodes": {"n1": {"cpu_usage": cpu, "memory_usage": 30, "disk_usage": 40}}});
        bus.set(METRICS, round.to_string().into(), None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    tokio::time::sleep(Duration::from_secs(57)).await;
    assert_eq!(harness.metric(r#"carillon_publishes_total{event="router_state",namespace="/router"}"#), 0.0);
    let mut client = harness.connect("/router").await.unwrap();
    let history = client.call("request_history", json!({})).await["data"].clone();
    let router = &history["router"];
    let lengths = ["time", "connections", "events_in", "deliveries", "lost", "fanout_ms"];
    for column in lengths {
        assert_eq!(router[column].as_array().map(Vec::len), Some(60), "{column}: {router}");
    }
    let cluster = &history["cluster"];
    assert_eq!((&cluster["cpu"], &cluster["disk"]), (&json!([10.0, 20.0]), &json!([40.0, 40.0])));
    assert_eq!(cluster["temperature"], json!([null, null]));
    let measured = &history["nodes"]["n1"];
    assert_eq!((measured, measured.is_u64()), (&cluster["time"][1], true));
    // Nobody was there for an hour: no more than 15 minutes are kept.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let history = client.call("request_history", Value::Null).await["data"].clone();
    assert_eq!(history["router"]["time"].as_array().map(Vec::len), Some(15 * 60));
}

/// Who comes after ten minutes is told of all ten: every second of the router, every round of the nodes.
#[tokio::test(start_paused = true)]
async fn ten_minutes_are_told_at_once() {
    let harness = both(&[]).await;
    let bus = harness.app().bus();
    for at in 0..120 {
        let round = json!({"timestamp": at.to_string(), "nodes": {"n1": {"cpu_usage": at}, "n2": {"cpu_usage": at}}});
        bus.set(METRICS, round.to_string().into(), None).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let mut late = harness.connect("/router").await.unwrap();
    let history = late.call("request_history", Value::Null).await["data"].clone();
    let rounds: Vec<_> = (0..120).map(f64::from).collect();
    assert_eq!(history["router"]["time"].as_array().map(Vec::len), Some(600));
    assert_eq!(history["cluster"]["cpu"], json!(rounds));
    let node = late.call("request_node_history", json!({"name": "n2"})).await["data"].clone();
    assert_eq!(node["cpu"], json!(rounds));
}

/// A client that asks is told how often each event came and went, and how often its handler failed; others are not.
#[tokio::test(start_paused = true)]
async fn events_are_counted_for_whoever_asks() {
    let harness = both(&[]).await;
    let mut watcher = harness.connect("/router").await.unwrap();
    let mut other = harness.connect("/noisy").await.unwrap();
    heard(&watcher, "router_state").await;
    heard(&watcher, "router_state").await;
    assert_eq!(harness.metric(r#"carillon_publishes_total{event="event_counts",namespace="/router"}"#), 0.0);
    for event in ["say", "say", "nobody_declared_this"] {
        other.call(event, json!({})).await;
    }
    watcher.call("watch_events", json!({})).await;
    let counts = heard(&watcher, "event_counts").await;
    let of = |namespace: &str, event: &str| {
        let all = counts["events"].as_array().unwrap();
        all.iter().find(|one| one["namespace"] == namespace && one["event"] == event).cloned().unwrap_or_default()
    };
    let said = json!({"namespace": "/noisy", "event": "say", "received": 2, "sent": 0, "failed": 0});
    assert_eq!(of("/noisy", "say"), said);
    assert_eq!((&of("/noisy", "_other")["received"], &of("/noisy", "_other")["failed"]), (&json!(1), &json!(1)));
    assert!(of("/router", "router_state")["sent"].as_u64() >= Some(2), "{counts}");
    assert_eq!(of("/noisy", "nobody_declared_this"), Value::Null);
}

/// Each node has a history of its own, and one that nobody has measured has none.
#[tokio::test(start_paused = true)]
async fn each_node_has_a_history() {
    let harness = both(&[]).await;
    for (at, cpu) in [10.0, 20.25].into_iter().enumerate() {
        let nodes = json!({"n1": {"cpu_usage": cpu, "memory_usage": 30}, "n2": {"cpu_usage": 1}});
        let round = json!({"timestamp": at.to_string(), "nodes": nodes});
        harness.app().bus().set(METRICS, round.to_string().into(), None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    let mut client = harness.connect("/router").await.unwrap();
    let history = client.call("request_node_history", json!({"name": "n1"})).await["data"].clone();
    assert_eq!(history["time"].as_array().map(Vec::len), Some(2));
    assert_eq!((&history["cpu"], &history["memory"]), (&json!([10.0, 20.25]), &json!([30.0, 30.0])));
    assert_eq!(history["disk"], json!([null, null]));
    let unknown = client.call("request_node_history", json!({"name": "n3"})).await;
    assert_eq!(unknown["error"]["code"], "not_found");
}

/// Every five seconds each Carillon tells the clients of all of them how it is.
#[tokio::test(start_paused = true)]
async fn each_server_tells_of_itself() {
    let harness = both(&[]).await;
    let client = harness.connect("/router").await.unwrap();
    let first = heard(&client, "server_state").await;
    assert_eq!((&first["connections"], &first["pid"]), (&json!(1), &json!(std::process::id())));
    let before = tokio::time::Instant::now();
    let second = heard(&client, "server_state").await;
    assert_eq!((&second["id"], before.elapsed()), (&first["id"], Duration::from_secs(5)));
}

/// While the bus is away it says so, and goes on.
#[tokio::test(start_paused = true)]
async fn a_bus_that_is_away_is_told() {
    let harness = Harness::with::<Router>(&[("bus.url", "flaky://5000")]).await;
    let viewer = harness.connect("/router").await.unwrap();
    let state = heard(&viewer, "router_state").await;
    assert_eq!((&state["bus"]["up"], &state["status"]), (&json!(false), &json!("degraded")));
    assert!(!state["bus"]["detail"].as_str().unwrap().is_empty());
    for _ in 0..5 {
        heard(&viewer, "router_state").await;
    }
    let state = heard(&viewer, "router_state").await;
    assert_eq!((&state["bus"]["up"], &state["status"]), (&json!(true), &json!("ready")));
}
