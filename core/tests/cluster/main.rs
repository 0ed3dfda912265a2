//! Two nodes on one bus: publishes, rooms, exceptions and disconnects reach the right clients of both, once.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

mod interest;
mod members;
mod namespaces;
mod presence;

use std::sync::OnceLock;

use async_trait::async_trait;
use bytes::Bytes;
use carillon_core::bus::memory::MemoryBus;
use carillon_core::bus::{Bus, BusContext, BusStatus, Feed, Subscription};
use carillon_core::cluster::envelope::Envelopes;
use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::testing::{Harness, TestClient};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

/// A memory bus that several applications of this process share, as they would share a Redis.
///
/// One with `stalled` in its address never confirms what is to be listened to; one with `mute` says nothing.
struct SharedBus {
    bus: Arc<MemoryBus>,
    prefix: Arc<str>,
    stalled: bool,
    mute: bool,
}

carillon_core::bus!("shared", connect);

fn connect(url: String, context: BusContext) -> BoxFuture<'static, Result<Arc<dyn Bus>>> {
    static BUS: OnceLock<Arc<MemoryBus>> = OnceLock::new();
    let prefix = Arc::clone(&context.prefix);
    let bus = BUS.get_or_init(|| Arc::new(MemoryBus::new(context)));
    let shared =
        SharedBus { bus: Arc::clone(bus), prefix, stalled: url.contains("stalled"), mute: url.contains("mute") };
    Box::pin(async move { Ok(Arc::new(shared) as Arc<dyn Bus>) })
}

#[async_trait]
impl Bus for SharedBus {
    fn kind(&self) -> &'static str {
        "shared"
    }
    fn prefix(&self) -> &str {
        &self.prefix
    }
    fn is_shared(&self) -> bool {
        true
    }
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<()> {
        if self.mute { Ok(()) } else { self.bus.publish(channel, payload).await }
    }
    async fn subscribe(&self, channels: &[String]) -> Result<Subscription> {
        self.bus.subscribe(channels).await
    }
    async fn listen(&self, channels: &[String], feed: &Feed) -> Result<()> {
        if self.stalled {
            std::future::pending::<()>().await;
        }
        self.bus.listen(channels, feed).await
    }
    async fn ignore(&self, channels: &[String], feed: &Feed) {
        self.bus.ignore(channels, feed).await;
    }
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.bus.get(key).await
    }
    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<()> {
        self.bus.set(key, value, ttl).await
    }
    async fn claim(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool> {
        self.bus.claim(key, owner, ttl).await
    }
    fn status(&self) -> BusStatus {
        self.bus.status()
    }
    async fn shutdown(&self) {}
}

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
        on.emits::<String>("said", "What somebody said.");
        on.event("join", "Joins a room.", async |_, ctx: Ctx, room: String| ctx.join(&room));
        on.event("leave", "Leaves a room.", async |_, ctx: Ctx, room: String| {
            ctx.leave(&room);
            Ok(())
        });
        on.event("room", "To a room.", async |chat: Arc<Self>, _, room: String| {
            chat.host.to("/chat").room(room).publish("said", &"to the room")
        });
        on.event("all", "To everybody.", async |chat: Arc<Self>, _, text: String| {
            chat.host.to("/chat").publish("said", &text)
        });
        on.event("others", "To a room, but not to the sender.", async |chat: Arc<Self>, ctx: Ctx, room: String| {
            chat.host
                .to("/chat")
                .room(room)
                .except(ctx.id())
                .publish("said", &Payload::binary(Bytes::from_static(b"b")))
        });
        on.event("here", "To this node.", async |chat: Arc<Self>, _, text: String| {
            chat.host.to("/chat").local().publish("said", &text)
        });
        on.emits::<u64>("missed", "How much never came.");
        on.event("watch", "Tells of what is missing.", async |chat: Arc<Self>, ctx: Ctx, _: Ignored| {
            let mut missed = chat.host.missed("/chat");
            chat.host.spawn("watch", async move { while ctx.emit("missed", &missed.next().await).is_ok() {} });
            Ok(())
        });
        on.event("one", "To one client.", async |chat: Arc<Self>, _, id: String| {
            chat.host.to("/chat").client(id).publish("said", &"psst")
        });
        on.event("some", "To some clients, less the sender.", async |chat: Arc<Self>, ctx: Ctx, ids: Vec<String>| {
            let some = ids.iter().fold(chat.host.to("/chat").except(ctx.id()), |some, id| some.client(id));
            some.publish("said", &"psst")
        });
        on.event("end", "Disconnects one client.", async |chat: Arc<Self>, _, id: String| {
            chat.host.to("/chat").client(id).disconnect();
            Ok(())
        });
        on.event("members", "Who is in a room, or there at all.", async |chat: Arc<Self>, _, room: String| {
            let all = chat.host.to("/chat");
            Ok(if room.is_empty() { all } else { all.room(room) }.members(100).await)
        });
        on.event("few", "Some of those who are there.", async |chat: Arc<Self>, _, limit: usize| {
            Ok(chat.host.to("/chat").members(limit).await)
        });
        on.event("all_join", "Puts all into a room.", async |chat: Arc<Self>, _, room: String| {
            chat.host.to("/chat").join(room).await
        });
        on.event("red_leave", "Takes those who are in red out of a room.", async |chat: Arc<Self>, _, room: String| {
            Ok(chat.host.to("/chat").room("red").leave(room).await)
        });
        on.event("red_close", "Closes those who are in red.", async |chat: Arc<Self>, _, _: Ignored| {
            Ok(chat.host.to("/chat").room("red").close("a test").await)
        });
        on.event("out", "Disconnects a room.", async |chat: Arc<Self>, _, room: String| {
            chat.host.to("/chat").room(room).disconnect();
            Ok(())
        });
    }
}

