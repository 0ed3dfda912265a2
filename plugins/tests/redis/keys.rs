//! Keys with a time to live, and leases.

use std::time::Duration;

use bytes::Bytes;
use carillon_core::Code;

use crate::harness::{SOON, TestBus, eventually};
use crate::server::Server;

/// Values are Redis's own, in the database of the address; a time to live ends them.
#[tokio::test]
async fn values_are_kept_in_the_database_of_the_address_until_they_expire() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&format!("{}/2", redis.url())).await.bus;
    let value = Bytes::from_static(b"{\"a\":1.50}\xff");
    assert_eq!(bus.get("k").await.unwrap(), None);
    bus.set("k", value.clone(), None).await.unwrap();
    assert_eq!(bus.get("k").await.unwrap(), Some(value.clone()));

    let mut client = redis.client().await;
    assert_eq!(client.command(&["GET", "k"]).await, "$-1", "in database 0");
    assert_eq!(client.command(&["SELECT", "2"]).await, "+OK");
    assert_eq!(client.command(&["PTTL", "k"]).await, ":-1");

    bus.set("k", value, Some(Duration::from_millis(300))).await.unwrap();
    let left: i64 = client.command(&["PTTL", "k"]).await[1..].parse().unwrap();
    assert!((1..=300).contains(&left), "{left}");
    eventually(SOON, "k has expired", async || bus.get("k").await.unwrap().is_none()).await;
    bus.set("k", Bytes::new(), Some(Duration::ZERO)).await.unwrap();
}

/// A lease has one owner, who may renew it; it passes on when it expires.
#[tokio::test]
async fn a_lease_has_one_owner_at_a_time() {
    let redis = Server::start(&[]).await;
    let (one, two) = (TestBus::up(&redis.url()).await.bus, TestBus::up(&redis.url()).await.bus);
    let (long, short) = (Duration::from_secs(60), Duration::from_millis(200));
    assert!(one.claim("lease", "one", long).await.unwrap());
    assert!(!two.claim("lease", "two", short).await.unwrap());
    let mut client = redis.client().await;
    let left: i64 = client.command(&["PTTL", "lease"]).await[1..].parse().unwrap();
    assert!(left > 1000, "a refused claim leaves the lease alone: {left}");
    assert!(one.claim("lease", "one", short).await.unwrap(), "renewed");
    eventually(SOON, "it passes on", async || two.claim("lease", "two", long).await.unwrap()).await;
    assert!(!one.claim("lease", "one", long).await.unwrap());
    // A Redis that forgot its scripts gets them again.
    client.command(&["SCRIPT", "FLUSH"]).await;
    assert!(two.claim("lease", "two", long).await.unwrap());
}

/// Many claims at once, for a new lease: one wins.
#[tokio::test]
async fn claims_are_atomic() {
    let redis = Server::start(&[]).await;
    let buses = [TestBus::up(&redis.url()).await.bus, TestBus::up(&redis.url()).await.bus];
    for round in 0..50 {
        let key = format!("lease:{round}");
        let ttl = Duration::from_secs(60);
        let claim = |index: usize| buses[index % 2].claim(&key, ["a", "b", "c", "d"][index], ttl);
        let (a, b, c, d) = tokio::join!(claim(0), claim(1), claim(2), claim(3));
        let won = [a, b, c, d].into_iter().filter(|won| *won.as_ref().unwrap()).count();
        assert_eq!(won, 1);
    }
}

/// A key of another program's, of another type, is an error of ours and no outage.
#[tokio::test]
async fn a_key_of_another_type_is_an_internal_error() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    redis.client().await.command(&["RPUSH", "list", "x"]).await;
    let error = bus.bus.get("list").await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    assert!(bus.bus.status().up);
}

/// Whoever asks may end at any time, threads and all, without harm to the others: the connections are not theirs.
#[tokio::test]
async fn a_caller_that_ends_takes_no_connection_along() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await.bus;
    for _ in 0..3 {
        let bus = std::sync::Arc::clone(&bus);
        let caller = std::thread::spawn(move || {
            let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            threads.block_on(bus.get("k")).unwrap()
        });
        eventually(SOON, "it got its answer", async || caller.is_finished()).await;
        assert_eq!(caller.join().unwrap(), None);
    }
    assert_eq!(bus.get("k").await.unwrap(), None);
    let connections = redis.client().await.command(&["CLIENT", "LIST", "TYPE", "normal"]).await;
    assert_eq!(connections.lines().count(), 3, "one for publishes, one for keys, and this one: {connections}");
}
