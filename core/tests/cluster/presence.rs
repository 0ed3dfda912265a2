//! How many are in a room, on all nodes: kept, told to its members, and asked for without asking anybody.

use carillon_core::RoomCount;
use carillon_core::cluster::envelope::Envelopes;
use carillon_core::sink::Reason;
use serde_json::{Value, json};

use super::*;

struct Tables {
    host: Host,
}

impl Plugin for Tables {
    const NAME: &'static str = "tables";
    const NAMESPACE: &'static str = "/tables";
    type Config = NoConfig;

    async fn init(_: NoConfig, host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn routes(on: &mut Routes<Self>, _: &NoConfig) {
        on.presence("players", "How many play at a table.").rooms("table:");
        on.event("join", "Joins a room.", async |_, ctx: Ctx, room: String| ctx.join(&room));
        on.event("leave", "Leaves a room.", async |_, ctx: Ctx, room: String| {
            ctx.leave(&room);
            Ok(())
        });
        on.event("present", "How many are in a room.", async |tables: Arc<Self>, _, room: String| {
            Ok(tables.host.to("/tables").room(room).present())
        });
    }
}

async fn table_node(prefix: &str, settings: &[(&str, &str)]) -> Harness {
    let mut all = vec![("bus.url", "shared://"), ("bus.prefix", prefix)];
    all.extend(settings);
    let harness = Harness::boot(&Registry::of::<Tables>(), &all).await.unwrap();
    settle().await;
    harness
}

async fn seated(node: &Harness, room: &str) -> TestClient {
    let mut client = node.connect("/tables").await.unwrap();
    let answer = client.call("join", json!(room)).await;
    assert_eq!(answer["ok"], true, "{answer}");
    client
}

async fn present(client: &mut TestClient, room: &str) -> Value {
    client.call("present", json!(room)).await["data"].clone()
}

/// What a client was told of its rooms since the last look.
fn told(client: &TestClient) -> Vec<(String, usize)> {
    let items = client.sink().take();
    let events = items.iter().map(|item| serde_json::from_str::<(String, RoomCount)>(&item.json()).unwrap());
    let told = events.inspect(|(event, _)| assert_eq!(event, "players"));
    told.map(|(_, RoomCount { room, count })| (room, count)).collect()
}

fn one(count: usize) -> Vec<(String, usize)> {
    vec![("table:1".to_owned(), count)]
}

/// Long enough for whatever there is to tell.
async fn interval() {
    tokio::time::sleep(Duration::from_millis(2_500)).await;
}

/// Members of all nodes count, and all of them are told when that changes.
#[tokio::test(start_paused = true)]
async fn members_of_all_nodes_are_counted_and_told() {
    let (a, b) = (table_node("tables", &[]).await, table_node("tables", &[]).await);
    let mut here = seated(&a, "table:1").await;
    interval().await;
    assert_eq!(told(&here), one(1));
    let mut there = seated(&b, "table:1").await;
    interval().await;
    assert_eq!((told(&here), told(&there)), (one(2), one(2)));
    let mut elsewhere = seated(&b, "table:2").await;
    interval().await;
    assert_eq!((told(&here), told(&there)), (vec![], vec![]), "nothing has changed for them");
    assert_eq!(told(&elsewhere), [("table:2".to_owned(), 1)]);
    for client in [&mut here, &mut there, &mut elsewhere] {
        assert_eq!((present(client, "table:1").await, present(client, "table:2").await), (json!(2), json!(1)));
        assert_eq!(present(client, "table:3").await, json!(0));
    }
    there.call("leave", json!("table:1")).await;
    interval().await;
    assert_eq!((told(&here), told(&there)), (one(1), vec![]));
    assert_eq!(present(&mut there, "table:1").await, json!(1));
    here.close(Reason::TransportClose);
    elsewhere.close(Reason::TransportClose);
    interval().await;
    assert_eq!((present(&mut there, "table:1").await, present(&mut there, "table:2").await), (json!(0), json!(0)));
    for node in [&a, &b] {
        assert_eq!(node.metric(r#"carillon_presence_rooms{namespace="/tables"}"#), 0.0, "nothing is left behind");
        assert_eq!(counted(node, "malformed"), 0.0);
    }
}

/// However many come and go within an interval, each member is told once in it, and last what holds.
#[tokio::test(start_paused = true)]
async fn what_changes_often_is_told_seldom() {
    let (a, b) = (table_node("often", &[]).await, table_node("often", &[]).await);
    let here = seated(&a, "table:1").await;
    interval().await;
    assert_eq!(told(&here), one(1));
    let mut others = Vec::new();
    for _ in 0..50 {
        others.push(seated(&b, "table:1").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    interval().await;
    let counts = told(&here);
    assert!((4..=7).contains(&counts.len()), "five seconds, and an interval of one: {counts:?}");
    assert_eq!(counts.last().unwrap().1, 51);
    // Somebody comes as somebody goes: the one who came is told, and so is everybody.
    others.pop().unwrap().close(Reason::TransportClose);
    let newcomer = seated(&b, "table:1").await;
    interval().await;
    assert_eq!((told(&newcomer), told(&here)), (one(51), vec![]));
}

/// Rooms of other names are nobody's business, and a room of one node costs nothing on a namespace without a presence.
#[tokio::test(start_paused = true)]
async fn only_rooms_that_were_declared_are_counted() {
    let alone = Harness::boot(&Registry::of::<Tables>(), &[]).await.unwrap();
    let mut client = seated(&alone, "kitchen").await;
    assert_eq!(present(&mut client, "kitchen").await, Value::Null);
    client.call("join", json!("table:1")).await;
    interval().await;
    assert_eq!((told(&client), present(&mut client, "table:1").await), (one(1), json!(1)));
    let mut second = seated(&alone, "table:1").await;
    assert_eq!(present(&mut second, "table:1").await, json!(2), "as of now");
    interval().await;
    assert_eq!((told(&client), told(&second)), (one(2), one(2)));
}

/// A node that comes later, or leaves, or dies, takes its count with it; one that is missed asks.
#[tokio::test(start_paused = true)]
async fn nodes_that_come_and_go_bring_and_take_their_counts() {
    let a = table_node("nodes", &[]).await;
    let mut here = seated(&a, "table:1").await;
    interval().await;
    let b = table_node("nodes", &[]).await;
    interval().await;
    let mut late = b.connect("/tables").await.unwrap();
    assert_eq!(present(&mut late, "table:1").await, json!(1), "of before it was there");
    late.close(Reason::TransportClose);
    // A third one, by hand: it has two there, says so once, and nothing else any more.
    let channel = "nodes:cluster:control";
    let envelopes = Envelopes::new(channel, None);
    let bus = Arc::clone(a.app().bus());
    let mut sequence = 0;
    let mut say = async |text: &str| {
        sequence += 1;
        bus.publish(channel, envelopes.seal("silentab", sequence, text.as_bytes())).await.unwrap();
    };
    let counts = |after, version, rooms: Value| {
        json!({"say": "counts", "namespace": "/tables", "after": after, "version": version, "rooms": rooms}).to_string()
    };
    let mut asked = bus.subscribe(&["nodes:cluster:control:silentab".to_owned()]).await.unwrap();
    say(&counts(0, 1, json!({"table:1": 2}))).await;
    interval().await;
    assert_eq!(present(&mut here, "table:1").await, json!(3));
    // One in between was missed: it is asked for all, by both, and nothing of what it said counts.
    say(&counts(2, 3, json!({"table:1": 9}))).await;
    settle().await;
    assert_eq!(present(&mut here, "table:1").await, json!(3));
    for _ in 0..2 {
        let question = asked.recv().await.unwrap();
        assert!(String::from_utf8_lossy(&question.payload).ends_with(r#"{"say":"recount","namespace":"/tables"}"#));
    }
    say(&counts(0, 3, json!({"table:1": 4, "kitchen": 1}))).await;
    say(&counts(1, 2, json!({"table:1": 100}))).await;
    interval().await;
    assert_eq!((present(&mut here, "table:1").await, present(&mut here, "kitchen").await), (json!(5), Value::Null));
    told(&here);
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!((told(&here), present(&mut here, "table:1").await), (one(1), json!(1)), "it is gone");
    let there = seated(&b, "table:1").await;
    interval().await;
    assert_eq!((told(&here), told(&there)), (one(2), one(2)));
    b.shutdown().await;
    interval().await;
    assert_eq!((told(&here), present(&mut here, "table:1").await), (one(1), json!(1)));
}

/// What is counted has a bound, here and of what others say; the rest is left out, and that is counted.
#[tokio::test(start_paused = true)]
async fn no_more_rooms_are_counted_than_is_set() {
    let settings = [("cluster.presence_rooms", "2")];
    let (a, b) = (table_node("bound", &settings).await, table_node("bound", &settings).await);
    let mut clients = Vec::new();
    for n in 1..=3 {
        clients.push(seated(&a, &format!("table:{n}")).await);
    }
    interval().await;
    let rooms = |node: &Harness| node.metric(r#"carillon_presence_rooms{namespace="/tables"}"#);
    let left_out = |node: &Harness| node.metric(r#"carillon_presence_left_out_total{namespace="/tables"}"#);
    assert_eq!(clients.iter().map(|client| told(client).len()).collect::<Vec<_>>(), [1, 1, 0]);
    assert_eq!((rooms(&a), left_out(&a), rooms(&b), left_out(&b)), (2.0, 1.0, 2.0, 0.0));
    // Here it is known all the same.
    assert_eq!(present(&mut clients[0], "table:3").await, json!(1));
    // As soon as there is a place the next one counts.
    clients.remove(0).close(Reason::TransportClose);
    interval().await;
    let fourth = seated(&a, "table:3").await;
    interval().await;
    assert_eq!((told(&clients[1]), told(&fourth)), (vec![("table:3".to_owned(), 2)], vec![("table:3".to_owned(), 2)]));
    let mut there = b.connect("/tables").await.unwrap();
    assert_eq!(present(&mut there, "table:3").await, json!(2));
}

/// What no node would say is counted as malformed, and changes nothing.
#[tokio::test(start_paused = true)]
async fn nonsense_counts_nobody() {
    let a = table_node("nobody", &[]).await;
    let mut here = seated(&a, "table:1").await;
    let channel = "nobody:cluster:control";
    let envelopes = Envelopes::new(channel, None);
    let long = "t".repeat(129);
    let texts = [
        r#"{"say":"counts","namespace":"/tables","after":2,"version":1}"#.to_owned(),
        r#"{"say":"counts","namespace":"/tables","after":0,"version":1,"rooms":{"table:1":-1}}"#.to_owned(),
        r#"{"say":"counts","namespace":"/tables","after":0,"version":1,"rooms":{"table:1":4294967296}}"#.to_owned(),
        r#"{"say":"counts","namespace":"/tables","after":0,"version":1,"rooms":{"":1}}"#.to_owned(),
        format!(r#"{{"say":"counts","namespace":"/tables","after":0,"version":1,"rooms":{{"{long}":1}}}}"#),
        r#"{"say":"counts","namespace":"/nowhere","after":0,"version":1,"rooms":{"table:1":7}}"#.to_owned(),
        r#"{"say":"recount","namespace":"/nowhere"}"#.to_owned(),
    ];
    for (text, sequence) in texts.iter().zip(1..) {
        let sealed = envelopes.seal("stranger", sequence, text.as_bytes());
        a.app().bus().publish(channel, sealed).await.unwrap();
    }
    interval().await;
    assert_eq!((counted(&a, "malformed"), present(&mut here, "table:1").await), (5.0, json!(1)));
}
