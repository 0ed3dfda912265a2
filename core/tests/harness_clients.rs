//! The harness: where a client connects from, what it is asked and sent, and what has happened when a boot is done.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::panic::AssertUnwindSafe;

use carillon_core::prelude::*;
use carillon_core::testing::{Handshake, Harness};
use futures_util::FutureExt;
use serde_json::{Value, json};

/// Reads how its clients connected, asks them, and sends what it did not declare.
struct Desk;

#[derive(Serialize, JsonSchema)]
struct Told {
    /// Of whom.
    name: String,
    /// How many.
    sizes: Vec<Size>,
}

#[derive(Serialize, JsonSchema)]
struct Size(u8);

impl Plugin for Desk {
    const NAME: &'static str = "desk";
    const NAMESPACE: &'static str = "/desk";
    type Config = NoConfig;

    async fn init(_: NoConfig, _: Host) -> Result<Self> {
        Ok(Self)
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.event("ask", "Asks the client, for so many milliseconds.", Self::ask);
        on.event("tell", "Sends it back as `told`.", Self::tell);
        on.emits::<Told>("told", "What was told.");
        on.emits::<Args<(String, Size)>>("pair", "Two arguments.");
        on.emits::<Payload>("raw", "Whatever it is.");
        on.calls::<String, u8>("question", "How many?");
    }

    async fn admit(self: Arc<Self>, peer: Peer) -> Result<()> {
        let known = peer.header("cookie").is_some_and(|cookie| &*cookie == "id=7");
        if known || peer.transport() == Transport::WebSocket { Ok(()) } else { Err(Error::forbidden("who?")) }
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        let query = ctx.peer().query_pairs();
        let Some((_, name)) = query.first() else { return Ok(()) };
        if name == "nobody" {
            return Err(Error::forbidden("a name, please"));
        }
        ctx.emit("told", &Told { name: format!("{name} over {:?}", ctx.transport()), sizes: vec![Size(1)] })
    }
}

impl Desk {
    async fn ask(self: Arc<Self>, ctx: Ctx, milliseconds: u64) -> Result<u8> {
        ctx.call("question", "how many?", Duration::from_millis(milliseconds)).await
    }

    async fn tell(self: Arc<Self>, ctx: Ctx, Args((event, what)): Args<(String, Vec<Value>)>) -> Result<()> {
        match &what[..] {
            [one] => ctx.emit(&event, one),
            [one, two] => ctx.emit(&event, &Args((one.clone(), two.clone()))),
            _ => ctx.emit(&event, &Payload::empty()),
        }
    }
}

/// Address, query, headers and transport are the test's to choose.
#[tokio::test(start_paused = true)]
async fn a_client_connects_from_where_the_test_says() {
    let desk = Harness::of::<Desk>().await;
    let handshake = |cookie| {
        let handshake = Handshake::new(([10, 0, 0, 7], 1).into(), true, "name=Ann");
        handshake.with_headers([("cookie", cookie)].into_iter())
    };
    let refused = desk.connect_from("/desk", handshake("id=8"), Transport::Polling, None).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Forbidden, "who?"));
    let ann = desk.connect_from("/desk", handshake("id=7"), Transport::Polling, None).await.unwrap();
    assert_eq!(ann.expect("told").await["name"], "Ann over Polling");
}

