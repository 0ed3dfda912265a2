//! Every message, once, in order, byte for byte.

use tokio::time::Instant;

use bytes::Bytes;

use crate::harness::{TestBus, next, next_text};
use crate::server::Server;

/// What other programs publish arrives with these very bytes, JSON or not.
#[tokio::test]
async fn bytes_arrive_as_published() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut subscription = bus.subscribe(&["cluster:metrics"]).await;
    let payloads = [&br#"{"a":1.50, "b" :[1e3,"\u00e9"] }"#[..], b"", b"\xff\x00\r\n$-1\r\n", b"null", b"42"];
    let payloads: Vec<Vec<u8>> = payloads.iter().map(|payload| payload.to_vec()).collect();
    redis.client().await.publish("cluster:metrics", &payloads).await;
    for payload in payloads {
        let message = next(&mut subscription).await;
        assert_eq!((&*message.channel, &message.payload[..]), ("cluster:metrics", &payload[..]));
    }
}

/// 10,000 publishes of another program at full speed arrive completely and in order.
#[tokio::test]
async fn a_burst_of_another_program_arrives_in_order() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut subscription = bus.subscribe(&["burst"]).await;
    let payloads: Vec<Vec<u8>> = (0..10_000).map(|n: i32| n.to_string().into_bytes()).collect();
    let mut client = redis.client().await;
    let start = Instant::now();
    let receive = async {
        for payload in &payloads {
            assert_eq!(&next(&mut subscription).await.payload[..], &payload[..]);
        }
    };
    let (replies, ()) = tokio::join!(client.publish("burst", &payloads), receive);
    println!("10,000 foreign publishes: {:?}", start.elapsed());
    assert!(replies.iter().all(|reply| reply == ":1"), "each reached the one subscriber");
    assert_eq!(bus.metric("carillon_bus_dropped_total"), 0.0);
}

/// So do this process's own, which come back through Redis, once.
#[tokio::test]
async fn a_burst_of_ones_own_comes_back_in_order() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut subscription = bus.subscribe(&["burst"]).await;
    let start = Instant::now();
    let publish = async {
        for n in 0..20_000 {
            bus.publish("burst", &n.to_string()).await;
        }
    };
    let receive = async {
        for n in 0..20_000 {
            assert_eq!(next_text(&mut subscription).await, n.to_string());
        }
    };
    tokio::join!(publish, receive);
    println!("20,000 own publishes: {:?}", start.elapsed());
    bus.publish("burst", "end").await;
    assert_eq!(next_text(&mut subscription).await, "end", "nothing came twice");
    assert_eq!(bus.metric("carillon_bus_published_locally_total"), 0.0);
}

/// Two buses on one Redis: both hear both, each publisher in its order, everything once.
#[tokio::test]
async fn two_buses_hear_each_other() {
    let redis = Server::start(&[]).await;
    let buses = [TestBus::up(&redis.url()).await, TestBus::up(&redis.url()).await];
    let mut subscriptions = [buses[0].subscribe(&["talk"]).await, buses[1].subscribe(&["talk"]).await];
    let speak = async |index: usize| {
        for n in 0..1000 {
            buses[index].publish("talk", &format!("{index}:{n}")).await;
        }
    };
    tokio::join!(speak(0), speak(1));
    for subscription in &mut subscriptions {
        let mut heard = [0, 0];
        for _ in 0..2000 {
            let text = next_text(subscription).await;
            let (index, n) = text.split_once(':').unwrap();
            let index: usize = index.parse().unwrap();
            assert_eq!(n, heard[index].to_string(), "of publisher {index}");
            heard[index] += 1;
        }
        assert_eq!(heard, [1000, 1000]);
    }
}

/// A channel somebody listens to already costs nothing more; one nobody listens to any longer is given up in Redis.
#[tokio::test]
async fn channels_are_subscribed_as_long_as_somebody_listens() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await;
    let mut client = redis.client().await;
    let first = bus.subscribe(&["a", "b"]).await;
    let mut second = bus.subscribe(&["b"]).await;
    bus.bus.publish("b", Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(next_text(&mut second).await, "1");
    assert_eq!(client.command(&["PUBLISH", "a", "x"]).await, ":1");
    drop(first);
    let given_up = async || client.command(&["PUBLISH", "a", "x"]).await == ":0";
    crate::harness::eventually(crate::harness::SOON, "a is given up", given_up).await;
    bus.bus.publish("b", Bytes::from_static(b"2")).await.unwrap();
    assert_eq!(next_text(&mut second).await, "2");
}
