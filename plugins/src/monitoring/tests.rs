//! `/monitoring` as clients see it.

use carillon_core::lifecycle::BootError;
use carillon_core::registry::{Registration, Registry};
use carillon_core::testing::{Harness, TestClient};
use serde_json::{Value, json};

use super::*;
use crate::cluster::node_key;
use crate::testing::{boot, client, quiet};

const ROUND: &str = r#"{"timestamp":"2026-11-22T12:00:00.000000","nodes":{"n1":{"cpu_usage":1.50}},"cluster_stats":{"total_nodes":2,"online_nodes":1}}"#;

/// A bus on which another program keeps what it measures.
pub(super) async fn watched(settings: &[(&str, &str)]) -> Harness {
    let harness = quiet(settings).await;
    harness.app().bus().set(METRICS, ROUND.into(), None).await.unwrap();
    let node = r#"{"cpu_usage":1.50,"memory_usage":20,"disk_usage":3,"temperature":null}"#;
    harness.app().bus().set(&node_key("n1"), node.into(), None).await.unwrap();
    harness
}

/// Calls `event` with every number of arguments, each answered by `response` before the ack; the common answer without
/// what depends on the time.
async fn ask(client: &mut TestClient, event: &str, response: &str) -> Value {
    let mut answers = Vec::new();
    for arguments in ["", "{}", "null", "{\"a\":1},2,\"3\""] {
        let ack = client.call_raw(event, arguments, Vec::new()).await.args_json().remove(0);
        let [item] = &client.sink().take()[..] else { panic!("one event before the ack") };
        let event: Vec<Value> = serde_json::from_str(&item.json()).unwrap();
        assert_eq!(event, [json!(response), ack["data"].clone()]);
        assert_eq!(ack["ok"], true);
        let mut answer = ack["data"].clone();
        assert!(answer["timestamp"].take().as_str().unwrap().ends_with('Z'));
        if let Some(now) = answer.pointer_mut("/data/cluster_stats/last_check").map(Value::take)
            && answer["data"]["timestamp"] == now
        {
            // What was never measured is dated now.
            answer["data"]["timestamp"].take();
        }
        answers.push(answer);
    }
    answers.dedup();
    let [answer] = &answers[..] else { panic!("one answer: {answers:?}") };
    answer.clone()
}

/// The greeting, and nothing else while nothing is known; then the last round, to the byte.
#[tokio::test(start_paused = true)]
async fn clients_are_greeted() {
    for (harness, events) in [(quiet(&[]).await, 1), (watched(&[]).await, 2)] {
        let client = harness.connect("/monitoring").await.unwrap();
        crate::testing::settle().await;
        let items = client.sink().take();
        assert_eq!(items.len(), events);
        let greeting: Vec<Value> = serde_json::from_str(&items[0].json()).unwrap();
        assert_eq!((&greeting[0], &greeting[1]["namespace"]), (&json!("monitoring_connected"), &json!("/monitoring")));
        assert!(greeting[1]["timestamp"].as_str().unwrap().ends_with('Z'));
        if let Some(round) = items.get(1) {
            assert_eq!(*round.json(), *format!("[\"cluster_metrics\",{ROUND}]"));
        }
    }
}

/// What is no JSON is not sent on; a bus that is away spoils no greeting.
#[tokio::test(start_paused = true)]
async fn a_sick_bus_spoils_no_greeting() {
    let harness = quiet(&[]).await;
    harness.app().bus().set(METRICS, "{".into(), None).await.unwrap();
    let away = quiet(&[("bus.url", "flaky://60000")]).await;
    for harness in [&harness, &away] {
        let client = harness.connect("/monitoring").await.unwrap();
        client.expect("monitoring_connected").await;
        crate::testing::settle().await;
        assert!(client.sink().take().is_empty());
    }
    let mut client = client(&away, "/monitoring").await;
    let ack = client.call("request_nodes_status", json!({})).await;
    assert_eq!((&ack["ok"], &ack["error"]["code"]), (&json!(false), &json!("unavailable")));
}

/// The overview and the nodes, as another program measured them.
#[tokio::test(start_paused = true)]
async fn status_on_request() {
    let harness = watched(&[]).await;
    let mut client = client(&harness, "/monitoring").await;
    let overview = ask(&mut client, "request_cluster_status", "cluster_status_response").await;
    assert_eq!(overview["data"]["status"], "warning");
    assert_eq!(overview["data"]["timestamp"], "2026-11-22T12:00:00.000000");
    let stats = json!({
        "total_nodes": 2, "ready_nodes": 1, "down_nodes": 1,
        "cpu_usage_avg": 1.5, "memory_usage_avg": 20.0, "disk_usage_avg": 3.0, "last_check": null,
    });
    assert_eq!(overview["data"]["cluster_stats"], stats);
    let nodes = ask(&mut client, "request_nodes_status", "nodes_status_response").await;
    let [node] = &nodes["data"].as_array().unwrap()[..] else { panic!("one node: {nodes}") };
    assert_eq!((&node["node"], &node["status"], &node["temperature"]), (&json!("n1"), &json!("ready"), &json!(null)));
}

