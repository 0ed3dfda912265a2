//! A node hears of a namespace, and of a room, only while it has members there; who comes waits for that.

use carillon_core::sink::Reason;
use serde_json::json;

use super::*;

fn received(node: &Harness, channel: &str) -> f64 {
    node.metric(&format!("carillon_cluster_received_total{{channel=\"{channel}\"}}"))
}

fn subscriptions(node: &Harness) -> (f64, f64) {
    let of = |channel| node.metric(&format!("carillon_cluster_subscriptions{{channel=\"{channel}\"}}"));
    (of("namespace"), of("room"))
}

/// A publish, and one to a room, are received by those that have somebody to hear them.
#[tokio::test(start_paused = true)]
async fn only_nodes_with_members_receive() {
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(node("interest", "").await);
    }
    let mut speaker = nodes[0].connect("/chat").await.unwrap();
    let mut member = nodes[1].connect("/chat").await.unwrap();
    let mut other = nodes[2].connect("/chat").await.unwrap();
    member.call("join", json!("red")).await;
    other.call("join", json!("blue")).await;
    assert_eq!(nodes.iter().map(subscriptions).collect::<Vec<_>>(), [(1.0, 0.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0)]);
    speaker.call("all", json!("hi")).await;
    speaker.call("room", json!("red")).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let all: Vec<_> = nodes.iter().map(|node| (received(node, "namespace"), received(node, "room"))).collect();
    assert_eq!(all, [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]);
    assert_eq!([&member, &other].map(|client| client.sink().take().len()), [2, 1]);
    for node in nodes {
        node.shutdown().await;
    }
}

/// When the last one has gone a node listens for another minute, and what it does not hear afterwards is no loss.
#[tokio::test(start_paused = true)]
async fn a_node_stops_to_listen_a_minute_after_the_last_member() {
    let (one, two) = (node("linger", "").await, node("linger", "").await);
    let mut speaker = one.connect("/chat").await.unwrap();
    let mut member = two.connect("/chat").await.unwrap();
    let mut stays = two.connect("/chat").await.unwrap();
    member.call("join", json!("red")).await;
    stays.call("join", json!("red")).await;
    speaker.call("room", json!("red")).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    stays.call("leave", json!("red")).await;
    member.close(Reason::TransportClose);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(subscriptions(&two), (1.0, 1.0));
    speaker.call("room", json!("red")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((subscriptions(&two), received(&two, "room")), ((1.0, 0.0), 2.0));
    for _ in 0..3 {
        speaker.call("room", json!("red")).await;
    }
    stays.call("join", json!("red")).await;
    stays.sink().take();
    speaker.call("room", json!("red")).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(stays.sink().take().len(), 1);
    assert_eq!((received(&two, "room"), two.metric("carillon_cluster_gaps_total")), (3.0, 0.0));
    stays.close(Reason::TransportClose);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(subscriptions(&two), (0.0, 0.0));
}

/// Who comes and goes meanwhile, and before anything was answered, leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn nobody_is_listened_for_who_is_gone() {
    let one = node("gone", "").await;
    for turn in 0..3 {
        let mut client = one.connect("/chat").await.unwrap();
        client.call("join", json!(format!("room {turn}"))).await;
        // In a room still.
        client.close(Reason::PingTimeout);
        client.close(Reason::PingTimeout);
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(subscriptions(&one), (0.0, 0.0));
}

/// A bus that does not confirm keeps nobody waiting for longer than a quarter of a second, and it is counted.
#[tokio::test(start_paused = true)]
async fn a_bus_that_does_not_confirm_keeps_nobody_waiting() {
    let one = node_at("shared://stalled", "stalled", "").await;
    let start = tokio::time::Instant::now();
    let mut client = one.connect("/chat").await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 250);
    client.call("join", json!("red")).await;
    assert_eq!(start.elapsed().as_millis(), 500);
    client.call("join", json!("red")).await;
    client.call("all", json!("hi")).await;
    assert_eq!(start.elapsed().as_millis(), 500);
    assert_eq!(one.metric("carillon_cluster_unconfirmed_total"), 2.0);
}
