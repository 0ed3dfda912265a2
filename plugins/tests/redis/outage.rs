//! Redis dies, comes late, or comes back as another one.

use std::time::Duration;

use bytes::Bytes;
use carillon_core::Code;
use tokio::time::{Instant, sleep, timeout};

use crate::harness::{RECOVERS, SHOWS, SOON, TestBus, eventually, next_text};
use crate::server::Server;

/// kill -9 under traffic, three times: own clients are served on, everything at most once and in order, and messages of
/// other programs flow again within 2 s.
#[tokio::test]
async fn killed_under_traffic_three_times() {
    let mut redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut own = bus.subscribe(&["own"]).await;
    let mut foreign = bus.subscribe(&["foreign"]).await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let publish = async {
        for n in 0_u64.. {
            bus.publish("own", &n.to_string()).await;
            if timeout(Duration::from_millis(1), &mut stopped).await.is_ok() {
                return n + 1;
            }
        }
        0
    };
    let disturb = async {
        for round in 0..3 {
            redis.kill();
            let shown = bus.is_down(SHOWS).await;
            let before = bus.metric("carillon_bus_published_locally_total");
            let served = async || bus.metric("carillon_bus_published_locally_total") > before + 500.0;
            eventually(SOON, "own clients are served", served).await;
            redis.run(&[]).await;
            let back = foreign_again(&redis, &mut foreign).await;
            bus.is_up(RECOVERS).await;
            println!("round {round}: shown after {shown:?}, back after {back:?}");
        }
        stop.send(()).unwrap();
    };
    let (sent, ()) = tokio::join!(publish, disturb);
    let lost = bus.metric(r#"carillon_bus_publishes_lost_total{reason="unknown"}"#);
    let (mut received, mut last) = (0, None);
    while last != Some(sent - 1) {
        let n: u64 = next_text(&mut own).await.parse().unwrap();
        assert!(last.is_none_or(|last| n > last), "{n} after {last:?}: twice, or out of order");
        (received, last) = (received + 1, Some(n));
    }
    println!("{received} of {sent} own publishes arrived, {lost} lost by count");
    assert!(sent - received <= 3 * 50, "{received} of {sent}");
    assert_eq!(bus.metric("carillon_bus_reconnects_total"), 3.0);
    assert!(bus.metric("carillon_bus_unsubscribed_seconds_total") > 1.0);
}

/// How long it takes until what another program publishes arrives again.
async fn foreign_again(redis: &Server, foreign: &mut carillon_core::bus::Subscription) -> Duration {
    let start = Instant::now();
    let mut client = redis.client().await;
    loop {
        client.command(&["PUBLISH", "foreign", "x"]).await;
        if timeout(Duration::from_millis(10), foreign.recv()).await.is_ok() {
            break;
        }
        assert!(start.elapsed() < RECOVERS, "not back within {RECOVERS:?}");
    }
    start.elapsed()
}

/// Redis may come after Carillon. Until then publishes stay local, keys say `unavailable` at once, and what was subscribed
/// meanwhile is subscribed.
#[tokio::test]
async fn started_later() {
    let mut redis = Server::planned();
    let bus = TestBus::at(&redis.url()).await;
    let mut subscription = bus.subscribe(&["c"]).await;
    bus.publish("c", "local").await;
    assert_eq!(next_text(&mut subscription).await, "local");
    assert!(!bus.bus.status().up);
    assert!(bus.detail().contains("Connection refused"), "{}", bus.detail());
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(bus.bus.get("k").await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(bus.bus.set("k", Bytes::new(), None).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(bus.bus.claim("k", "o", SOON).await.unwrap_err().code(), Code::Unavailable);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "300 refusals took {:?}", start.elapsed());
    redis.run(&[]).await;
    let back = foreign_again_on(&redis, &mut subscription, "c").await;
    println!("started later: back after {back:?}");
    bus.is_up(RECOVERS).await;
    assert_eq!(bus.bus.get("k").await.unwrap(), None);
    assert_eq!(bus.metric("carillon_bus_reconnects_total"), 0.0, "the first connection is no reconnect");
}

async fn foreign_again_on(
    redis: &Server,
    subscription: &mut carillon_core::bus::Subscription,
    channel: &str,
) -> Duration {
    let start = Instant::now();
    let mut client = redis.client().await;
    let subscribed = async || client.command(&["PUBLISH", channel, "x"]).await == ":1";
    eventually(RECOVERS, "subscribed again", subscribed).await;
    assert_eq!(next_text(subscription).await, "x");
    start.elapsed()
}

/// Another, empty Redis on the same port is found and used, keys and all.
#[tokio::test]
async fn replaced_by_an_empty_one() {
    let mut redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut subscription = bus.subscribe(&["c"]).await;
    bus.bus.set("k", Bytes::from_static(b"v"), None).await.unwrap();
    assert!(bus.bus.claim("lease", "me", SOON).await.unwrap());
    redis.kill();
    redis.run(&[]).await;
    let back = foreign_again_on(&redis, &mut subscription, "c").await;
    println!("replaced by an empty one: back after {back:?}");
    bus.is_up(RECOVERS).await;
    assert_eq!(bus.bus.get("k").await.unwrap(), None);
    assert!(bus.bus.claim("lease", "you", SOON).await.unwrap(), "its script is loaded anew");
    bus.publish("c", "own").await;
    assert_eq!(next_text(&mut subscription).await, "own");
}

/// A connection that merely breaks costs no publish: they wait for the next one.
#[tokio::test]
async fn a_broken_subscription_loses_no_publish() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut subscription = bus.subscribe(&["c"]).await;
    let mut client = redis.client().await;
    client.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    bus.is_down(SOON).await;
    bus.publish("c", "x").await;
    assert_eq!(next_text(&mut subscription).await, "x");
    bus.is_up(RECOVERS).await;
    assert_eq!(bus.metric("carillon_bus_published_locally_total"), 0.0);
}

/// While Redis is away the unsubscribed seconds run on, at every scrape.
#[tokio::test]
async fn the_unsubscribed_time_is_counted_while_it_lasts() {
    let redis = Server::planned();
    let bus = TestBus::at(&redis.url()).await;
    let series = "carillon_bus_unsubscribed_seconds_total";
    let first = bus.metric(series);
    sleep(Duration::from_millis(20)).await;
    assert!(bus.metric(series) >= first + 0.02);
}
