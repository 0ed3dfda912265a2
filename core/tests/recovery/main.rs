//! Clients that come back get on where they left off: what they have missed comes first, in order, once, and only what was
//! theirs. What cannot be told in full is not told: they are new then.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

#[path = "../journal/bus.rs"]
mod bus;
mod forms;
mod many;
mod one;
mod refused;
#[path = "../journal/say.rs"]
mod say;

use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::testing::{Harness, TestClient};
use say::{Say, say};
use serde_json::{Value, json};

struct Chat {
    host: Host,
}

impl Plugin for Chat {
    const NAME: &'static str = "chat";
    const NAMESPACE: &'static str = "/chat";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.emits::<Payload>("said", "What somebody said.");
        on.emits::<Payload>("hello", "To who comes in: whether it has come back, and its rooms.");
        on.event("join", "Joins a room.", async |_, ctx: Ctx, room: String| ctx.join(&room));
        on.event("leave", "Leaves a room.", async |_, ctx: Ctx, room: String| {
            ctx.leave(&room);
            Ok(())
        });
        on.event("say", "Publishes.", Self::say);
        on.event("emit", "Emits what it was sent.", async |_, ctx: Ctx, what: Payload| ctx.emit("said", &what));
    }

    async fn admit(self: Arc<Self>, peer: Peer) -> Result<()> {
        match peer.auth() {
            Some(auth) if auth.contains("refuse") => Err(Error::forbidden("not today")),
            Some(auth) if auth.contains("pid") || auth.contains("offset") => Err(Error::forbidden("what is that?")),
            _ => Ok(()),
        }
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        assert_eq!(ctx.recovered(), ctx.peer().recovered());
        ctx.emit("hello", &json!({"recovered": ctx.recovered(), "rooms": ctx.rooms()}))
    }
}

impl Chat {
    async fn say(self: Arc<Self>, _: Ctx, mut say: Say) -> Result<()> {
        say.to(&self.host).publish_wait("said", &say.text).await
    }
}

async fn boot(settings: &[(&str, &str)]) -> Harness {
    let mut all = vec![("journal.namespaces", r#"["/chat"]"#), ("journal.recovery", r#"["/chat"]"#)];
    all.extend(settings);
    let harness = Harness::boot(&Registry::of::<Chat>(), &all).await.unwrap();
    settle().await;
    harness
}

/// Everything that is under way has come to rest.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// A client that takes offsets, and comes back with what `auth` shows.
async fn connect(harness: &Harness, auth: Value) -> TestClient {
    let mut all = json!({"recovery": true});
    all.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
    harness.connect_with("/chat", Some(all)).await.unwrap()
}

/// Whether its greeting says that it has come back, and how many events came before that.
async fn greeting(client: &TestClient) -> (bool, usize) {
    settle().await;
    let events = client.sink().take();
    let at = events.iter().position(|item| item.json().starts_with(r#"["hello""#)).unwrap();
    let greeting: Value = serde_json::from_str(&events[at].json()).unwrap();
    (greeting[1]["recovered"] == true, at)
}

async fn recovered(client: &TestClient) -> bool {
    greeting(client).await.0
}

/// The arguments of what a client was told until now.
async fn said(client: &TestClient) -> Vec<Vec<Value>> {
    settle().await;
    let array = |item: &carillon_core::packet::Item| serde_json::from_str::<Vec<Value>>(&item.json()).unwrap();
    let all = client.sink().take();
    all.iter().map(array).filter(|event| event[0] == "said").map(|event| event[1..].to_vec()).collect()
}

/// The first arguments, where the last is an offset, and the last offset.
fn texts(said: &[Vec<Value>]) -> (Vec<&Value>, String) {
    let offset = |arguments: &Vec<Value>| {
        let offset = arguments.last().and_then(Value::as_str).unwrap_or_default().to_owned();
        assert!(arguments.len() == 2 && offset.contains('-'), "no offset at the end of {arguments:?}");
        offset
    };
    let offsets: Vec<String> = said.iter().map(offset).collect();
    (said.iter().map(|arguments| &arguments[0]).collect(), offsets.last().cloned().unwrap_or_default())
}

/// How many came back with this result.
fn counted(harness: &Harness, result: &str) -> f64 {
    harness.metric(&format!(r#"carillon_recoveries_total{{namespace="/chat",result="{result}"}}"#))
}
