//! What is published to a namespace is numbered and kept: in one order on all nodes, to be told later.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

mod bus;
mod many;
mod one;
mod say;

use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::testing::{Harness, TestClient};
use say::{Say, say};
use serde_json::Value;

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
        on.event("join", "Joins a room.", async |_, ctx: Ctx, room: String| ctx.join(&room));
        on.event("say", "Publishes.", Self::say);
        on.event("past", "All that a plugin is told.", async |chat: Arc<Self>, _, since: Option<String>| {
            chat.host.history("/chat", since.as_deref(), 1000).await
        });
    }
}

impl Chat {
    async fn say(self: Arc<Self>, _: Ctx, mut say: Say) -> Result<()> {
        say.to(&self.host).publish("said", &say.text)
    }
}

async fn boot(settings: &[(&str, &str)]) -> Harness {
    let mut all = vec![("journal.namespaces", r#"["/chat"]"#), ("journal.history", r#"["/chat"]"#)];
    all.extend(settings);
    let harness = Harness::boot(&Registry::of::<Chat>(), &all).await.unwrap();
    settle().await;
    harness
}

/// Everything that is under way has come to rest.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The texts of a history, and whether it is complete.
fn texts(history: &Value) -> (Vec<&str>, bool) {
    let events = history["events"].as_array().unwrap().iter();
    (events.map(|event| event["args"][0].as_str().unwrap()).collect(), history["complete"] == true)
}

/// What a client has got, to the byte.
fn got(client: &TestClient) -> Vec<String> {
    client.sink().take().iter().map(|item| item.json().to_string()).collect()
}

/// How often a publish ended so.
fn counted(harness: &Harness, result: &str) -> f64 {
    harness.metric(&format!(r#"carillon_journal_publishes_total{{namespace="/chat",result="{result}"}}"#))
}