/// Who is to be kept out is refused by `admit`: an error of `connected` is told, and the client stays.
#[tokio::test(start_paused = true)]
async fn an_error_of_connected_refuses_nobody() {
    let desk = Harness::of::<Desk>().await;
    let handshake = Handshake::new(([10, 0, 0, 7], 1).into(), true, "name=nobody");
    let mut client = desk.connect_from("/desk", handshake, Transport::WebSocket, None).await.unwrap();
    assert_eq!(client.expect("error").await["message"], "a name, please");
    client.call_raw("tell", r#""raw",[1]"#, Vec::new()).await;
    assert_eq!(client.expect("raw").await, 1, "it is served");
    assert!(!client.sink().disconnected() && client.sink().closed().is_none());
}

/// A question is awaited in a handler: its answer is no event and waits for no turn. A handler's time is its own all the
/// same, however patient the question.
#[tokio::test(start_paused = true)]
async fn a_handler_may_wait_for_its_client_as_long_as_it_may_take() {
    let desk = Harness::with::<Desk>(&[("router.handler_timeout_ms", "1000")]).await;
    let client = desk.connect("/desk").await.unwrap();
    client.send("ask", "60000", Vec::new(), Some(1));
    client.send("ask", "500", Vec::new(), Some(2));
    assert_eq!(client.expect("question").await, "how many?");
    client.answer(Payload::new(&3).unwrap());
    assert_eq!(client.ack(1).await.args_json()[0]["data"], 3);
    let message = async |id| client.ack(id).await.args_json()[0]["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message(2).await, "the client did not answer");
    client.send("ask", "60000", Vec::new(), Some(3));
    assert_eq!(message(3).await, "no answer within 1000 ms");
}

/// What is wrong with an answer is not told as if it were wrong with the event.
#[tokio::test(start_paused = true)]
async fn an_answer_of_another_shape_is_told_as_the_answer() {
    let desk = Harness::of::<Desk>().await;
    let client = desk.connect("/desk").await.unwrap();
    client.send("ask", "500", Vec::new(), Some(1));
    client.expect("question").await;
    client.answer(Payload::new("three").unwrap());
    let message = &client.ack(1).await.args_json()[0]["error"]["message"];
    assert_eq!(message, r#"the answer to "question": expected a whole number from 0 to 255, got "three""#);
}

/// A question that has timed out is over: the answer is for the one that waits.
#[tokio::test(start_paused = true)]
async fn an_answer_goes_to_the_oldest_question_that_waits() {
    let desk = Harness::of::<Desk>().await;
    let client = desk.connect("/desk").await.unwrap();
    client.send("ask", "500", Vec::new(), Some(1));
    assert_eq!(client.ack(1).await.args_json()[0]["error"]["message"], "the client did not answer");
    client.send("ask", "60000", Vec::new(), Some(2));
    client.expect("question").await;
    client.expect("question").await;
    client.answer(Payload::new(&7).unwrap());
    assert_eq!(client.ack(2).await.args_json()[0]["data"], 7);
}

/// What was declared and what is sent are the same, or the test that looks at the event fails.
#[tokio::test(start_paused = true)]
async fn an_event_sent_otherwise_than_declared_fails_the_test() {
    let told = async |event: &'static str, what: Value| {
        let desk = Harness::of::<Desk>().await;
        let mut client = desk.connect("/desk").await.unwrap();
        client.call_raw("tell", &format!("{event:?},{what}"), Vec::new()).await;
        AssertUnwindSafe(client.event()).catch_unwind().await.map_err(|panic| {
            // The harness says what it has to say where a test is failing already.
            panic.downcast_ref::<String>().unwrap().clone()
        })
    };
    for (event, what) in [
        ("told", json!([{"name": "Ann", "sizes": [1, 2]}])),
        ("pair", json!(["Ann", 1])),
        ("raw", json!([])),
        ("raw", json!([5, 6])),
    ] {
        assert!(told(event, what.clone()).await.is_ok(), "{event} {what}");
    }
    for (event, what, why) in [
        ("told", json!([5]), "expected an object with `name` and `sizes`, got 5"),
        ("told", json!([{"name": "Ann", "sizes": [1, "2"]}]), "`sizes[1]`: expected a whole number"),
        ("told", json!([]), "expected an object with `name` and `sizes`, got null"),
        ("pair", json!(["Ann", "1"]), "`[1]`: expected a whole number"),
        ("error", json!([{}]), "`message` is missing: expected a string"),
    ] {
        let text = told(event, what).await.unwrap_err();
        assert!(text.contains(why) && text.contains("tests/harness_clients.rs:"), "{text}");
        assert!(text.contains(&format!("{event:?} was sent otherwise than it was declared")), "{text}");
    }
}

/// Subscribes, and tells what it hears.
struct Ear(Host);

impl Plugin for Ear {
    const NAME: &'static str = "ear";
    const NAMESPACE: &'static str = "/ear";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        let (told, from_init) = (host.clone(), host.bus().subscribe(&["init".to_owned()]).await?);
        host.spawn("from init", hear(told, from_init));
        Ok(Self(host))
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.emits::<String>("heard", "What was heard.");
    }

    async fn run(self: Arc<Self>, host: Host) -> Result<()> {
        hear(self.0.clone(), host.bus().subscribe(&["run".to_owned()]).await?).await;
        Ok(())
    }
}

async fn hear(host: Host, mut messages: carillon_core::bus::Subscription) {
    while let Some(Some(message)) =
        tokio::select! { () = host.shutdown() => None, heard = messages.recv() => Some(heard) }
    {
        host.to("/ear").publish("heard", &String::from_utf8_lossy(&message.payload)).unwrap();
    }
}

/// What `run` subscribes to before it waits, and what `init` left a task for, is heard from the first message on; and the
/// task ends with the plugin.
#[tokio::test(start_paused = true)]
async fn the_first_message_after_a_boot_is_heard() {
    let ear = Harness::of::<Ear>().await;
    for channel in ["run", "init"] {
        ear.app().bus().publish(channel, channel.into()).await.unwrap();
    }
    let client = ear.connect("/ear").await.unwrap();
    assert_eq!(ear.metric(r#"carillon_publishes_total{event="heard",namespace="/ear"}"#), 2.0);
    client.expect_nothing(Duration::from_secs(1)).await;
    ear.shutdown().await;
}
