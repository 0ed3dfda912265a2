//! The end of the bus.

use bytes::Bytes;
use carillon_core::Code;

use crate::harness::{SOON, TestBus, eventually, next_text};
use crate::server::Server;

/// Shutdown sends what was accepted, ends subscriptions and connections, and refuses what comes later.
#[tokio::test]
async fn accepted_publishes_go_out_before_the_end() {
    let redis = Server::start(&[]).await;
    let (bus, other) = (TestBus::up(&redis.url()).await, TestBus::up(&redis.url()).await);
    let mut own = bus.subscribe(&["c"]).await;
    let mut subscription = other.subscribe(&["c"]).await;
    for n in 0..5000 {
        bus.publish("c", &n.to_string()).await;
    }
    bus.bus.shutdown().await;
    for n in 0..5000 {
        assert_eq!(next_text(&mut subscription).await, n.to_string());
    }
    while own.recv().await.is_some() {}
    assert_eq!(bus.bus.publish("c", Bytes::new()).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(bus.bus.get("k").await.unwrap_err().code(), Code::Unavailable);
    assert!(!bus.bus.status().up);
    other.bus.shutdown().await;
    let mut client = redis.client().await;
    let closed = async || client.command(&["CLIENT", "LIST"]).await.lines().count() == 1;
    eventually(SOON, "every connection is closed", closed).await;
}

/// A bus at a Redis that is away, or hangs, ends as well, and so does one that is only dropped.
#[tokio::test]
async fn an_end_without_redis() {
    let away = TestBus::at(&Server::planned().url()).await;
    away.publish("c", "x").await;
    away.bus.shutdown().await;

    let redis = Server::start(&[]).await;
    let hanging = TestBus::up(&redis.url()).await;
    redis.signal("STOP");
    hanging.publish("c", "x").await;
    tokio::time::timeout(SOON, hanging.bus.shutdown()).await.unwrap();
    redis.signal("CONT");

    let mut subscription = {
        let dropped = TestBus::up(&redis.url()).await;
        dropped.subscribe(&["c"]).await
    };
    tokio::time::timeout(SOON, subscription.recv()).await.unwrap();
}
