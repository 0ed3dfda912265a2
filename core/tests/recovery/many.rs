//! On many nodes: a client comes back to another one, whatever has become of its own.

use std::sync::atomic::Ordering;

use carillon_core::journal::Bounds;

use super::bus::{end_subscriptions, flaws};
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
    assert_eq!(ann.sink().closed(), Some(Reason::Resumed), "its old connection is over");
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

/// What a node can fetch no more, its clients may have missed: who takes offsets is told so.
#[tokio::test(start_paused = true)]
async fn what_a_node_has_missed_its_clients_are_told_of() {
    let settings = [("bus.url", "shared://late"), ("journal.max_events", "2")];
    let [a, b] = [boot(&settings).await, boot(&settings).await];
    let mut bob = connect(&a, json!({})).await;
    let ann = connect(&b, json!({})).await;
    say(&mut bob, json!({"text": 1})).await;
    assert_eq!(texts(&said(&ann).await).0, [1]);
    flaws("late").deaf.store(true, Ordering::Relaxed);
    for text in [2, 3, 4] {
        say(&mut bob, json!({"text": text})).await;
    }
    flaws("late").deaf.store(false, Ordering::Relaxed);
    assert_eq!(ann.sink().closed(), None);
    say(&mut bob, json!({"text": 5})).await;
    settle().await;
    assert_eq!(ann.sink().closed(), Some(Reason::Resumed));
}

/// An epoch that is over is told of as soon as a node comes to know it, also when nothing is published in the next one.
#[tokio::test(start_paused = true)]
async fn an_epoch_that_is_over_is_told_of() {
    let [a, b] = pair("over").await;
    let mut bob = connect(&a, json!({})).await;
    let ann = connect(&b, json!({})).await;
    say(&mut bob, json!({"text": 1})).await;
    settle().await;
    let bounds = Bounds { events: 100, age: Duration::from_secs(60), bytes: 1 << 20 };
    let known = b.app().bus().read("/chat", None, 1, bounds).await.unwrap().last;
    b.app().bus().renew("/chat", &known, bounds).await.unwrap();
    end_subscriptions("over").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(ann.sink().closed(), Some(Reason::Resumed));
}

/// A node that has not reached the journal yet may hear of it from a client that comes back, and is not in its way.
#[tokio::test(start_paused = true)]
async fn a_client_comes_back_to_a_node_that_has_only_just_reached_the_journal() {
    let settings = [("bus.url", "shared://fresh")];
    let a = boot(&settings).await;
    let mut bob = connect(&a, json!({})).await;
    let ann = connect(&a, json!({})).await;
    say(&mut bob, json!({"text": 1})).await;
    let got = said(&ann).await;
    ann.close(Reason::TransportClose);
    say(&mut bob, json!({"text": 2})).await;
    settle().await;
    flaws("fresh").away.store(true, Ordering::Relaxed);
    let b = boot(&settings).await;
    flaws("fresh").away.store(false, Ordering::Relaxed);
    let back = connect(&b, json!({"pid": ann.pid(), "offset": texts(&got).1})).await;
    assert_eq!((back.id(), back.pid()), (ann.id(), ann.pid()));
    assert_eq!(texts(&said(&back).await).0, [2]);
    assert_eq!((counted(&b, "recovered"), counted(&b, "broken_off")), (1.0, 0.0));
    say(&mut bob, json!({"text": 3})).await;
    assert_eq!(texts(&said(&back).await).0, [3]);
}

/// Whether it may get on is asked of the journal once, and what it has missed not at all when that is nothing.
#[tokio::test(start_paused = true)]
async fn who_has_missed_nothing_costs_one_read() {
    let [a, b] = pair("one-read").await;
    let mut bob = connect(&a, json!({})).await;
    let ann = connect(&a, json!({})).await;
    say(&mut bob, json!({"text": 1})).await;
    let got = said(&ann).await;
    ann.close(Reason::TransportClose);
    settle().await;
    let reads = || flaws("one-read").reads.load(Ordering::Relaxed);
    let before = reads();
    assert!(recovered(&connect(&b, json!({"pid": ann.pid(), "offset": texts(&got).1})).await).await);
    assert_eq!(reads() - before, 1);
}

/// What this node has delivered to others, who comes back gets without a word of the bus, however much it is.
#[tokio::test(start_paused = true)]
async fn what_this_node_has_delivered_is_not_read_again() {
    let [a, b] = pair("at-hand").await;
    let mut bob = connect(&a, json!({})).await;
    let mut ann = connect(&a, json!({})).await;
    ann.call("join", json!("red")).await;
    settle().await;
    ann.close(Reason::TransportClose);
    let all = (1..=1_000).map(|n| match n % 3 {
        0 => json!({"text": n}),
        1 => json!({"text": n, "rooms": ["red"]}),
        _ => json!({"text": n, "except": ["red"]}),
    });
    for one in all {
        say(&mut bob, one).await;
    }
    settle().await;
    let reads = || flaws("at-hand").reads.load(Ordering::Relaxed);
    let before = reads();
    let back = connect(&b, json!({"pid": ann.pid()})).await;
    let expected: Vec<_> = (1..=1_000).filter(|n| n % 3 < 2).map(|n| json!(n)).collect();
    assert_eq!(texts(&said(&back).await).0, expected.iter().collect::<Vec<_>>());
    assert_eq!(reads() - before, 1, "whether it may get on");
}

