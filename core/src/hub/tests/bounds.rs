//! What waits is bounded and counted, and delays nobody else, one promise at a time.

use std::pin::pin;

use futures_util::poll;

use super::*;

/// Full means: `all` is refused, `volatile` is dropped and counted, `latest` takes the place of an older one, and who
/// waits goes on when there is room. Another namespace notices nothing.
#[tokio::test]
async fn what_waits_is_bounded_by_namespace() {
    let (hub, connections, metrics) = hall(3, Bounds { publishes: 2, bytes: 1 << 20 });
    let everybody = Selection::default;
    hub.publish(message(&metrics, 0, everybody(), Mode::Latest, 1).order()).unwrap();
    hub.publish(message(&metrics, 0, everybody(), Mode::All, 2).order()).unwrap();
    assert_eq!(hub.publish(message(&metrics, 0, everybody(), Mode::All, 3).order()), Err(Full));
    hub.publish(message(&metrics, 0, everybody(), Mode::Volatile, 4).order()).unwrap();
    hub.publish(message(&metrics, 0, everybody(), Mode::Latest, 5).order()).unwrap();
    hub.publish(message(&metrics, 1, everybody(), Mode::All, 6).order()).unwrap();
    assert_eq!(hub.waiting(0).publishes, 2);
    let hub = Arc::new(hub);
    let waiting = TaskTracker::new().spawn({
        let (hub, message) = (Arc::clone(&hub), message(&metrics, 0, everybody(), Mode::All, 7));
        async move { hub.publish_wait(message.order()).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    hub.start(&tasks, &stop);
    waiting.await.unwrap();
    while !hub.is_idle() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    for connection in connections {
        let got = connection.got.lock().unwrap().clone();
        assert_eq!(got, ["2/a,[\"e\",2]", "2/a,[\"e\",5]", "2/b,[\"e\",6]", "2/a,[\"e\",7]"]);
    }
    let ledger = metrics.ledger();
    assert!(ledger.is_balanced(), "{ledger}");
    assert_eq!(hub.waiting(0), Used::default());
}

/// What a plugin has queued delays no emit, no join and no publish to one client of another; its own emits wait for it.
#[tokio::test]
async fn a_flood_delays_nobody_else() {
    let (hub, connections, metrics) = hall(200, ROOMY);
    let everybody = Selection::default;
    let newcomer = Arc::new(Connection { number: 1000, ..Connection::default() });
    let seats: Vec<Seat> = (0..2)
        .map(|space| {
            let sink: Arc<dyn Sink> = Arc::new(Client(Arc::clone(&newcomer)));
            let seat = hub.seat(space, &*sink);
            seat.add("new".into(), sink);
            seat
        })
        .collect();
    let flood = |value: usize| {
        let item = encode_event(&SPACES[0].into(), "e", &(value, "x".repeat(64 << 10))).unwrap();
        Message { copy: (item, Mode::All), ..message(&metrics, 0, everybody(), Mode::All, value) }
    };
    (0..20).for_each(|value| hub.publish(flood(value).order()).unwrap());
    // The shard's task does not run: all of this is done by who asks for it.
    assert_eq!(says(&seats[1], &newcomer, "ack"), ["ack"]);
    seats[1].join("late".into());
    assert_eq!(hub.count(1, &room("late")), 1);
    for (whom, value) in [(room("late"), 1), (client("new"), 2)] {
        hub.publish(message(&metrics, 1, whom, Mode::All, value).order()).unwrap();
        assert_eq!(newcomer.got.lock().unwrap().pop(), Some(format!("2/b,[\"e\",{value}]")));
    }
    seats[1].leave("late".into());
    assert_eq!(hub.count(1, &room("late")), 0);
    assert_eq!(says(&seats[0], &newcomer, "own ack"), ["ack"], "it follows what its own plugin has published");
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    hub.start(&tasks, &stop);
    tokio::task::yield_now().await;
    // The flood is under way now; what comes in between waits for a chunk of it at most, at each of its own chunks.
    hub.publish(message(&metrics, 1, everybody(), Mode::All, 3).order()).unwrap();
    let has = |connection: &Arc<Connection>| connection.got.lock().unwrap().iter().any(|text| text == "2/b,[\"e\",3]");
    let mut turns = 0;
    while !connections.iter().all(has) {
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert!(turns <= 2 * 201_usize.div_ceil(CHUNK) + 2, "{turns} turns");
    assert!(hub.waiting(0).publishes > 15, "the flood goes on");
    while !hub.is_idle() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    assert_eq!(newcomer.got.lock().unwrap().last().unwrap(), "own ack");
    assert!(metrics.ledger().is_balanced());
}

/// What is for one client reaches it from the caller, whatever its mode; for nobody, it waits nowhere.
#[tokio::test]
async fn one_client_is_served_without_the_shards_task() {
    let (hub, connections, metrics) = hall(3, Bounds { publishes: 0, bytes: 0 });
    for (value, mode) in [Mode::All, Mode::Latest, Mode::Volatile].into_iter().enumerate() {
        hub.publish(message(&metrics, 1, client("1"), mode, value).order()).unwrap();
        hub.publish_wait(message(&metrics, 1, client("nobody"), mode, value).order()).await;
        assert_eq!(connections[1].got.lock().unwrap().pop(), Some(format!("2/b,[\"e\",{value}]")));
    }
    assert!(hub.is_idle());
    let ledger = metrics.ledger().to_string();
    assert_eq!(ledger, "expected 3: delivered 3, replaced 0, volatile 0, slow 0, closed 0");
    let text = metrics.render().unwrap();
    assert!(text.contains(r#"carillon_fanout_seconds_count{namespace="/b"} 0"#), "one copy is no fan-out: {text}");
    assert!(text.contains(r#"carillon_messages_sent_total{event="e",namespace="/b"} 3"#), "{text}");
}

/// Whatever there is to do, and how much of it, the thread is given back after a chunk.
#[tokio::test]
async fn work_between_two_yields_is_bounded() {
    const STEPS: usize = 16;
    let metrics = Arc::new(Metrics::new().unwrap());
    let hub = Hub::new(1, SPACES.len(), ROOMY, STEPS, &metrics);
    let done = Arc::new(AtomicU64::new(0));
    let connections: Vec<Arc<Connection>> =
        (0..500).map(|number| Arc::new(Connection { number, ..Connection::default() })).collect();
    let seats: Vec<Seat> = connections
        .iter()
        .map(|connection| {
            let sink: Arc<dyn Sink> = Arc::new(Client(Arc::clone(connection)));
            let seat = hub.seat(0, &*sink);
            seat.add(connection.number.to_string().into(), sink);
            (0..MAX_ROOMS).for_each(|room| seat.join(format!("{room}").into()));
            seat
        })
        .collect();
    hub.publish(message(&metrics, 0, Selection::default(), Mode::All, 1).order()).unwrap();
    let ack = |seat: &Seat| {
        let done = Arc::clone(&done);
        seat.send(1, move || {
            done.fetch_add(1, Ordering::Relaxed);
        });
    };
    seats.iter().for_each(&ack);
    (0..5_000).for_each(|_| ack(&seats[3]));
    hub.disconnect(0, 0, &Selection::default());
    (0..5_000).for_each(|_| ack(&seats[4]));
    let told = || -> u64 {
        let got = connections.iter().map(|connection| connection.got.lock().unwrap().len() as u64);
        got.sum::<u64>() + done.load(Ordering::Relaxed)
    };
    let mut task = pin!(Arc::clone(&hub.shards[0]).run());
    let (mut before, mut kept) = (0, 0);
    let gone = |turn: usize| turn == 900;
    for turn in 0.. {
        if gone(turn) {
            let rooms = || (0..MAX_ROOMS).map(|room| format!("{room}").into()).collect();
            hub.publish(message(&metrics, 0, Selection::default(), Mode::All, 2).order()).unwrap();
            seats.iter().for_each(|seat| seat.remove(rooms()));
            kept = hub.shards[0].state().table.kept();
            assert_eq!(kept, 1_000, "they are kept until what was published before is done");
        }
        assert!(poll!(task.as_mut()).is_pending());
        let (now, left) = (told(), hub.shards[0].state().table.kept());
        assert!(now - before <= STEPS as u64, "{} steps in turn {turn}", now - before);
        assert!(kept - left <= STEPS, "{} forgotten in turn {turn}", kept - left);
        (before, kept) = (now, left);
        if turn > 900 && hub.is_idle() {
            break;
        }
    }
    assert_eq!(told(), 500 + 500 + 5_000 + 500 + 5_000);
    assert!(hub.shards[0].state().table.is_clean());
    let ledger = metrics.ledger().to_string();
    assert_eq!(ledger, "expected 1000: delivered 500, replaced 0, volatile 0, slow 0, closed 500");
}

/// What is replaced or dropped because the namespace is full is counted, for whom it was published, and whoever joins
/// meanwhile gets what has taken the place.
#[tokio::test]
async fn what_the_hub_replaces_is_counted() {
    let (hub, connections, metrics) = hall(3, Bounds { publishes: 1, bytes: 1 << 20 });
    let latest = |value| hub.publish(message(&metrics, 0, Selection::default(), Mode::Latest, value).order()).unwrap();
    latest(1);
    let late = Arc::new(Connection { number: 50, ..Connection::default() });
    let sink: Arc<dyn Sink> = Arc::new(Client(Arc::clone(&late)));
    let seat = hub.seat(0, &*sink);
    seat.add("late".into(), sink);
    latest(2);
    hub.publish(message(&metrics, 0, Selection::default(), Mode::Volatile, 3).order()).unwrap();
    drained(&hub).await;
    for connection in connections.iter().chain([&late]) {
        assert_eq!(*connection.got.lock().unwrap(), ["2/a,[\"e\",2]"]);
    }
    let ledger = metrics.ledger().to_string();
    assert_eq!(ledger, "expected 11: delivered 4, replaced 3, volatile 4, slow 0, closed 0");
}
