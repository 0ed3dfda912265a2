//! What a connection gets of the runs it has part in, and in which order, one promise at a time.

use super::*;

/// Whatever alternates in the queue, a connection is written to once for all of it.
#[tokio::test]
async fn a_run_joins_whatever_waits() {
    let except = |id: usize| Selection { except: vec![id.to_string()], ..Selection::default() };
    let shapes: [&dyn Fn(usize) -> (Space, Selection); 4] = [
        &|n| (n % 2, Selection::default()),
        &|n| (0, if n % 2 == 0 { room("r") } else { Selection::default() }),
        &|n| (0, except(n % 100)),
        &|n| (n % 2, [Selection::default(), room("r"), except(n % 100), client("7")][n % 4].clone()),
    ];
    for shape in shapes {
        let (hub, connections, metrics) = hall(100, ROOMY);
        for n in 0..200 {
            let (space, selection) = shape(n);
            hub.publish(message(&metrics, space, selection, Mode::All, n).order()).unwrap();
        }
        drained(&hub).await;
        assert!(connections.iter().all(|connection| connection.writes.load(Ordering::Relaxed) == 1));
        assert!(metrics.ledger().is_balanced());
    }
}

/// More selections than a run has classes for are served in several runs, in order.
#[tokio::test]
async fn more_classes_than_a_mask_has_bits_make_several_runs() {
    let (hub, connections, metrics) = hall(40, ROOMY);
    for n in 0..200 {
        // Rooms that nobody is in make each selection another one.
        let selection = Selection { to: vec!["r".to_owned(), format!("empty {n}")], ..Selection::default() };
        hub.publish(message(&metrics, 0, selection, Mode::All, n).order()).unwrap();
    }
    drained(&hub).await;
    let got = connections[0].got.lock().unwrap().clone();
    let all: Vec<String> = (0..200).map(|n| format!("2/a,[\"e\",{n}]")).collect();
    assert_eq!(got, all);
    assert_eq!(connections[0].writes.load(Ordering::Relaxed), 200_u64.div_ceil(64));
    assert!(connections[1].got.lock().unwrap().is_empty());
}

/// What is sent to one client in the middle of its plugin's publishes keeps its place, and costs nobody else a write.
#[tokio::test]
async fn an_emit_has_its_place_within_a_run() {
    let (hub, connections, metrics) = hall(40, ROOMY);
    let seat = {
        let sink: Arc<dyn Sink> = Arc::new(Client(Arc::clone(&connections[7])));
        let seat = hub.seat(0, &*sink);
        seat.add("again".into(), sink);
        seat.remove(Vec::new());
        seat
    };
    let publish = |value| hub.publish(message(&metrics, 0, Selection::default(), Mode::All, value).order()).unwrap();
    publish(1);
    for _ in 0..200 {
        says(&seat, &connections[7], "emit");
    }
    publish(2);
    says(&seat, &connections[7], "last");
    drained(&hub).await;
    let mut got = connections[7].got.lock().unwrap().clone();
    assert_eq!(got.iter().filter(|text| *text == "emit").count(), 200);
    got.dedup();
    assert_eq!(got, ["2/a,[\"e\",1]", "emit", "2/a,[\"e\",2]", "last"]);
    let writes: Vec<u64> = connections.iter().map(|connection| connection.writes.load(Ordering::Relaxed)).collect();
    assert!(writes.iter().enumerate().all(|(at, writes)| *writes == if at == 7 { 2 } else { 1 }), "{writes:?}");
    assert_eq!(hub.waiting(0), Used::default());
}

/// Who has more to be sent in between than fits into a chunk gets the rest of the run, whatever is emitted meanwhile to
/// others that are served in the same chunk.
#[tokio::test]
async fn what_is_emitted_during_a_chunk_costs_nobody_the_rest() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let hub = Hub::new(1, SPACES.len(), ROOMY, 2, &metrics);
    let (connections, seats) = seated(&hub, 2);
    let publish = |value| hub.publish(message(&metrics, 0, Selection::default(), Mode::All, value).order()).unwrap();
    publish(1);
    for text in ["one", "two"] {
        says(&seats[1], &connections[1], text);
    }
    publish(2);
    for text in ["three", "four"] {
        let (seat, connection) = (Arc::clone(&seats[0]), Arc::clone(&connections[0]));
        let emit = Box::new(move || drop(says(&seat, &connection, text)));
        connections[0].meanwhile.lock().unwrap().push(emit);
    }
    drained(&hub).await;
    let (one, two) = ("2/a,[\"e\",1]", "2/a,[\"e\",2]");
    assert_eq!(*connections[0].got.lock().unwrap(), [one, two, "three", "four"]);
    assert_eq!(*connections[1].got.lock().unwrap(), [one, "one", "two", two]);
}

/// A newer publish takes the place of an older one, unless others have been told something else about it since.
#[tokio::test]
async fn the_latest_ends_with_the_newest() {
    let (hub, connections, metrics) = hall(4, Bounds { publishes: 3, bytes: 1 << 20 });
    let publish = |value, selection| hub.publish(message(&metrics, 0, selection, Mode::Latest, value).order()).unwrap();
    publish(1, Selection::default());
    publish(2, room("r"));
    publish(3, Selection { except: vec!["0".to_owned()], ..Selection::default() });
    // Full from here.
    publish(4, Selection::default());
    publish(5, Selection::default());
    drained(&hub).await;
    let got = |at: usize| connections[at].got.lock().unwrap().join(" ");
    let event = |value| format!("2/a,[\"e\",{value}]");
    assert_eq!(got(0), [event(2), event(5)].join(" "));
    assert_eq!(got(1), [event(3), event(5)].join(" "));
    assert_eq!(got(2), [event(2), event(3), event(5)].join(" "));
    let ledger = metrics.ledger().to_string();
    assert_eq!(ledger, "expected 17: delivered 9, replaced 8, volatile 0, slow 0, closed 0");
}

/// One who has left and come back gets nothing that was published to its earlier life.
#[tokio::test]
async fn a_second_life_gets_nothing_of_the_first() {
    let (hub, connections, metrics) = hall(30, ROOMY);
    let publish = |value| hub.publish(message(&metrics, 0, Selection::default(), Mode::All, value).order()).unwrap();
    let sink: Arc<dyn Sink> = Arc::new(Client(Arc::new(Connection { number: 99, ..Connection::default() })));
    let lives: Vec<Seat> = (0..2).map(|_| hub.seat(0, &*sink)).collect();
    lives[0].add("first".into(), Arc::clone(&sink));
    publish(1);
    lives[0].remove(Vec::new());
    publish(2);
    lives[1].add("second".into(), Arc::clone(&sink));
    publish(3);
    drained(&hub).await;
    assert_eq!(connections[0].got.lock().unwrap().len(), 3);
    let ledger = metrics.ledger().to_string();
    assert_eq!(ledger, "expected 92: delivered 91, replaced 0, volatile 0, slow 0, closed 1");
}
