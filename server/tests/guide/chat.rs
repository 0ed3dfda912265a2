//! `/chat`: rooms with a history, for clients that say who they are.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, OnceLock};

use carillon_core::metrics::IntCounterVec;
use carillon_core::prelude::*;

/// Settings of the chat.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ChatConfig {
    /// Messages of a room that who enters is shown.
    #[schemars(range(max = 1000))]
    history: usize,
    /// The longest message, in bytes.
    max_bytes: usize,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self { history: 20, max_bytes: 500 }
    }
}

/// What a client sends as `auth`.
#[derive(Deserialize, JsonSchema)]
struct Auth {
    /// What others see the client as.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Enter {
    /// The room.
    room: String,
}

#[derive(Deserialize, JsonSchema)]
struct Say {
    /// The room, which the client has entered.
    room: String,
    /// What is said.
    text: String,
}

#[derive(Clone, Serialize, JsonSchema)]
struct Said {
    /// The room.
    room: String,
    /// Who said it.
    name: String,
    /// What was said.
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Left {
    /// Who has gone.
    name: String,
}

/// What the chat keeps of a client.
#[derive(Default)]
struct Member {
    name: OnceLock<String>,
}

struct Chat {
    host: Host,
    config: ChatConfig,
    messages: IntCounterVec,
    rooms: Mutex<HashMap<String, VecDeque<Said>>>,
}

impl Plugin for Chat {
    const NAME: &'static str = "chat";
    const NAMESPACE: &'static str = "/chat";
    type Config = ChatConfig;

    fn check(config: &ChatConfig, problems: &mut Problems) {
        if config.max_bytes == 0 {
            problems.add("max_bytes", "nothing could be said").hint("1 or more");
        }
    }

    fn routes(on: &mut Routes<Self>, _: &ChatConfig) {
        on.handshake("Sends clients of the first version away.", Self::handshake);
        on.auth::<Auth>();
        on.event("enter", "Enters a room; answers with its last messages.", Self::enter);
        on.event("say", "Says something in a room.", Self::say).limit(2, 10);
        on.emits::<Said>("said", "To the others in a room when somebody says something.");
        on.emits::<Left>("left", "To a room when somebody has gone.");
        on.get("/api/chat/{room}", "The last messages of a room.", Self::history);
        on.event("present", "Who is in a room, on every Carillon.", Self::present);
    }

    async fn init(config: ChatConfig, host: Host) -> Result<Self> {
        let messages = host.metrics().counter("chat_messages_total", "Messages said.", &[])?;
        Ok(Self { host, config, messages, rooms: Mutex::default() })
    }

    async fn admit(self: Arc<Self>, peer: Peer) -> Result<()> {
        let auth: Auth = peer.auth_as()?;
        if auth.name.is_empty() { Err(Error::forbidden("a name, please")) } else { Ok(()) }
    }

    async fn connected(self: Arc<Self>, ctx: Ctx) -> Result<()> {
        let auth: Auth = ctx.peer().auth_as()?;
        ctx.state::<Member>().name.set(auth.name).ok();
        Ok(())
    }

    async fn disconnected(self: Arc<Self>, ctx: Ctx, _: Reason) {
        let member = ctx.state::<Member>();
        let left = Left { name: member.name.get().cloned().unwrap_or_default() };
        for room in ctx.rooms() {
            self.host.to("/chat").room(room).publish("left", &left).ok();
        }
    }
}

impl Chat {
    async fn handshake(self: Arc<Self>, peer: Peer) -> Result<(), Refusal> {
        if peer.query_pairs().contains(&("version".to_owned(), "1".to_owned())) {
            return Err(Refusal::new(410, "this version is not served any more: please update"));
        }
        Ok(())
    }

    async fn enter(self: Arc<Self>, ctx: Ctx, enter: Enter) -> Result<Vec<Said>> {
        ctx.join(&enter.room)?;
        Ok(self.last(&enter.room))
    }

