//! What is answered when something goes wrong: nothing is owed for ever, nobody is told of Rust, every id is found again.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

use carillon_core::prelude::*;
use carillon_core::testing::{Harness, TestClient};
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(rename = "item")]
    _item: String,
    #[serde(rename = "count")]
    _count: u8,
    #[serde(default, rename = "address")]
    _address: Option<Address>,
    #[serde(default, rename = "tags")]
    _tags: Vec<String>,
    #[serde(default, rename = "place")]
    _place: Option<(f64, f64)>,
    #[serde(default, rename = "size")]
    _size: Option<Size>,
    #[serde(default, rename = "ways")]
    _ways: Option<Ways>,
}

#[derive(Deserialize, JsonSchema)]
struct Address {
    #[serde(rename = "street")]
    _street: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Ways {
    ByName(#[expect(dead_code, reason = "only decoded")] String),
    ByNumber(#[expect(dead_code, reason = "only decoded")] u64),
}

struct Probe;

impl Plugin for Probe {
    const NAME: &'static str = "probe";
    const NAMESPACE: &'static str = "/probe";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("order", "Takes an order.", async |_, _, _: Order| Ok(()));
        on.event("panic", "Panics.", async |_, _, _: Ignored| Self::panics());
        on.event("fail", "Fails with a foreign error.", async |_, _, text: String| Ok(text.parse::<u8>()?));
        on.event("drop", "Waits with something whose end panics.", async |_, _, _: Ignored| {
            let _mine = Mine;
            std::future::pending::<Result<()>>().await
        });
        on.any("Fails.", async |_, _, _: AnyEvent| Err::<(), _>(Error::internal("undeclared")));
        on.get("/fails", "Fails.", async |_, _: std::collections::HashMap<String, String>| {
            Err::<(), _>(Error::internal("no such disk"))
        });
    }

    /// No `async`: the panic comes before there is a future.
    fn connected(self: Arc<Self>, ctx: Ctx) -> impl Future<Output = Result<()>> + Send {
        let auth = ctx.peer().auth();
        assert!(auth.as_deref() != Some("\"connected\""), "in connected");
        // What a client sent to be let in is not known for longer.
        *ctx.state::<Told>().0.lock().unwrap() = auth.as_deref().map(str::to_owned);
        std::future::ready(Ok(()))
    }

    fn disconnected(self: Arc<Self>, ctx: Ctx, _: Reason) -> impl Future<Output = ()> + Send {
        assert!(ctx.state::<Told>().0.lock().unwrap().as_deref() != Some("\"disconnected\""), "in disconnected");
        std::future::ready(())
    }

    fn admit(self: Arc<Self>, peer: Peer) -> impl Future<Output = Result<()>> + Send {
        assert!(peer.auth().as_deref() != Some("\"admit\""), "in admit");
        std::future::ready(Ok(()))
    }
}

impl Probe {
    fn panics() -> Result<()> {
        panic!("on purpose")
    }
}

/// The `auth` of a client.
#[derive(Default)]
struct Told(std::sync::Mutex<Option<String>>);

struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("at the end")
    }
}

async fn client() -> (Harness, TestClient) {
    let harness = Harness::of::<Probe>().await;
    let client = harness.connect("/probe").await.unwrap();
    (harness, client)
}

fn message(ack: &Value) -> &str {
    ack["error"]["message"].as_str().unwrap()
}

/// B12: an event that arrives when its client has left is answered all the same, so that nobody waits for it.
#[tokio::test(start_paused = true)]
async fn b12_an_event_that_meets_the_end_is_settled() {
    let (_harness, mut client) = client().await;
    client.close(Reason::ServerDisconnect);
    let ack = client.call("order", json!({"item": "x", "count": 1})).await;
    assert_eq!(ack["error"]["code"], "unavailable");
}

/// B12: the same for events that were faster than the CONNECT reply of a client that then left.
#[tokio::test(start_paused = true)]
async fn b12_events_of_an_abandoned_connect_are_settled() {
    let harness = Harness::of::<Probe>().await;
    let sink = Arc::new(carillon_core::testing::RecordingSink::default());
    let peer = Peer::new(([127, 0, 0, 1], 9).into(), carillon_core::sink::Transport::WebSocket, String::new(), None);
    let session = harness.app().router().admit("/probe", peer, sink.clone()).await.unwrap();
    session.event("[\"order\"]".into(), Vec::new(), Some(7));
    session.closed(Reason::ClientDisconnect);
    assert!(format!("{sink:?}").contains("ack 7 "), "{sink:?}");
}