/// Before the first round this host is listed, and nothing is made up about it.
#[tokio::test(start_paused = true)]
async fn before_the_first_round() {
    let harness = boot(&[]).await.unwrap();
    let mut client = harness.connect("/monitoring").await.unwrap();
    client.expect("monitoring_connected").await;
    let overview = ask(&mut client, "request_cluster_status", "cluster_status_response").await;
    assert_eq!(
        (&overview["data"]["status"], &overview["data"]["cluster_stats"]["ready_nodes"]),
        (&json!("unknown"), &json!(0))
    );
    let nodes = ask(&mut client, "request_nodes_status", "nodes_status_response").await;
    assert_eq!(nodes["data"][0]["node"], local::name());
    assert_eq!((&nodes["data"][0]["status"], &nodes["data"][0]["last_update"]), (&json!("unknown"), &json!(null)));
}

/// Whoever connects to a server that has just started, with nothing configured, has this host's metrics soon.
#[tokio::test(start_paused = true)]
async fn this_host_is_watched() {
    let begin = tokio::time::Instant::now();
    let harness = boot(&[]).await.unwrap();
    let (root, health) = (client(&harness, "/").await, client(&harness, "/health").await);
    let mut monitoring = client(&harness, "/monitoring").await;
    let round = monitoring.expect("cluster_metrics").await;
    assert!(begin.elapsed() < Duration::from_millis(1_500));
    assert_eq!(monitoring.expect("alerts_update").await["timestamp"], round["timestamp"]);
    assert_eq!(
        (&round["cluster_stats"]["total_nodes"], &round["cluster_stats"]["online_nodes"]),
        (&json!(1), &json!(1))
    );
    assert!(round["nodes"][local::name()]["memory_usage"].as_f64().unwrap() > 0.0, "{round}");
    let update = health.expect("health_update").await;
    let expected = json!({
        "timestamp": round["timestamp"], "overall_status": "healthy", "nodes_online": 1, "nodes_total": 1, "issues": [],
    });
    assert_eq!(update, expected);
    for event in ["redis_cluster_metrics", "redis_cluster_health", "redis_cluster_alerts"] {
        assert_eq!(root.expect(event).await["timestamp"], round["timestamp"]);
    }
    let overview = ask(&mut monitoring, "request_cluster_status", "cluster_status_response").await;
    assert_eq!((&overview["data"]["status"], &overview["data"]["timestamp"]), (&json!("healthy"), &round["timestamp"]));
    // The next round is one interval later.
    monitoring.expect("cluster_metrics").await;
    assert!(begin.elapsed() >= Duration::from_secs(6) && begin.elapsed() < Duration::from_millis(6_500));
    harness.shutdown().await;
}

/// Nothing is measured when it is switched off, or when others may do it.
#[tokio::test(start_paused = true)]
async fn who_collects() {
    for (settings, collects) in [
        (&[][..], true),
        (&[("plugins.monitoring.collect", "off")], false),
        (&[("bus.url", "shared://auto")], false),
        (&[("bus.url", "shared://on"), ("plugins.monitoring.collect", "on")], true),
    ] {
        let harness = Harness::with::<Monitoring>(settings).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let rounds = harness.metric(r#"carillon_collections_total{result="published"}"#);
        assert_eq!(rounds > 0.0, collects, "{settings:?}");
        harness.shutdown().await;
    }
}

/// Publishes to the room of subscribers when a client connects.
struct Knock(Host);
impl Plugin for Knock {
    const NAME: &'static str = "knock";
    const NAMESPACE: &'static str = "/knock";
    type Config = carillon_core::prelude::NoConfig;
    async fn init(_: Self::Config, host: Host) -> Result<Self> {
        Ok(Self(host))
    }
    fn routes(on: &mut Routes<Self>, _: &Self::Config) {
        on.emits_to::<()>("/monitoring", "knock", "Somebody came.");
    }
    async fn connected(self: Arc<Self>, _: Ctx) -> Result<()> {
        self.0.to("/monitoring").room(UPDATES).publish("knock", &())
    }
}

/// Subscribing is answered with what will come, and joins the room; who did not subscribe is not in it.
#[tokio::test(start_paused = true)]
async fn subscribers_are_in_a_room() {
    let plugins = vec![Registration::of::<Monitoring>(file!(), line!()), Registration::of::<Knock>(file!(), line!())];
    let settings = [("plugins.monitoring.collect", "off")];
    let harness = Harness::boot(&Registry::new(plugins).unwrap(), &settings).await.unwrap();
    let (mut subscriber, other) = (client(&harness, "/monitoring").await, client(&harness, "/monitoring").await);
    let answer = ask(&mut subscriber, "subscribe_to_updates", "subscribed_to_updates").await;
    let expected = json!({"timestamp": null, "room": "updates", "events": ["cluster_metrics", "alerts_update"]});
    assert_eq!(answer, expected);
    harness.connect("/knock").await.unwrap();
    subscriber.expect("knock").await;
    crate::testing::settle().await;
    assert!(other.sink().take().is_empty());
}

/// A time to live that ends before the next round is refused, with its place.
#[tokio::test(start_paused = true)]
async fn mistakes_in_the_settings_are_told() {
    let settings = [("plugins.monitoring.node_ttl_ms", "5000"), ("plugins.monitoring.cluster_ttl_ms", "4000")];
    let Err(BootError::Config(text)) = Harness::boot(&Registry::of::<Monitoring>(), &settings).await else {
        panic!("it boots");
    };
    let expected = "plugins.monitoring.node_ttl_ms: after 5000 ms nothing would be known until the next round";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("plugins.monitoring.cluster_ttl_ms: after 4000 ms"), "{text}");
    Harness::with::<Monitoring>(&[("plugins.monitoring.interval_ms", "60000")]).await;
}