    async fn say(self: Arc<Self>, ctx: Ctx, say: Say) -> Result<()> {
        if say.text.len() > self.config.max_bytes {
            return Err(Error::too_large(format!("at most {} bytes", self.config.max_bytes)));
        }
        if !ctx.rooms().contains(&say.room) {
            return Err(Error::forbidden("enter the room first"));
        }
        let member = ctx.state::<Member>();
        let name = member.name.get().cloned().unwrap_or_default();
        let said = Said { room: say.room.clone(), name, text: say.text };
        self.keep(said.clone());
        self.messages.with_label_values::<&str>(&[]).inc();
        self.host.to("/chat").room(say.room).except(ctx.id()).publish("said", &said)
    }

    async fn history(self: Arc<Self>, of: Enter) -> Result<Vec<Said>> {
        match self.last(&of.room) {
            empty if empty.is_empty() => Err(Error::not_found("nothing was said there")),
            last => Ok(last),
        }
    }

    fn last(&self, room: &str) -> Vec<Said> {
        let rooms = self.rooms.lock().unwrap_or_else(|broken| broken.into_inner());
        rooms.get(room).map(|all| all.iter().cloned().collect()).unwrap_or_default()
    }

    async fn present(self: Arc<Self>, _: Ctx, of: Enter) -> Result<Vec<String>> {
        let present = self.host.to("/chat").room(of.room).members(100).await;
        Ok(present.members.into_iter().map(|member| member.id).collect())
    }

    fn keep(&self, said: Said) {
        let mut rooms = self.rooms.lock().unwrap_or_else(|broken| broken.into_inner());
        let all = rooms.entry(said.room.clone()).or_default();
        all.push_back(said);
        while all.len() > self.config.history {
            all.pop_front();
        }
    }
}
plugin!(Chat);

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_core::testing::{Handshake, Harness};
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn what_is_said_reaches_the_others_in_the_room() {
        let harness = Harness::with::<Chat>(&[("plugins.chat.history", "1")]).await;
        let mut ann = harness.connect_with("/chat", Some(json!({"name": "Ann"}))).await.unwrap();
        let mut bob = harness.connect_with("/chat", Some(json!({"name": "Bob"}))).await.unwrap();
        ann.call("enter", json!({"room": "lobby"})).await;
        bob.call("enter", json!({"room": "lobby"})).await;
        ann.call("say", json!({"room": "lobby", "text": "one"})).await;
        ann.call("say", json!({"room": "lobby", "text": "two"})).await;
        assert_eq!(bob.expect("said").await["text"], "one");
        assert_eq!(bob.expect("said").await, json!({"room": "lobby", "name": "Ann", "text": "two"}));
        assert_eq!(harness.metric("carillon_chat_messages_total"), 2.0);
        let present = ann.call("present", json!({"room": "lobby"})).await;
        assert_eq!(present["data"].as_array().map(Vec::len), Some(2), "{present}");
        let last = harness.get("/api/chat/{room}", &[("room", "lobby")]).await.unwrap();
        assert_eq!(last, json!([{"room": "lobby", "name": "Ann", "text": "two"}]));
        ann.close(Reason::TransportClose);
        assert_eq!(bob.expect("left").await, json!({"name": "Ann"}));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_version_is_sent_away() {
        let harness = Harness::of::<Chat>().await;
        let handshake = |query: &'static str| Handshake::new(([127, 0, 0, 1], 1).into(), false, query);
        assert_eq!(harness.handshake(handshake("version=1")).await.unwrap_err().status(), 410);
        assert!(harness.handshake(handshake("version=2")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_name_or_no_room_is_refused() {
        let harness = Harness::of::<Chat>().await;
        let refused = harness.connect("/chat").await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Forbidden, "authentication required"));
        let refused = harness.connect_with("/chat", Some(json!({"name": 1}))).await.unwrap_err();
        assert_eq!(refused.message(), "malformed auth: `name`: expected a string, got 1");
        let mut eve = harness.connect_with("/chat", Some(json!({"name": "Eve"}))).await.unwrap();
        let answer = eve.call("say", json!({"room": "lobby", "text": "hi"})).await;
        assert_eq!(answer["error"]["message"], "enter the room first");
        assert_eq!(harness.get("/api/chat/{room}", &[("room", "lobby")]).await.unwrap_err().code(), Code::NotFound);
    }
}
