//! On many nodes: a client comes back to another one, whatever has become of its own.

use std::sync::atomic::Ordering;

use super::bus::flaws;
use super::*;

async fn pair(bus: &str) -> [Harness; 2] {
    let url = format!("shared://{bus}");
    [boot(&[("bus.url", &url)]).await, boot(&[("bus.url", &url)]).await]
}

/// Nobody tells the other node anything: the first one is as good as dead.
#[tokio::test(start_paused = true)]
async fn a_client_comes_back_to_another_node() {
    let [a, b] = pair("another").await;
    let mut bob = connect(&b, json!({})).await;
    let mut ann = connect(&a, json!({})).await;
    ann.call("join", json!("red")).await;
    say(&mut bob, json!({"text": 1})).await;
    let got = said(&ann).await;
    say(&mut bob, json!({"text": 2})).await;
    say(&mut bob, json!({"text": 3, "except": ["red"]})).await;
    let back = connect(&b, json!({"pid": ann.pid(), "offset": texts(&got).1})).await;
    assert_eq!((back.id(), back.pid()), (ann.id(), ann.pid()));
    say(&mut bob, json!({"text": 4, "rooms": ["red"]})).await;
    say(&mut bob, json!({"text": 5, "clients": [back.id()]})).await;
    assert_eq!(texts(&said(&back).await).0, [2, 4, 5]);
    assert!(ann.sink().disconnected(), "its old connection is over");
    assert_eq!(counted(&b, "recovered"), 1.0);
    // What the first node has to say about its end does not matter any more.
    ann.close(Reason::ServerDisconnect);
    settle().await;
    back.close(Reason::TransportClose);
    settle().await;
    assert!(recovered(&connect(&a, json!({"pid": back.pid()})).await).await);
}

/// A publish that is not in the journal: who was away then does not get across it, also when the journal is back.
#[tokio::test(start_paused = true)]
async fn nobody_gets_across_a_hole() {
    let settings = [("bus.url", "shared://hole"), ("journal.hold_ms", "0")];
    let [a, b] = [boot(&settings).await, boot(&settings).await];
    let mut bob = connect(&b, json!({})).await;
    let ann = connect(&a, json!({})).await;
    say(&mut bob, json!({"text": 1})).await;
    let got = said(&ann).await;
    ann.close(Reason::TransportClose);
    settle().await;
    flaws("hole").away.store(true, Ordering::Relaxed);
    say(&mut bob, json!({"text": "in the hole"})).await;
    let live = said(&bob).await;
    assert_eq!(live.last().unwrap(), &[json!("in the hole"), json!(null)], "it goes on, without an offset");
    let auth = json!({"pid": ann.pid(), "offset": texts(&got).1});
    assert!(!recovered(&connect(&b, auth.clone()).await).await);
    assert_eq!(counted(&b, "unavailable"), 1.0);
    flaws("hole").away.store(false, Ordering::Relaxed);
    assert!(!recovered(&connect(&b, auth).await).await, "nothing was published since, and it is known all the same");
    assert_eq!(counted(&b, "gone"), 1.0);
    say(&mut bob, json!({"text": 2})).await;
    settle().await;
    assert_eq!(bob.sink().closed(), Some(Reason::Resumed), "to be told that it may have missed something");
    bob.close(Reason::Resumed);
    let mut bob = connect(&b, json!({"pid": bob.pid(), "offset": texts(&got).1})).await;
    assert!(!recovered(&bob).await);
    say(&mut bob, json!({"text": 3})).await;
    assert_eq!(texts(&said(&bob).await).0, [3], "with an offset again");
}

/// A node that begins while the journal is away gets to know it when that is back, whether anybody publishes or not.
#[tokio::test(start_paused = true)]
async fn a_node_finds_a_journal_that_was_away_when_it_began() {
    let a = boot(&[("bus.url", "shared://late")]).await;
    flaws("late").away.store(true, Ordering::Relaxed);
    let b = boot(&[("bus.url", "shared://late")]).await;
    flaws("late").away.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ann = connect(&b, json!({})).await;
    ann.close(Reason::TransportClose);
    settle().await;
    assert!(recovered(&connect(&a, json!({"pid": ann.pid()})).await).await);
}
