//! Passwords: needed, wrong, put right, and never shown.

use carillon_core::bus::{self, BusContext};
use carillon_core::metrics::Metrics;

use crate::harness::{RECOVERS, SOON, TestBus, eventually, next_text};
use crate::server::Server;

/// A wrong password shows as such; a Redis restarted with the right one is used within 2 s.
#[tokio::test]
async fn wrong_and_then_put_right() {
    let mut redis = Server::start(&["--requirepass", "right-one"]).await;
    let bus = TestBus::at(&format!("redis://:s3cret@127.0.0.1:{}", redis.port)).await;
    let mut subscription = bus.subscribe(&["c"]).await;
    eventually(SOON, "the reason shows", async || bus.detail().contains("the password")).await;
    assert!(!bus.bus.status().up);
    assert!(!bus.detail().contains("s3cret"), "{}", bus.detail());
    redis.kill();
    redis.run(&["--requirepass", "s3cret"]).await;
    println!("password put right: up after {:?}", bus.is_up(RECOVERS).await);
    bus.publish("c", "x").await;
    assert_eq!(next_text(&mut subscription).await, "x");
}

/// A user of Redis's access lists, by name and password.
#[tokio::test]
async fn a_user_by_name() {
    let redis = Server::start(&["--user", "carillon", "on", ">p@ss/word", "~*", "&*", "+@all"]).await;
    let bus = TestBus::up(&format!("redis://carillon:p%40ss%2Fword@127.0.0.1:{}/1", redis.port)).await;
    assert_eq!(bus.bus.get("k").await.unwrap(), None);
}

/// A server may repeat what it was sent; what we show of that never holds the password.
#[tokio::test]
async fn a_server_that_repeats_the_password() {
    let redis = Server::start(&["--rename-command", "AUTH", "nothing"]).await;
    let mut client = redis.client().await;
    assert!(client.command(&["AUTH", "s3cret"]).await.contains("s3cret"), "it does");
    let bus = TestBus::at(&format!("redis://:s3cret@127.0.0.1:{}", redis.port)).await;
    eventually(SOON, "the reason shows", async || {
        bus.detail().contains("AUTH") || bus.detail().contains("the password")
    })
    .await;
    assert!(!bus.detail().contains("s3cret"), "{}", bus.detail());
    let error = bus.bus.get("k").await.unwrap_err();
    assert!(!format!("{error:?} {}", error.message()).contains("s3cret"));
}

/// An address that cannot work ends the start, with the reason and without the password.
#[tokio::test]
async fn a_wrong_address_ends_the_start() {
    for (url, reason) in [
        ("redis://:s3cret@", "bus.url: "),
        ("redis://:s3cret@host:port", "invalid port number"),
        ("redis://:s3cret@host/x", "the database is a number"),
        ("rediss://:s3cret@host?ca=/nowhere", "the file of ca cannot be read"),
    ] {
        let context = BusContext::new(std::sync::Arc::new(Metrics::new().unwrap()));
        let Err(error) = bus::connect(url, context).await else { panic!("{url} was accepted") };
        assert!(error.message().contains(reason), "{url}: {}", error.message());
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}
