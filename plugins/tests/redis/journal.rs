//! Journals: what is kept of them, and what is known of records that Redis did not answer for.

use std::time::Duration;

use bytes::Bytes;
use carillon_core::Code;
use carillon_core::journal::Bounds;

use crate::harness::{SOON, TestBus, eventually};
use crate::server::Server;

const BOUNDS: Bounds = Bounds { events: 10, age: Duration::from_secs(60), bytes: 100 };

fn records(count: usize) -> Vec<Bytes> {
    vec![Bytes::from(vec![b'x'; 40]); count]
}

/// A journal that nobody has appended to for `age` holds nothing, and has all its room again.
#[tokio::test]
async fn a_journal_that_was_forgotten_has_all_its_room_again() {
    let redis = Server::start(&[]).await;
    let bus = TestBus::up(&redis.url()).await.bus;
    let short = Bounds { age: Duration::from_millis(100), ..BOUNDS };
    assert!(bus.append("j", &records(2), short, None).await.iter().all(Result::is_ok));
    let mut client = redis.client().await;
    let stream = bus.journal_channel("j");
    assert_ne!(client.command(&["EXISTS", &format!("{stream}:state")]).await, ":0");
    eventually(SOON, "it is forgotten", async || client.command(&["EXISTS", &stream]).await == ":0").await;
    let second = bus.append("j", &records(2), BOUNDS, None).await;
    let kept = bus.read("j", None, 10, BOUNDS).await.unwrap();
    let numbers: Vec<_> = kept.entries.iter().map(|entry| entry.offset.number()).collect();
    assert_eq!(numbers, [3, 4], "80 bytes of 100");
    assert_eq!(kept.last, second[1].as_ref().unwrap().offset);
}

/// Whoever could not even ask knows that nothing was appended; whoever has asked does not.
#[tokio::test]
async fn what_never_left_was_surely_not_appended() {
    let (stopped, paused) = (Server::start(&[]).await, Server::start(&[]).await);
    let append = async |redis: &Server| {
        let bus = TestBus::up(&redis.url()).await.bus;
        if redis.url() == stopped.url() {
            redis.signal("STOP");
        } else {
            // Whoever connects is answered, and no script runs.
            assert_eq!(redis.client().await.command(&["CLIENT", "PAUSE", "60000", "WRITE"]).await, "+OK");
        }
        bus.append("j", &records(1), BOUNDS, None).await.remove(0).unwrap_err().code()
    };
    let codes = tokio::join!(append(&stopped), append(&paused));
    stopped.signal("CONT");
    assert_eq!(codes, (Code::Unavailable, Code::Timeout));
}

/// A Redis that refuses has surely not appended, whyever it does.
#[tokio::test]
async fn what_is_refused_was_surely_not_appended() {
    let (full, replica) = (&["CONFIG", "SET", "maxmemory", "1"][..], &["REPLICAOF", "127.0.0.1", "1"][..]);
    for (refuse, before) in [(full, 1), (replica, 0), (replica, 1)] {
        let redis = Server::start(&[]).await;
        let bus = TestBus::up(&redis.url()).await.bus;
        assert!(bus.append("j", &records(before), BOUNDS, None).await.iter().all(Result::is_ok));
        assert_eq!(redis.client().await.command(refuse).await, "+OK");
        let refused = bus.append("j", &records(2), BOUNDS, None).await;
        let codes: Vec<_> = refused.into_iter().map(|result| result.unwrap_err().code()).collect();
        assert_eq!(codes, [Code::Unavailable; 2], "{refuse:?} after {before}");
    }
}