/// What a node is told of a client that has come back holds for the connections it had before, and never for a later one.
#[tokio::test(start_paused = true)]
async fn what_is_told_late_does_not_end_a_later_connection() {
    let [a, b] = pair("told-late").await;
    let c = boot(&[("bus.url", "shared://told-late")]).await;
    let mut bob = connect(&a, json!({})).await;
    let first = connect(&a, json!({})).await;
    say(&mut bob, json!({"text": 1})).await;
    let got = said(&first).await;
    let auth = json!({"pid": first.pid(), "offset": texts(&got).1});
    let flaws = flaws("told-late");
    let slow = flaws.telling.lock().await;
    let second = connect(&b, auth.clone()).await;
    assert!(recovered(&second).await);
    let third = connect(&c, auth).await;
    assert!(recovered(&third).await);
    assert_eq!([&first, &second, &third].map(|client| client.sink().closed()), [None; 3], "nobody was told yet");
    drop(slow);
    settle().await;
    let over = Some(Reason::Resumed);
    assert_eq!([&first, &second, &third].map(|client| client.sink().closed()), [over, over, None]);
    assert!(![&first, &second, &third].iter().any(|client| client.sink().disconnected()), "to come back");
    say(&mut bob, json!({"text": 2, "clients": [third.id()]})).await;
    assert_eq!(texts(&said(&third).await).0, [2]);
}

/// However much is to be written down of some clients, the others are not forgotten.
#[tokio::test(start_paused = true)]
async fn nobody_is_forgotten_while_much_is_written_down() {
    let settings = [("bus.url", "shared://busy"), ("journal.max_disconnection_s", "10")];
    let [a, b] = [boot(&settings).await, boot(&settings).await];
    let mut bob = connect(&a, json!({})).await;
    let ann = connect(&a, json!({})).await;
    flaws("busy").slow.store(true, Ordering::Relaxed);
    for n in 0..200 {
        bob.call(if n % 2 == 0 { "join" } else { "leave" }, json!("red")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    flaws("busy").slow.store(false, Ordering::Relaxed);
    assert!(recovered(&connect(&b, json!({"pid": ann.pid()})).await).await);
}

/// A bus that takes nothing does not keep a node from stopping; what could not be written down is counted.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever_until_clients_are_written_down() {
    let [a, _b] = pair("stuck").await;
    let ann = connect(&a, json!({})).await;
    settle().await;
    let flaws = flaws("stuck");
    let _stuck = flaws.writing.lock().await;
    ann.close(Reason::Drain);
    settle().await;
    tokio::time::timeout(Duration::from_secs(60), a.app().shutdown()).await.unwrap();
    let left_out = r#"carillon_session_writes_total{namespace="/chat",result="left_out"}"#;
    assert_eq!(a.metric(left_out), 1.0);
}

/// A node that begins while the journal is away gets to know it when that is back, whether anybody publishes or not.
#[tokio::test(start_paused = true)]
async fn a_node_finds_a_journal_that_was_away_when_it_began() {
    let a = boot(&[("bus.url", "shared://began")]).await;
    flaws("began").away.store(true, Ordering::Relaxed);
    let b = boot(&[("bus.url", "shared://began")]).await;
    flaws("began").away.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ann = connect(&b, json!({})).await;
    ann.close(Reason::TransportClose);
    settle().await;
    assert!(recovered(&connect(&a, json!({"pid": ann.pid()})).await).await);
}

/// However many come back at once, the bus is asked by a few at a time, and all get on.
#[tokio::test(start_paused = true)]
async fn all_clients_of_a_node_that_has_died_get_on() {
    let [a, b] = pair("crowd").await;
    let mut bob = connect(&b, json!({})).await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(connect(&a, json!({})).await);
    }
    say(&mut bob, json!({"text": 1})).await;
    settle().await;
    let offset = texts(&said(&crowd[0]).await).1;
    say(&mut bob, json!({"text": 2})).await;
    flaws("crowd").narrow.store(true, Ordering::Relaxed);
    let come_back = crowd.iter().map(|client| connect(&b, json!({"pid": client.pid(), "offset": offset})));
    let back = futures_util::future::join_all(come_back).await;
    for client in &back {
        assert_eq!(texts(&said(client).await).0, [2]);
    }
    assert_eq!((counted(&b, "recovered"), counted(&b, "broken_off"), counted(&b, "unavailable")), (100.0, 0.0, 0.0));
}
