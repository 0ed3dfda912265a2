//! Rates over a minute of paused time, and what a million names do to memory and metrics.

use std::net::Ipv6Addr;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::identity::{Identity, unauthorized};
use crate::sink::Transport;

const STEP: Duration = Duration::from_millis(1);
const MINUTE: u32 = 60_000;

/// No limits.
fn settings() -> LimitSettings {
    LimitSettings {
        connection_events_per_s: 0,
        connection_bytes_per_s: 0,
        subject_events_per_s: 0,
        subject_bytes_per_s: 0,
        failed_connects_per_s: 0,
        refusals_per_s: 0,
        ..LimitSettings::default()
    }
}

fn limits(settings: LimitSettings) -> (RateLimits, Metrics) {
    let metrics = Metrics::new().unwrap();
    let pauses = Pauses::new(&TaskTracker::new(), &CancellationToken::new());
    (RateLimits::new(settings, &metrics, pauses), metrics)
}

/// A connection of `subject`.
fn sender(limits: &RateLimits, subject: &str) -> Option<Sender> {
    let peer = Peer::new(([10, 0, 0, 1], 1).into(), Transport::WebSocket, String::new(), None);
    let Value::Object(claims) = json!({ "sub": subject }) else { unreachable!() };
    peer.identify(Identity::new(claims).unwrap());
    limits.sender(&peer, false)
}

/// Whether an event of so many bytes gets through.
fn gets(limits: &RateLimits, sender: &Sender, claimed: Claimed, bytes: usize) -> bool {
    limits.take(sender, &Counted { bytes, claimed, ..Counted::default() }, Instant::now()).1.is_ok()
}

/// How much gets through in a minute, a burst included, when each of `senders` sends so many bytes every millisecond, and
/// stops for as long as it is told to.
async fn through(limits: &RateLimits, senders: &[Sender], bytes: usize) -> (u32, u64) {
    let mut free = vec![limits.ticks.now(); senders.len()];
    let (mut events, mut volume) = (0, 0);
    for _ in 0..MINUTE {
        for (sender, free) in senders.iter().zip(&mut free) {
            let now = limits.ticks.now();
            if now < *free {
                continue;
            }
            let (pause, taken) = limits.take(sender, &Counted { bytes, ..Counted::default() }, Instant::now());
            *free = now + Nanos::from(pause.unwrap_or_default());
            if taken.is_ok() {
                events += 1;
                volume += bytes as u64;
            }
        }
        tokio::time::advance(STEP).await;
    }
    (events, volume)
}

/// Must show 2: within 5 % over 60 s, for one connection and for ten connections of one subject.
#[tokio::test(start_paused = true)]
async fn rates_hold_over_a_minute() {
    let (limits, _) = limits(LimitSettings {
        connection_events_per_s: 50,
        connection_events_burst: 100,
        connection_bytes_per_s: 100_000,
        connection_bytes_burst: 200_000,
        subject_events_per_s: 200,
        subject_events_burst: 400,
        subject_bytes_per_s: 400_000,
        subject_bytes_burst: 800_000,
        ..settings()
    });
    let close = |got: f64, (burst, per_s): (f64, f64)| {
        let expected = burst + 60.0 * per_s;
        assert!((got / expected - 1.0).abs() < 0.05, "{got} instead of {expected}");
    };
    let connection = |subject| sender(&limits, subject).unwrap();
    close(through(&limits, &[connection("ann")], 1).await.0.into(), (100.0, 50.0));
    close(through(&limits, &[connection("bob")], 5_000).await.1 as f64, (200_000.0, 100_000.0));
    let ten: Vec<Sender> = (0..10).map(|_| connection("cid")).collect();
    close(through(&limits, &ten, 1).await.0.into(), (400.0, 200.0));
    let ten: Vec<Sender> = (0..10).map(|_| connection("dan")).collect();
    close(through(&limits, &ten, 5_000).await.1 as f64, (800_000.0, 400_000.0));
}

/// Whoever comes back is who it was: a subject with a connection for every event gets no more than one with a single one.
#[tokio::test(start_paused = true)]
async fn a_subject_that_comes_back_is_known() {
    let (limits, _) = limits(LimitSettings { subject_events_per_s: 1, subject_events_burst: 3, ..settings() });
    let mut get = |_| gets(&limits, &sender(&limits, "ann").unwrap(), Claimed::default(), 1);
    assert_eq!((0..100).map(&mut get).filter(|through| *through).count(), 3);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!((0..100).map(&mut get).filter(|through| *through).count(), 2);
}

