//! What an existing Socket.IO application needs when it is ported: several arguments, binary fields, acks of one's own
//! time, rooms at the end of a client, and declarations for all that is sent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::testing::{Harness, TestClient};
use futures_util::FutureExt;
use serde_json::{Value, json};

#[derive(Deserialize, Serialize, JsonSchema)]
struct Picture {
    /// Its name.
    name: String,
    /// Its pixels.
    pixels: Attachment,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    Send,
    SendThenFail,
    Fail,
    Drop,
    Keep,
    KeepThenDrop,
    SendThenHang,
    Hang,
    Panic,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only described")]
struct Token {
    /// Who the client is.
    user: String,
}

struct Ported {
    host: Host,
    kept: Mutex<Vec<Ack<u32>>>,
    left: Mutex<Vec<Vec<String>>>,
}

impl Plugin for Ported {
    const NAME: &'static str = "ported";
    const NAMESPACE: &'static str = "/ported";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host, kept: Mutex::default(), left: Mutex::default() })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.auth::<Token>();
        on.event("move", "Takes two arguments and answers with two.", Self::step);
        on.event("draw", "Takes a picture and sends it back.", Self::draw);
        on.event("raw", "Takes anything.", Self::raw);
        on.event("poke", "Looks at nothing.", Self::poke);
        on.event_with_ack("late", "Answers when it likes.", Self::late);
        on.event("release", "Sends the acks that were kept.", Self::release);
        on.event("enter", "Joins a room.", Self::enter);
        on.event("ends", "The rooms of those who left.", Self::ends);
        on.event("whisper", "Sends an event that nobody declared.", Self::whisper);
        on.emits::<Picture>("drawn", "A picture.");
        on.emits::<Args<(String, u32)>>("moved", "Two arguments.");
        on.calls::<String, bool>("sure", "Asks back.");
    }

    async fn disconnected(self: Arc<Self>, ctx: Ctx, _: Reason) {
        ctx.join("too late").unwrap();
        self.left.lock().unwrap().push(ctx.rooms());
    }
}

impl Ported {
    async fn step(
        self: Arc<Self>,
        ctx: Ctx,
        Args((to, steps)): Args<(String, u32)>,
    ) -> Result<Plain<Args<(u32, String)>>> {
        let sure: bool = ctx.call("sure", "really", Duration::from_secs(1)).await?;
        ctx.emit("moved", &Args((to.clone(), steps)))?;
        Ok(Plain(Args((if sure { steps } else { 0 }, to))))
    }

    async fn draw(self: Arc<Self>, _: Ctx, picture: Picture) -> Result<Picture> {
        self.host.to(Self::NAMESPACE).publish("drawn", &picture)?;
        Ok(picture)
    }

    async fn raw(self: Arc<Self>, _: Ctx, payload: Payload) -> Result<Plain<Payload>> {
        Ok(Plain(payload))
    }

    async fn poke(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<()> {
        Ok(())
    }

    async fn late(self: Arc<Self>, ctx: Ctx, how: How, ack: Ack<u32>) -> Result<()> {
        match how {
            How::Send => {
                ack.send(1)?;
                ctx.emit("moved", &Args(("after the ack", 1)))?;
            }
            How::SendThenFail => {
                ack.send(2)?;
                return Err(Error::not_found("too late to tell"));
            }
            How::Fail => return Err(Error::not_found("nothing there")),
            How::Drop => drop(ack),
            How::Keep => self.kept.lock().unwrap().push(ack),
            How::KeepThenDrop => self.host.spawn("forgets", async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(ack);
            }),
            How::SendThenHang => {
                ack.send(3)?;
                std::future::pending().await
            }
            How::Hang => {
                let _held = ack;
                std::future::pending().await
            }
            How::Panic => {
                let _held = ack;
                panic!("on purpose")
            }
        }
        Ok(())
    }

