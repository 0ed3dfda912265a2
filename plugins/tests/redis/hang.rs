//! Redis is there and does not answer.

use std::time::Duration;

use carillon_core::Code;
use tokio::time::{Instant, timeout};

use crate::harness::{RECOVERS, SHOWS, SOON, TestBus, eventually, next_text};
use crate::server::Server;

/// SIGSTOP without any traffic shows, through the probe alone; after SIGCONT messages flow within 2 s.
#[tokio::test]
async fn a_hang_shows_without_traffic() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut subscription = bus.subscribe(&["c"]).await;
    redis.signal("STOP");
    let shown = bus.is_down(SHOWS).await;
    assert!(bus.detail().contains("no answer within") || bus.detail().contains("no message"), "{}", bus.detail());
    // Over several attempts to connect.
    let seconds = async || bus.metric("carillon_bus_unsubscribed_seconds_total") > 4.0;
    eventually(SHOWS, "it stays away", seconds).await;
    assert!(!bus.bus.status().up);
    redis.signal("CONT");
    let start = Instant::now();
    let mut client = redis.client().await;
    let subscribed = async || client.command(&["PUBLISH", "c", "x"]).await == ":1";
    eventually(RECOVERS, "subscribed again", subscribed).await;
    println!("SIGSTOP without traffic: shown after {shown:?}, back after {:?}", start.elapsed());
    assert_eq!(next_text(&mut subscription).await, "x");
    bus.is_up(RECOVERS).await;
}

/// SIGSTOP under traffic: after a moment own clients are served on, at most once and in order, also when Redis works off
/// later what it was sent before.
#[tokio::test]
async fn a_hang_under_traffic_serves_own_clients() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut own = bus.subscribe(&["own"]).await;
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
        redis.signal("STOP");
        let shown = bus.is_down(SHOWS).await;
        let locally = async || bus.metric("carillon_bus_published_locally_total") > 1000.0;
        eventually(SOON, "own clients are served", locally).await;
        redis.signal("CONT");
        println!("SIGSTOP under traffic: shown after {shown:?}, up again after {:?}", bus.is_up(RECOVERS).await);
        stop.send(()).unwrap();
    };
    let (sent, ()) = tokio::join!(publish, disturb);
    let (mut received, mut last) = (0, None);
    while last != Some(sent - 1) {
        let n: u64 = next_text(&mut own).await.parse().unwrap();
        assert!(last.is_none_or(|last| n > last), "{n} after {last:?}: twice, or out of order");
        (received, last) = (received + 1, Some(n));
    }
    let lost = bus.metric(r#"carillon_bus_publishes_lost_total{reason="unknown"}"#) as u64;
    println!("{received} of {sent} own publishes arrived, {lost} lost by count");
    assert!(sent - received <= lost, "everything else is accounted for");
    assert!(lost < 50, "{lost}");
}

/// Commands caught by a hang end within their time; once it is known, they end at once.
#[tokio::test]
async fn commands_do_not_pile_up() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&format!("{}?timeout_ms=300", redis.url())).await;
    bus.bus.get("k").await.unwrap();
    redis.signal("STOP");
    let start = Instant::now();
    let answers = futures_util::future::join_all((0..100).map(|_| bus.bus.get("k"))).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(answers.into_iter().all(|answer| answer.unwrap_err().code() == Code::Unavailable));
    bus.is_down(SHOWS).await;
    let away = async || bus.bus.get("k").await.unwrap_err().message() == "Redis is away";
    eventually(SOON, "known to be away", away).await;
    let start = Instant::now();
    for _ in 0..100 {
        bus.bus.get("k").await.unwrap_err();
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    redis.signal("CONT");
    bus.is_up(Duration::from_secs(5)).await;
    bus.bus.get("k").await.unwrap();
}
