//! The router's promises, one plugin and one test each, without sockets.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use carillon_core::peer::Peer;
use carillon_core::prelude::*;
use carillon_core::sink::{Reason, Transport};
use carillon_core::testing::{Harness, RecordingSink};
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
struct Say {
    text: String,
}

#[derive(Default)]
struct Count(AtomicUsize);

/// A plugin with one handler for each way to end.
struct Probe {
    host: Host,
}

impl Plugin for Probe {
    const NAME: &'static str = "probe";
    const NAMESPACE: &'static str = "/probe";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("say", "Echoes.", async |_, _, say: Say| Ok(say.text));
        on.event("slow", "Answers after a second.", async |_, _, n: u64| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(n)
        });
        on.event("hang", "Never answers.", async |_, _, _: Ignored| std::future::pending::<Result<()>>().await);
        on.event("panic", "Panics.", Self::panics);
        on.event("fail", "Fails with a foreign error.", async |_, _, text: String| Ok(text.parse::<u8>()?));
        on.event("forbid", "Refuses.", async |_, _, _: Ignored| Err::<(), _>(Error::forbidden("not you")));
        on.event("count", "Counts per client.", async |_, ctx: Ctx, _: Ignored| {
            Ok(ctx.state::<Count>().0.fetch_add(1, Ordering::Relaxed))
        });
        on.event("raw", "Answers with all arguments.", async |_, _, all: Payload| Ok(Plain(all)));
        on.event("story", "Emits, publishes, emits, answers.", Self::story);
        on.event("ask", "Asks the client back.", async |_, ctx: Ctx, _: Ignored| {
            ctx.call::<Say>("question", &json!("?"), Duration::from_secs(5)).await.map(|say| say.text)
        });
        on.event("room", "Joins a room.", async |_, ctx: Ctx, room: String| ctx.join(&room));
        on.event("tell", "Publishes to a room, but not to the sender.", Self::tell);
        on.event("send", "Publishes in several ways.", async |probe: Arc<Self>, _, _: Ignored| {
            let all = || probe.host.to(Self::NAMESPACE);
            all().publish("step", &1)?;
            all().publish("shot", &2)?;
            all().latest().publish("step", &3)?;
            all().mode(Mode::All).publish("shot", &4)
        });
        on.any("Names the event.", async |_, _, event: AnyEvent| Ok(Plain(event.name)));
        on.emits::<u8>("step", "Part of a story.");
        on.emits::<String>("welcome", "To whom has come.");
        on.emits::<String>("told", "Who told.");
        on.calls::<String, Say>("question", "Asks back.");
        on.emits::<u8>("shot", "Not for slow clients.").volatile();
    }

    async fn admit(self: Arc<Self>, peer: Peer) -> Result<()> {
        match peer.auth().as_deref() {
            Some(r#""panic""#) => panic!("in admit"),
            Some(_) => peer.auth_as::<String>().map(|_| ()),
            None => Ok(()),
        }
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        ctx.emit("welcome", &ctx.id())
    }
}

