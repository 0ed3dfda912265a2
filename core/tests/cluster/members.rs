//! Clients of all nodes, addressed one by one and asked all at once; which nodes there are, and who of them is silent.

use carillon_core::Members;
use carillon_core::cluster::envelope::Envelopes;
use serde_json::{Value, json};

use super::*;

/// The part of a client's id that tells its node.
fn node_of(client: &TestClient) -> String {
    client.id()[..8].to_owned()
}

fn nodes(node: &Harness) -> f64 {
    node.metric("carillon_cluster_nodes")
}

async fn members(client: &mut TestClient, room: &str) -> Members {
    let answer = client.call("members", json!(room)).await;
    serde_json::from_value(answer["data"].clone()).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all
}

/// A publish to one client is received by the node that has it, and by no other.
#[tokio::test(start_paused = true)]
async fn a_client_is_reached_on_its_node_alone() {
    let all = [node("direct", "").await, node("direct", "").await, node("direct", "").await];
    settle().await;
    let mut a = all[0].connect("/chat").await.unwrap();
    let (b, c) = (all[1].connect("/chat").await.unwrap(), all[2].connect("/chat").await.unwrap());
    assert_eq!(sorted([&a, &b, &c].map(node_of).to_vec()).len(), 3);
    a.call("one", json!(b.id())).await;
    a.call("one", json!(a.id())).await;
    settle().await;
    assert_eq!([&a, &b, &c].map(|client| client.sink().take().len()), [1, 1, 0]);
    let received = all.each_ref().map(|node| counted(node, "received"));
    assert_eq!((received, counted(&all[0], "sent")), ([0.0, 1.0, 0.0], 1.0), "its own are not told of to anybody");
    assert_eq!(all[1].metric(r#"carillon_cluster_received_total{channel="node"}"#), 1.0);
    // Several at once, one of them left out, and some that nobody has.
    let nobody = format!("{}{}", "z".repeat(8), &b.id()[8..]);
    a.call("some", json!([a.id(), b.id(), c.id(), nobody, "no id"])).await;
    settle().await;
    assert_eq!([&a, &b, &c].map(|client| client.sink().take().len()), [0, 1, 1]);
    assert_eq!(counted(&all[0], "unknown_node"), 2.0);
    assert_eq!(counted(&all[0], "sent"), 3.0);
    a.call("end", json!(c.id())).await;
    settle().await;
    assert_eq!([&a, &b, &c].map(|client| client.sink().disconnected()), [false, false, true]);
}

/// Members, join, leave and close reach the clients of all nodes, and tell whom.
#[tokio::test(start_paused = true)]
async fn clients_of_all_nodes_are_asked_at_once() {
    let (one, two) = (node("members", SECRET).await, node("members", SECRET).await);
    settle().await;
    let mut a = one.connect("/chat").await.unwrap();
    let (b, mut c) = (two.connect("/chat").await.unwrap(), two.connect("/chat").await.unwrap());
    c.call("join", json!("red")).await;
    let all = members(&mut a, "").await;
    assert_eq!(all.nodes.answered, [node_of(&a), node_of(&b)]);
    assert!(all.complete && all.nodes.missing.is_empty());
    let told = all.members.iter().map(|member| (member.id.as_str(), member.node.clone(), member.rooms.concat()));
    let expected = [(a.id(), node_of(&a), ""), (b.id(), node_of(&b), ""), (c.id(), node_of(&c), "red")];
    assert_eq!(sorted(told.collect()), sorted(expected.map(|(id, node, rooms)| (id, node, rooms.to_owned())).to_vec()));
    let red = members(&mut a, "red").await;
    assert_eq!((red.count, red.members.len(), red.members[0].id.as_str()), (1, 1, c.id()));
    // Two are listed at most, and three are counted.
    let few = a.call("few", json!(2)).await;
    assert_eq!((few["data"]["count"].as_u64(), few["data"]["members"].as_array().map(Vec::len)), (Some(3), Some(2)));

    let joined = a.call("all_join", json!("blue")).await;
    assert_eq!((&joined["data"]["members"], &joined["data"]["complete"]), (&json!(3), &json!(true)), "{joined}");
    a.call("room", json!("blue")).await;
    settle().await;
    assert_eq!([&a, &b, &c].map(|client| client.sink().take().len()), [1, 1, 1], "from the answer on");
    let left = a.call("red_leave", json!("blue")).await;
    assert_eq!(left["data"]["members"], json!(1), "{left}");
    a.call("room", json!("blue")).await;
    settle().await;
    assert_eq!([&a, &b, &c].map(|client| client.sink().take().len()), [1, 1, 0]);
    let closed = a.call("red_close", Value::Null).await;
    assert_eq!(closed["data"]["members"], json!(1), "{closed}");
    assert_eq!([&a, &b, &c].map(|client| client.sink().closed().is_some()), [false, false, true]);
    let refused = a.call("all_join", json!("")).await;
    assert_eq!(refused["error"]["code"], json!("bad_payload"), "{refused}");
    // What nobody can be in is asked of nobody: no node is said to be silent.
    let left = a.call("red_leave", json!("")).await;
    assert_eq!(left["data"]["complete"], json!(true), "{left}");
    let nowhere = members(&mut a, &"x".repeat(200)).await;
    assert_eq!((nowhere.count, nowhere.complete), (0, true), "{nowhere:?}");
}

/// On the embedded bus the same is asked of this node alone, and it answers at once.
#[tokio::test(start_paused = true)]
async fn alone_a_node_answers_for_itself() {
    let one = Harness::boot(&Registry::of::<Chat>(), &[]).await.unwrap();
    let mut a = one.connect("/chat").await.unwrap();
    let start = tokio::time::Instant::now();
    let all = members(&mut a, "").await;
    assert_eq!((all.count, all.complete, all.nodes.answered), (1, true, vec![node_of(&a)]));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(!one.app().readiness().await.components.contains_key("cluster"));
}

/// A node that has stopped without a word is missing in time, and is gone nine seconds after its last one.
#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_missing() {
    let (one, two) = (node("silent", "").await, node("silent", "").await);
    settle().await;
    let mut a = one.connect("/chat").await.unwrap();
    let b = two.connect("/chat").await.unwrap();
    // A third one, which says that it is there, and nothing else.
    let channel = "silent:cluster:control";
    let alive = Envelopes::new(channel, None).seal("silentab", 1, br#"{"say":"alive","new":false}"#);
    one.app().bus().publish(channel, alive).await.unwrap();
    settle().await;
    assert_eq!((nodes(&one), nodes(&two)), (3.0, 3.0));
    let start = tokio::time::Instant::now();
    let all = members(&mut a, "").await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!((all.count, all.complete), (2, false));
    assert_eq!(all.nodes.answered, [node_of(&a), node_of(&b)]);
    assert_eq!(all.nodes.missing, ["silentab"]);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!((nodes(&one), nodes(&two)), (2.0, 2.0));
    assert!(members(&mut a, "").await.complete);
    // One that says that it goes is gone at once.
    two.shutdown().await;
    settle().await;
    assert_eq!(nodes(&one), 1.0);
    let left = members(&mut a, "").await;
    assert_eq!((left.count, left.complete), (1, true));
}

/// The component `cluster` is ready while the node hears itself.
#[tokio::test(start_paused = true)]
async fn a_node_is_ready_while_it_hears_itself() {
    let one = node("ready", "").await;
    settle().await;
    let state = async || one.app().readiness().await.components["cluster"].clone();
    assert!(state().await.ready);
    let mute = node_at("shared://mute", "ready", "").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let components = mute.app().readiness().await.components;
    assert!(!components["cluster"].ready && components["bus"].ready, "{components:?}");
    assert!(state().await.ready);
}

/// What is no word of a node is counted, and does nothing.
#[tokio::test(start_paused = true)]
async fn nonsense_in_the_talk_does_nothing() {
    let one = node("nonsense", "").await;
    settle().await;
    let client = one.connect("/chat").await.unwrap();
    let channel = "nonsense:cluster:control";
    let envelopes = Envelopes::new(channel, None);
    let long = "r".repeat(129);
    let question = |what: &str| format!(r#"{{"say":"question","id":1,"namespace":"/chat",{what}}}"#);
    for (nth, (node, text)) in [
        ("strangerx", r#"{"say":"alive","new":true}"#.to_owned()),
        ("stranger", String::new()),
        ("stranger", r#"{"say":"hello"}"#.to_owned()),
        ("stranger", question(&format!(r#""do":"join","room":"{long}""#))),
        ("stranger", question(r#""do":"join","room":"""#)),
        ("stranger", question(&format!(r#""for":{{"to":["{long}"]}},"do":"close","reason":"x""#))),
    ]
    .into_iter()
    .enumerate()
    {
        let sealed = envelopes.seal(node, nth as u64 + 1, text.as_bytes());
        one.app().bus().publish(channel, sealed).await.unwrap();
    }
    settle().await;
    assert_eq!((counted(&one, "malformed"), nodes(&one)), (6.0, 1.0));
    assert_eq!(client.sink().closed(), None);
}