/// Must show 2: a million subjects and addresses take no more than the settings say, and leave the series as they were.
#[tokio::test(start_paused = true)]
async fn a_million_names_take_what_the_settings_say() {
    let (limits, metrics) = limits(LimitSettings {
        subject_events_per_s: 1,
        subject_bytes_per_s: 1,
        failed_connects_per_s: 1,
        max_entries: 4_096,
        ..settings()
    });
    let before = metrics.render().unwrap().lines().count();
    let slot = Slot::default();
    for number in 0..1_000_000_u64 {
        let subject = Some(limits.keys.hash_one(number));
        assert!(gets(&limits, &Sender { slot: Arc::clone(&slot), subject }, Claimed::default(), 1));
        limits.connect_failed(Ipv6Addr::from_bits(u128::from(number) << 64).into(), &unauthorized());
    }
    assert_eq!(limits.failed_connects.unwrap().1.bytes(), 4_096 * 17);
    assert_eq!(limits.subjects.bytes(), [4_096 * 17; 2]);
    assert_eq!(metrics.render().unwrap().lines().count(), before);
}

/// Nobody is forgotten as long as there is room, and who has more to wait for than others is the last to be.
#[tokio::test(start_paused = true)]
async fn being_forgotten_costs_more_than_waiting() {
    let (limits, _) =
        limits(LimitSettings { failed_connects_per_s: 1, failed_connects_burst: 10, max_entries: 1_024, ..settings() });
    let address = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
    (0..10).for_each(|_| limits.connect_failed(address(0), &unauthorized()));
    assert!(limits.may_connect(address(0)).is_err());
    // Ten times as many as there is room for, which have failed less often.
    for other in 1..10_240 {
        (0..9).for_each(|_| limits.connect_failed(address(other), &unauthorized()));
    }
    assert!(limits.may_connect(address(0)).is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(limits.may_connect(address(0)).is_ok());
}

/// Where nothing is limited, who has a token has no meter either; and nothing is kept of addresses before one has failed.
#[tokio::test(start_paused = true)]
async fn nothing_is_made_before_it_is_needed() {
    let (off, _) = limits(settings());
    let ann = sender(&off, "ann").unwrap();
    assert!(gets(&off, &ann, Claimed::default(), 1_000_000));
    assert!(ann.slot.get().is_none());
    let (on, _) = limits(LimitSettings { failed_connects_per_s: 1, ..settings() });
    let (address, table) = (IpAddr::from([10, 0, 0, 1]), &on.failed_connects.as_ref().unwrap().1);
    assert!(on.may_connect(address).is_ok());
    assert_eq!(table.bytes(), 0);
    on.connect_failed(address, &unauthorized());
    assert!(table.bytes() > 0);
}

/// A subject whose tokens say different things has sent what it has sent: more of it is left to a larger limit, less to a
/// smaller one, and no limit is there twice.
#[tokio::test(start_paused = true)]
async fn what_a_subject_has_sent_is_the_same_for_all_its_tokens() {
    let rate = |per_s| Some(Rate { per_s, burst: per_s });
    let claims = |per_s| Claimed { events: rate(per_s), bytes: rate(per_s) };
    let (limits, _) = limits(LimitSettings {
        subject_events_per_s: 10,
        subject_events_burst: 10,
        subject_bytes_per_s: 10,
        subject_bytes_burst: 10,
        ..settings()
    });
    let (one, two) = (sender(&limits, "ann").unwrap(), sender(&limits, "ann").unwrap());
    let through = |sender: &Sender, claimed| (0..200).filter(|_| gets(&limits, sender, claimed, 1)).count();
    assert_eq!(through(&one, Claimed::default()), 10);
    assert_eq!(through(&two, claims(10)), 0, "the same limit from a token");
    assert_eq!(through(&two, claims(100)), 90);
    assert_eq!(through(&one, Claimed::default()), 0);
    assert_eq!(through(&two, claims(1)), 0);
    // They are paid at the rate of who got through last.
    tokio::time::advance(Duration::from_millis(900)).await;
    assert!(!gets(&limits, &one, Claimed::default(), 1), "10 are left of 100");
    tokio::time::advance(Duration::from_millis(50)).await;
    assert_eq!(through(&one, Claimed::default()), 5);
    let (bytes, events) = (limits.subjects.bytes()[1], limits.subjects.bytes()[0]);
    assert!(bytes > 0 && events == bytes);
}