async fn node(prefix: &str, secret: &str) -> Harness {
    node_at("shared://", prefix, secret).await
}

async fn node_at(url: &str, prefix: &str, secret: &str) -> Harness {
    let mut settings = vec![("bus.url", url), ("bus.prefix", prefix)];
    settings.extend((!secret.is_empty()).then_some(("bus.secret", secret)));
    let harness = Harness::boot(&Registry::of::<Chat>(), &settings).await.unwrap();
    tokio::task::yield_now().await;
    harness
}

/// Lets the nodes say what they have to say.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// What a node counted of messages of others.
fn counted(node: &Harness, result: &str) -> f64 {
    node.metric(&format!("carillon_cluster_messages_total{{result=\"{result}\"}}"))
}

/// How many events each client got, once both nodes have gone quiet.
async fn heard(clients: [&TestClient; 4]) -> [usize; 4] {
    tokio::time::sleep(Duration::from_millis(1)).await;
    clients.map(|client| client.sink().take().len())
}

#[tokio::test(start_paused = true)]
async fn two_nodes_act_as_one() {
    let (one, two) = (node("two", "").await, node("two", "").await);
    let (mut a, mut b) = (one.connect("/chat").await.unwrap(), one.connect("/chat").await.unwrap());
    let (mut c, d) = (two.connect("/chat").await.unwrap(), two.connect("/chat").await.unwrap());
    for client in [&mut a, &mut b, &mut c] {
        client.call("join", json!("r")).await;
    }
    a.call("all", json!("hi")).await;
    assert_eq!(heard([&a, &b, &c, &d]).await, [1, 1, 1, 1]);
    a.call("others", json!("r")).await;
    assert_eq!(heard([&a, &b, &c, &d]).await, [0, 1, 1, 0]);
    a.call("here", json!("hi")).await;
    assert_eq!(heard([&a, &b, &c, &d]).await, [1, 1, 0, 0]);
    a.call("one", json!(d.id())).await;
    assert_eq!(heard([&a, &b, &c, &d]).await, [0, 0, 0, 1]);
    a.emit("out", &json!("r"));
    heard([&a, &b, &c, &d]).await;
    assert_eq!([&a, &b, &c, &d].map(|client| client.sink().disconnected()), [true, true, true, false]);
    assert_eq!(one.metric(r#"carillon_cluster_messages_total{result="sent"}"#), 4.0);
    assert_eq!(two.metric(r#"carillon_cluster_messages_total{result="received"}"#), 4.0);
    let received = |channel| two.metric(&format!("carillon_cluster_received_total{{channel=\"{channel}\"}}"));
    assert_eq!(["namespace", "room", "node"].map(received), [1.0, 2.0, 1.0]);
    one.shutdown().await;
    two.shutdown().await;
}

const SECRET: &str = "known to our nodes alone";
const SEALED: &str = "sealed:cluster:{/chat}";
const NUMBERS: &str = "numbers:cluster:{/chat}";
/// Asks for the end of every client of `/chat`.
const OUT: &[u8] = b"{\"namespace\":\"/chat\",\"json\":0}\n";

/// Installations of different prefixes share a bus, and nothing else.
#[tokio::test(start_paused = true)]
async fn another_prefix_is_another_installation() {
    let (ours, theirs) = (node("ours", "").await, node("theirs", "").await);
    let mut speaker = ours.connect("/chat").await.unwrap();
    let listener = theirs.connect("/chat").await.unwrap();
    speaker.call("all", json!("hi")).await;
    speaker.emit("out", &json!("r"));
    listener.expect_nothing(Duration::from_secs(1)).await;
    assert!(!listener.sink().disconnected());
    assert_eq!(counted(&ours, "sent"), 2.0);
    for result in ["received", "malformed", "refused"] {
        assert_eq!(counted(&theirs, result), 0.0, "{result}");
    }
}

/// Whoever may publish, and does not know the secret, disconnects nobody and says nothing; nodes that know it do.
#[tokio::test(start_paused = true)]
async fn strangers_are_not_heard() {
    let (one, two) = (node("sealed", SECRET).await, node("sealed", SECRET).await);
    let (mut a, b) = (one.connect("/chat").await.unwrap(), two.connect("/chat").await.unwrap());
    let bus = one.app().bus();
    for secret in [None, Some("a guess that is wrong")] {
        let forged = Envelopes::new(SEALED, secret).seal("stranger", 1, OUT);
        bus.publish(SEALED, forged).await.unwrap();
    }
    // What was said on another channel, by one who knows it.
    let elsewhere = Envelopes::new("sealed:cluster:{/other}", Some(SECRET)).seal("stranger", 2, OUT);
    bus.publish(SEALED, elsewhere).await.unwrap();
    bus.publish(SEALED, Bytes::from_static(OUT)).await.unwrap();
    b.expect_nothing(Duration::from_secs(1)).await;
    assert!(!a.sink().disconnected() && !b.sink().disconnected());
    assert_eq!((counted(&two, "refused"), counted(&two, "malformed")), (3.0, 1.0));
    a.call("all", json!("hi")).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(b.sink().take().len(), 1);
    let known = Envelopes::new(SEALED, Some(SECRET)).seal("node", 1, OUT);
    bus.publish(SEALED, known).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(b.sink().disconnected());
}

/// What comes twice is heard once, and what never came is counted, on each channel by itself, and told to plugins.
#[tokio::test(start_paused = true)]
async fn repeats_are_left_out_and_holes_counted() {
    let one = node("numbers", "").await;
    let mut client = one.connect("/chat").await.unwrap();
    client.call("watch", json!(null)).await;
    let said = b"{\"namespace\":\"/chat\",\"json\":13}\n[\"said\",\"hi\"]";
    // The channel of that room.
    client.call("join", json!("red")).await;
    let room = format!("{NUMBERS}:room:5");
    for (channel, sequence) in
        [(NUMBERS, 4), (&room, 40), (NUMBERS, 5), (&room, 41), (NUMBERS, 5), (NUMBERS, 4), (NUMBERS, 8), (&room, 43)]
    {
        let message = Envelopes::new(channel, None).seal("other", sequence, said);
        one.app().bus().publish(channel, message).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let events: Vec<(String, Value)> =
        client.sink().take().iter().map(|item| serde_json::from_str(&item.json()).unwrap()).collect();
    assert_eq!(events.iter().filter(|(name, _)| name == "said").count(), 6, "{events:?}");
    let missed = events.iter().filter(|(name, _)| name == "missed");
    assert_eq!(missed.filter_map(|(_, count)| count.as_u64()).sum::<u64>(), 3, "{events:?}");
    assert_eq!((counted(&one, "received"), counted(&one, "repeated")), (6.0, 2.0));
    assert_eq!(one.metric("carillon_cluster_gaps_total"), 3.0);
}

/// A node speaks for the namespace of the channel it speaks on, and for no other.
#[tokio::test(start_paused = true)]
async fn a_message_belongs_to_its_channel() {
    let one = node("belongs", "").await;
    let client = one.connect("/chat").await.unwrap();
    let channel = "belongs:cluster:{/chat}";
    let other = b"{\"namespace\":\"/\",\"json\":13}\n[\"said\",\"hi\"]";
    one.app().bus().publish(channel, Envelopes::new(channel, None).seal("other", 1, other)).await.unwrap();
    client.expect_nothing(Duration::from_secs(1)).await;
    assert_eq!((counted(&one, "malformed"), counted(&one, "received")), (1.0, 0.0));
}
