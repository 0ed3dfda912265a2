//! Redis works but refuses something by its access lists.

use carillon_core::Code;

use crate::harness::{SOON, TestBus, eventually, next_text};
use crate::server::Server;

const USER: [&str; 7] = ["--user", "default", "on", "nopass", "~*", "+@all", "resetchannels"];

/// A publish Redis refuses reaches this process's own subscribers, and is counted as such; the bus stays up.
#[tokio::test]
async fn a_refused_publish_stays_local() {
    let redis = Server::start(&[&USER[..], &["&carillon:*", "&open"]].concat()).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut client = redis.client().await;
    client.command(&["ACL", "SETUSER", "default", "&closed"]).await;
    let mut subscription = bus.subscribe(&["closed", "open"]).await;
    // Taking a channel away ends the connections that listen to it; taking PUBLISH away does not.
    client.command(&["ACL", "SETUSER", "default", "-publish"]).await;
    bus.publish("closed", "1").await;
    assert_eq!(next_text(&mut subscription).await, "1");
    assert_eq!(bus.metric("carillon_bus_published_locally_total"), 1.0);
    // The probe is refused too, and says so.
    eventually(SOON, "the reason shows", async || bus.detail().contains("cannot publish to carillon:probe")).await;
    client.command(&["ACL", "SETUSER", "default", "+publish"]).await;
    bus.is_up(SOON).await;
    bus.publish("open", "2").await;
    assert_eq!(next_text(&mut subscription).await, "2");
    assert_eq!(bus.metric("carillon_bus_published_locally_total"), 1.0);
}

/// A subscription Redis refuses is an error of whoever asked; the others go on.
#[tokio::test]
async fn a_refused_subscription_is_an_error() {
    let redis = Server::start(&[&USER[..], &["&carillon:*", "&open"]].concat()).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut subscription = bus.subscribe(&["open"]).await;
    let error = bus.bus.subscribe(&["closed".to_owned()]).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("refuses to subscribe to closed"), "{}", error.message());
    bus.publish("open", "1").await;
    assert_eq!(next_text(&mut subscription).await, "1");
    assert!(bus.bus.status().up);
}

/// So it is for a channel somebody asked for while Redis was away: it ends, and the bus comes up without it.
#[tokio::test]
async fn a_refused_channel_does_not_keep_the_bus_down() {
    let mut redis = Server::planned();
    let bus = TestBus::at(&redis.url()).await;
    let mut open = bus.subscribe(&["open"]).await;
    let mut closed = bus.subscribe(&["closed"]).await;
    redis.run(&[&USER[..], &["&carillon:*", "&open"]].concat()).await;
    bus.is_up(SOON).await;
    assert!(tokio::time::timeout(SOON, closed.recv()).await.unwrap().is_none(), "ended");
    bus.publish("open", "1").await;
    assert_eq!(next_text(&mut open).await, "1");
}