    async fn release(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<()> {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        kept.into_iter().try_for_each(|ack| ack.send(9))
    }

    async fn enter(self: Arc<Self>, ctx: Ctx, room: String) -> Result<()> {
        ctx.join(&room)
    }

    async fn ends(self: Arc<Self>, _: Ctx, _: Ignored) -> Result<Vec<Vec<String>>> {
        Ok(self.left.lock().unwrap().clone())
    }

    async fn whisper(self: Arc<Self>, ctx: Ctx, _: Ignored) -> Result<()> {
        ctx.emit("psst", "x")?;
        self.host.to(Self::NAMESPACE).publish("psst", "x")
    }
}

async fn ported() -> (Harness, TestClient) {
    let harness = Harness::of::<Ported>().await;
    let client = harness.connect("/ported").await.unwrap();
    (harness, client)
}

#[tokio::test(start_paused = true)]
async fn several_typed_arguments_go_both_ways() {
    let (_harness, client) = ported().await;
    client.send("move", r#""left",3"#, Vec::new(), Some(7));
    assert_eq!(client.expect("sure").await, json!("really"));
    client.answer(Payload::new(&true).unwrap());
    assert_eq!(client.event().await, ("moved".to_owned(), vec![json!("left"), json!(3)]));
    assert_eq!(client.ack(7).await.args_json(), [json!(3), json!("left")]);
    client.send("move", r#""left""#, Vec::new(), Some(8));
    let refused = client.ack(8).await.args_json();
    assert_eq!(refused[0]["error"]["message"], "missing argument 2: expected a whole number from 0 to 4294967295");
}

#[tokio::test(start_paused = true)]
async fn binary_fields_travel_both_ways() {
    let (_harness, mut client) = ported().await;
    let picture = r#"{"name":"dot","pixels":{"_placeholder":true,"num":0}}"#;
    let answer = client.call_raw("draw", picture, vec!["\u{1}".into()]).await;
    assert_eq!(answer.attachments(), ["\u{1}"]);
    assert_eq!(answer.args_json()[0]["data"]["pixels"], json!({"_placeholder": true, "num": 0}));
    assert_eq!(client.expect("drawn").await["name"], "dot");
    let answer = client.call("draw", json!({"name": "dot", "pixels": "none"})).await;
    assert_eq!(answer["error"]["message"], r#"`pixels`: expected binary data, got "none""#);
}

/// An ack leaves before the handler's end, after it, or not at all by the handler: the client has exactly one (the
/// harness refuses a second one), and a handler that failed after its ack has nothing to add.
#[tokio::test(start_paused = true)]
async fn an_ack_in_the_handlers_hands_is_sent_exactly_once() {
    let (harness, mut client) = ported().await;
    assert_eq!(client.call("late", json!("send")).await, json!({"ok": true, "data": 1}));
    assert_eq!(client.expect("moved").await, "after the ack");
    assert_eq!(client.call("late", json!("send_then_fail")).await["data"], 2);
    assert_eq!(client.call("late", json!("send_then_hang")).await["data"], 3);
    for (how, code) in [
        ("fail", "not_found"),
        ("drop", "internal"),
        ("keep_then_drop", "internal"),
        ("hang", "timeout"),
        ("panic", "internal"),
    ] {
        let ack = client.call("late", json!(how)).await;
        assert_eq!(ack["error"]["code"], code, "{how}");
        let remembered = harness.app().failures().into_iter().find(|failure| ack["error"]["id"] == json!(failure.id));
        assert_eq!(remembered.map(|failure| failure.event).as_deref(), (code == "internal").then_some("late"), "{how}");
    }
    client.send("late", r#""keep""#, Vec::new(), Some(1_000));
    client.send("late", r#""keep""#, Vec::new(), None);
    assert_eq!(client.call("release", json!(null)).await["ok"], true);
    assert_eq!(client.ack(1_000).await.args_json()[0]["data"], 9);
}

#[tokio::test(start_paused = true)]
async fn the_rooms_of_a_client_are_known_in_disconnected() {
    let (harness, mut client) = ported().await;
    client.call("enter", json!("lobby")).await;
    client.call("enter", json!("team")).await;
    client.close(Reason::TransportClose);
    let mut second = harness.connect("/ported").await.unwrap();
    assert_eq!(second.call("ends", json!(null)).await["data"], json!([["lobby", "team"]]));
}

/// Line 2 of the author's list: an undeclared event fails the test that sent it, and says how to mean it.
#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_declared_fails_the_harness() {
    let (harness, mut client) = ported().await;
    client.call("whisper", json!(null)).await;
    assert_eq!(harness.undeclared(), ["/ported psst"]);
    assert!(harness.undeclared().is_empty(), "taken");
    client.call("whisper", json!(null)).await;
    let dropped = async { drop(harness) };
    let panic = AssertUnwindSafe(dropped).catch_unwind().await.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("/ported psst (sent at core/tests/porting.rs:") && text.contains("on.emits"), "{text}");
    assert!(text.starts_with("core/tests/porting.rs:"), "the line of the test: {text}");
}

/// Line 6 of the author's list: the generated reference tells auth, questions to clients and what arguments are.
#[test]
fn the_outline_tells_auth_calls_and_arguments() {
    let registry = Registry::of::<Ported>();
    let sections = carillon_core::config::all_sections(registry.sections());
    let config = carillon_core::config::Loader::new(sections).load().unwrap();
    let outline: Value = serde_json::to_value(registry.iter().next().unwrap().describe(&config)).unwrap();
    assert_eq!(outline["auth"], json!({"$ref": "#/definitions/Token"}));
    assert_eq!(outline["definitions"]["Token"]["properties"]["user"]["description"], "Who the client is.");
    let question = &outline["calls"][0];
    assert_eq!((&question["name"], &question["response"]["type"]), (&json!("sure"), &json!("boolean")));
    let request = |name: &str| {
        let events = outline["events"].as_array().unwrap();
        events.iter().find(|event| event["name"] == name).unwrap()["request"].clone()
    };
    assert_eq!(request("raw")["x-arguments"], "raw");
    assert_eq!(request("poke")["x-arguments"], "ignored");
    assert_eq!(request("move")["x-arguments"], "several");
    assert_eq!(request("move")["prefixItems"][1]["type"], "integer");
    assert_eq!(outline["definitions"]["Picture"]["properties"]["pixels"]["format"], "binary");
}