impl Probe {
    async fn panics(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<()> {
        panic!("on purpose")
    }

    async fn story(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<&'static str> {
        ctx.emit("step", &1)?;
        self.host.to("/probe").publish("step", &2)?;
        ctx.emit("step", &3)?;
        Ok("end")
    }

    async fn tell(self: Arc<Self>, ctx: Ctx, room: String) -> Result<usize> {
        let target = self.host.to("/probe").room(room).except(ctx.id());
        target.publish("told", &ctx.id())?;
        Ok(target.clients())
    }
}

async fn connected(harness: &Harness) -> carillon_core::testing::TestClient {
    let client = harness.connect("/probe").await.unwrap();
    client.expect("welcome").await;
    client
}

fn code(ack: &Value) -> &str {
    assert_eq!(ack["ok"], false, "{ack}");
    ack["error"]["code"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_way_to_end_is_answered_once_and_counted() {
    let harness = Harness::of::<Probe>().await;
    let mut client = connected(&harness).await;
    assert_eq!(client.call("say", json!({"text": "hi"})).await, json!({"ok": true, "data": "hi"}));
    let ack = client.call("say", json!({"text": 1})).await;
    assert_eq!(code(&ack), "bad_payload");
    assert!(ack["error"]["message"].as_str().unwrap().starts_with("`text`: "), "{ack}");
    assert_eq!(code(&client.call("hang", json!(null)).await), "timeout");
    let ack = client.call("panic", json!(null)).await;
    assert_eq!((code(&ack), ack["error"]["id"].is_string()), ("internal", true));
    let ack = client.call("fail", json!("x")).await;
    assert_eq!((code(&ack), ack["error"]["message"].as_str()), ("internal", Some("internal error")));
    assert_eq!(client.call("forbid", json!({})).await["error"]["message"], "not you");
    assert_eq!(client.call("no such event", json!({})).await, "no such event", "the catch-all took it");
    for (event, outcome) in [
        ("say", "ok"),
        ("say", "bad_payload"),
        ("hang", "timeout"),
        ("panic", "panic"),
        ("fail", "internal"),
        ("forbid", "forbidden"),
        ("_other", "ok"),
    ] {
        let labels = format!(r#"{{event="{event}",namespace="/probe",outcome="{outcome}"}}"#);
        assert_eq!(harness.metric(&format!("carillon_handler_outcomes_total{labels}")), 1.0, "{labels}");
    }
    assert_eq!(harness.metric(r#"carillon_handlers_in_flight{namespace="/probe"}"#), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_ack_fails_as_an_error_event() {
    let harness = Harness::of::<Probe>().await;
    let client = connected(&harness).await;
    client.emit("forbid", &json!(null));
    let error = client.expect("error").await;
    assert_eq!((&error["code"], &error["message"]), (&json!("forbidden"), &json!("not you")));
    assert!(error["timestamp"].as_str().unwrap().ends_with('Z'));
    client.emit("say", &json!({"text": "fine"}));
    client.emit("panic", &json!(null));
    assert_eq!(client.expect("error").await["code"], "internal", "a success without ack says nothing");
}

#[tokio::test(start_paused = true)]
async fn one_client_is_served_in_order_and_others_are_not_held_up() {
    let harness = Harness::of::<Probe>().await;
    let (mut slow, mut quick) = (connected(&harness).await, connected(&harness).await);
    slow.send("slow", "1", vec![], None);
    slow.send("slow", "2", vec![], None);
    let start = tokio::time::Instant::now();
    quick.call("say", json!({"text": ""})).await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(slow.call("say", json!({"text": "after"})).await["data"], "after");
    assert!(start.elapsed() >= Duration::from_secs(2), "the third event waited for the two before it");
}

#[tokio::test(start_paused = true)]
async fn emits_publishes_and_the_ack_arrive_in_program_order() {
    let harness = Harness::of::<Probe>().await;
    let mut client = connected(&harness).await;
    assert_eq!(client.call("story", json!(null)).await["data"], "end");
    let steps: Vec<_> = client.sink().take().iter().map(|item| item.json().to_string()).collect();
    assert_eq!(steps, [r#"["step",1]"#, r#"["step",2]"#, r#"["step",3]"#]);
}

#[tokio::test(start_paused = true)]
async fn arguments_and_attachments_pass_through_untouched() {
    let harness = Harness::of::<Probe>().await;
    let mut client = connected(&harness).await;
    let args = r#"1.50,{"_placeholder":true,"num":0},[null]"#;
    let ack = client.call_raw("raw", args, vec![Bytes::from_static(b"\0\xff")]).await;
    assert_eq!((ack.json(), ack.attachments()), (args, &[Bytes::from_static(b"\0\xff")][..]));
    assert_eq!(client.call_raw("raw", "", vec![]).await.json(), "");
}

#[tokio::test(start_paused = true)]
async fn the_server_can_ask_a_client() {
    let harness = Harness::of::<Probe>().await;
    let mut client = connected(&harness).await;
    client.send("ask", "null", vec![], None);
    assert_eq!(client.expect("question").await, "?");
    client.answer(Payload::new(&json!({"text": "yes"})).unwrap());
    let ack = client.call("ask", json!(null)).await;
    assert_eq!(code(&ack), "timeout", "nobody answered the second question");
}

/// What slow clients get is said with the publish, or else where the event is declared.
#[tokio::test(start_paused = true)]
async fn publishes_have_their_modes() {
    let harness = Harness::of::<Probe>().await;
    let client = connected(&harness).await;
    client.emit("send", &json!(null));
    client.expect("step").await;
    client.expect("shot").await;
    client.expect("step").await;
    client.expect("shot").await;
    assert_eq!(client.sink().modes(), [Mode::All, Mode::Volatile, Mode::Latest, Mode::All]);
}

#[tokio::test(start_paused = true)]
async fn rooms_and_per_client_state() {
    let harness = Harness::of::<Probe>().await;
    let (mut one, mut two, three) = (connected(&harness).await, connected(&harness).await, connected(&harness).await);
    one.call("room", json!("r")).await;
    two.call("room", json!("r")).await;
    assert_eq!(one.call("tell", json!("r")).await["data"], 1);
    assert_eq!(two.expect("told").await, one.id());
    assert!(one.sink().take().is_empty() && three.sink().take().is_empty());
    assert_eq!(one.call("count", json!(null)).await["data"], 0);
    assert_eq!(one.call("count", json!(null)).await["data"], 1);
    assert_eq!(two.call("count", json!(null)).await["data"], 0);
}

#[tokio::test(start_paused = true)]
async fn refusals_carry_the_plugins_message() {
    let harness = Harness::of::<Probe>().await;
    let refusal = async |auth| harness.connect_with("/probe", Some(auth)).await.err().unwrap();
    assert!(refusal(json!(1)).await.message().starts_with("malformed auth"));
    assert_eq!(refusal(json!("panic")).await.code(), Code::Internal);
    assert_eq!(harness.connect("/nowhere").await.err().unwrap().message(), "Invalid namespace");
    assert!(harness.connect_with("/probe", Some(json!("fine"))).await.is_ok());
    assert_eq!(harness.metric(r#"carillon_connects_refused_total{namespace="/probe"}"#), 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_pauses_reading_and_a_flood_is_refused_in_words() {
    let settings = [("router.queue_events", "8"), ("router.queue_bytes", "2048")];
    let harness = Harness::with::<Probe>(&settings).await;
    let mut client = connected(&harness).await;
    for n in 0..8 {
        client.send("slow", &n.to_string(), vec![], None);
    }
    assert_eq!(client.sink().pauses(), [true]);
    let big = json!("x".repeat(2048));
    assert_eq!(code(&client.call("raw", big).await), "overloaded");
    assert_eq!(client.call("say", json!({"text": "last"})).await["data"], "last");
    assert_eq!(client.sink().pauses(), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_sent_before_it_left_still_runs_and_gauges_return_to_zero() {
    let harness = Harness::of::<Probe>().await;
    let client = connected(&harness).await;
    let gauge = r#"carillon_connected_clients{namespace="/probe",transport="websocket"}"#;
    assert_eq!(harness.metric(gauge), 1.0);
    client.send("slow", "1", vec![], None);
    client.close(Reason::TransportClose);
    client.close(Reason::Slow);
    assert_eq!(harness.metric(gauge), 0.0);
    assert!(harness.app().drain(Duration::from_secs(5)).await);
    let outcomes = r#"carillon_handler_outcomes_total{event="slow",namespace="/probe",outcome="ok"}"#;
    assert_eq!(harness.metric(outcomes), 1.0);
    for (reason, count) in [("transport_close", 1.0), ("slow", 0.0)] {
        let series = format!(r#"carillon_disconnections_total{{namespace="/probe",reason="{reason}"}}"#);
        assert_eq!(harness.metric(&series), count, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_moves_a_client_from_one_gauge_to_the_other() {
    let harness = Harness::of::<Probe>().await;
    let gauges = || {
        ["polling", "websocket"].map(|transport| {
            harness.metric(&format!(r#"carillon_connected_clients{{namespace="/probe",transport="{transport}"}}"#))
        })
    };
    let sink = Arc::new(RecordingSink::default());
    sink.poll();
    let peer = Peer::new(([127, 0, 0, 1], 9).into(), Transport::Polling, String::new(), None);
    let session = harness.app().router().admit("/probe", peer, sink.clone()).await.unwrap();
    session.transport_changed();
    assert_eq!(gauges(), [0.0, 0.0], "it is not there yet");
    session.opened();
    assert_eq!(gauges(), [1.0, 0.0]);
    sink.upgrade();
    session.downgrade().upgrade().unwrap().transport_changed();
    session.transport_changed();
    assert_eq!(gauges(), [0.0, 1.0]);
    session.closed(Reason::TransportClose);
    session.transport_changed();
    assert_eq!(gauges(), [0.0, 0.0]);
    harness.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_ledger_balances() {
    let harness = Harness::of::<Probe>().await;
    let (mut one, two) = (connected(&harness).await, connected(&harness).await);
    one.call("story", json!(null)).await;
    two.close(Reason::TransportClose);
    one.call("story", json!(null)).await;
    assert_eq!(harness.metric("carillon_deliveries_expected_total"), 3.0);
    assert_eq!(harness.metric(r#"carillon_deliveries_total{outcome="delivered"}"#), 3.0);
    assert_eq!(harness.metric(r#"carillon_publishes_total{event="step",namespace="/probe"}"#), 2.0);
    assert_eq!(harness.metric(r#"carillon_messages_sent_total{event="step",namespace="/probe"}"#), 7.0);
}

#[tokio::test(start_paused = true)]
async fn no_text_of_a_client_becomes_a_label() {
    let harness = Harness::of::<Probe>().await;
    let mut client = connected(&harness).await;
    let lines = || harness.app().metrics().render().unwrap().lines().count();
    client.call("name 0", json!(null)).await;
    let before = lines();
    for n in 1..200 {
        client.call(&format!("name {n}"), json!(null)).await;
    }
    assert_eq!(lines(), before);
}