/// B13: a hook that panics before it returns its future is a failed hook, and its client is served on.
#[tokio::test(start_paused = true)]
async fn b13_a_hook_that_panics_at_once_leaves_the_queue_going() {
    let harness = Harness::of::<Probe>().await;
    let mut client = harness.connect_with("/probe", Some(json!("connected"))).await.unwrap();
    assert_eq!(client.expect("error").await["code"], "internal");
    assert_eq!(client.call("order", json!({"item": "x", "count": 1})).await["ok"], true);
    let leaving = harness.connect_with("/probe", Some(json!("disconnected"))).await.unwrap();
    leaving.close(Reason::TransportClose);
    assert_eq!(harness.connect_with("/probe", Some(json!("admit"))).await.err().unwrap().code(), Code::Internal);
    assert_eq!(harness.metric(r#"carillon_handlers_in_flight{namespace="/probe"}"#), 0.0);
    client.close(Reason::TransportClose);
    assert!(harness.app().drain(Duration::from_secs(5)).await, "no queue is stuck");
}

/// B13: and so is a handler whose remains panic when they are dropped.
#[tokio::test(start_paused = true)]
async fn b13_a_panic_in_what_is_dropped_leaves_the_queue_going() {
    let (_harness, mut client) = client().await;
    assert_eq!(client.call("drop", json!(null)).await["error"]["code"], "timeout");
    assert_eq!(client.call("order", json!({"item": "x", "count": 1})).await["ok"], true);
}

/// Field and shape, in words that every language has.
#[tokio::test(start_paused = true)]
async fn mistakes_are_told_by_field_and_shape() {
    let (_harness, mut client) = client().await;
    for (argument, expected) in [
        (json!(7), "expected an object with `item` and `count`, got 7"),
        (json!({"count": 1}), "`item` is missing: expected a string"),
        (json!({"item": 1, "count": 1}), "`item`: expected a string, got 1"),
        (json!({"item": "x", "count": -1}), "`count`: expected a whole number from 0 to 255, got -1"),
        (json!({"item": "x", "count": "1"}), "`count`: expected a whole number from 0 to 255, got \"1\""),
        (json!({"item": "x", "count": 1, "address": 5}), "`address`: expected an object with `street` or null, got 5"),
        (json!({"item": "x", "count": 1, "address": {}}), "`address.street` is missing: expected a string"),
        (json!({"item": "x", "count": 1, "tags": {}}), "`tags`: expected a list, got an object"),
        (json!({"item": "x", "count": 1, "place": [1]}), "`place`: expected a list of 2 or null, got 1 items"),
        (json!({"item": "x", "count": 1, "size": "huge"}), "`size`: expected \"small\" or \"large\", got \"huge\""),
        (json!({"item": "x", "count": 1, "size": 1}), "`size`: expected \"small\" or \"large\" or null, got 1"),
        (
            json!({"item": "x", "count": 1, "ways": {}}),
            "`ways`: expected a string or a whole number of at least 0, got an object",
        ),
    ] {
        assert_eq!(message(&client.call("order", argument.clone()).await), expected, "{argument}");
    }
    let ack = client.call_raw("order", "", Vec::new()).await.args_json().remove(0);
    assert_eq!(message(&ack), "missing argument 1: expected an object with `item` and `count`");
}

/// The `error` event of a call without ack names the event that failed, as the client wrote it but not without end.
#[tokio::test(start_paused = true)]
async fn the_error_event_names_the_event() {
    let (_harness, client) = client().await;
    client.emit("order", &json!(null));
    let error = client.expect("error").await;
    assert_eq!((&error["event"], &error["code"]), (&json!("order"), &json!("bad_payload")));
    assert!(error["message"].is_string() && error["timestamp"].is_string());
    client.emit(&"n".repeat(5_000), &json!(null));
    assert_eq!(client.expect("error").await["event"], format!("{}..", "n".repeat(128)));
}

/// Every id a client was given is found again, with the event and the cause, however the log was throttled.
#[tokio::test(start_paused = true)]
async fn every_error_id_is_found_again() {
    let (harness, mut client) = client().await;
    let mut given = Vec::new();
    for event in ["panic", "fail", "never declared"] {
        for _ in 0..5 {
            let ack = client.call(event, json!("x")).await;
            given.push((event, ack["error"]["id"].as_str().unwrap().to_owned()));
        }
    }
    harness.get("/fails", &[]).await.unwrap_err();
    let failures = harness.app().failures();
    assert_eq!(failures.len(), given.len() + 1);
    assert_eq!((&*failures[0].event, &*failures[0].cause), ("GET /fails", "no such disk"));
    for (event, id) in given {
        let failure = failures.iter().find(|failure| failure.id == id).unwrap();
        assert_eq!((&*failure.event, failure.plugin, &*failure.namespace), (event, "probe", "/probe"));
        let cause = match event {
            "panic" => "on purpose",
            "fail" => "invalid digit",
            _ => "undeclared",
        };
        assert!(failure.cause.contains(cause) && failure.time.ends_with('Z'), "{failure:?}");
    }
}
