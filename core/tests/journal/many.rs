//! Two nodes, with the journal on the bus they share.

use std::sync::atomic::Ordering;

use carillon_core::journal::Bounds;
use serde_json::json;

use super::bus::{end_subscriptions, flaws};
use super::*;

const BOUNDS: Bounds = Bounds { events: 100, age: Duration::from_secs(60), bytes: 1 << 20 };

async fn pair(bus: &str) -> (Harness, Harness) {
    let url = format!("shared://{bus}");
    (boot(&[("bus.url", &url)]).await, boot(&[("bus.url", &url)]).await)
}

/// Whoever publishes, both nodes deliver in the order of the journal, each publish once.
#[tokio::test(start_paused = true)]
async fn all_nodes_have_one_order() {
    let (a, b) = pair("order").await;
    let mut speakers = [a.connect("/chat").await.unwrap(), b.connect("/chat").await.unwrap()];
    let listeners = [a.connect("/chat").await.unwrap(), b.connect("/chat").await.unwrap()];
    for round in 0..20 {
        for (at, speaker) in speakers.iter().enumerate() {
            speaker.send("say", &json!({"text": format!("{at} {round}")}).to_string(), Vec::new(), None);
        }
    }
    settle().await;
    let [here, there] = listeners.map(|listener| got(&listener));
    assert_eq!(here.len(), 40);
    assert_eq!(here, there);
    let past = speakers[1].call("past", json!(null)).await;
    let kept: Vec<String> = texts(&past["data"]).0.iter().map(|text| format!(r#"["said","{text}"]"#)).collect();
    assert_eq!(kept, here);
    for node in [&a, &b] {
        assert_eq!(counted(node, "appended"), 20.0);
    }
}

/// What did not come over the bus is fetched from the journal, in its place.
#[tokio::test(start_paused = true)]
async fn what_is_missed_is_fetched() {
    let (a, b) = pair("missed").await;
    let mut speaker = a.connect("/chat").await.unwrap();
    let listener = b.connect("/chat").await.unwrap();
    say(&mut speaker, json!({"text": "1"})).await;
    settle().await;
    flaws("missed").deaf.store(true, Ordering::Relaxed);
    for text in ["2", "3"] {
        say(&mut speaker, json!({"text": text})).await;
    }
    settle().await;
    assert_eq!(got(&listener).len(), 1, "nobody was told");
    flaws("missed").deaf.store(false, Ordering::Relaxed);
    say(&mut speaker, json!({"text": "4"})).await;
    settle().await;
    assert_eq!(got(&listener), [r#"["said","2"]"#, r#"["said","3"]"#, r#"["said","4"]"#]);
    assert_eq!(b.metric(r#"carillon_journal_gaps_total{namespace="/chat"}"#), 0.0);
}

/// What is kept no longer when a node comes to fetch it is counted.
#[tokio::test(start_paused = true)]
async fn what_can_be_fetched_no_more_is_counted() {
    let settings = [("bus.url", "shared://gaps"), ("journal.max_events", "2")];
    let (a, b) = (boot(&settings).await, boot(&settings).await);
    let mut speaker = a.connect("/chat").await.unwrap();
    let listener = b.connect("/chat").await.unwrap();
    say(&mut speaker, json!({"text": "1"})).await;
    settle().await;
    flaws("gaps").deaf.store(true, Ordering::Relaxed);
    for text in ["2", "3", "4"] {
        say(&mut speaker, json!({"text": text})).await;
    }
    flaws("gaps").deaf.store(false, Ordering::Relaxed);
    say(&mut speaker, json!({"text": "5"})).await;
    settle().await;
    assert_eq!(got(&listener), [r#"["said","1"]"#, r#"["said","4"]"#, r#"["said","5"]"#]);
    assert_eq!(b.metric(r#"carillon_journal_gaps_total{namespace="/chat"}"#), 2.0);
}

/// So it is when nothing at all is kept any more.
#[tokio::test(start_paused = true)]
async fn what_is_gone_is_counted_also_when_nothing_follows_it() {
    let settings = [("bus.url", "shared://forgotten"), ("journal.max_age_s", "10")];
    let (a, b) = (boot(&settings).await, boot(&settings).await);
    let mut speaker = a.connect("/chat").await.unwrap();
    say(&mut speaker, json!({"text": "1"})).await;
    settle().await;
    flaws("forgotten").deaf.store(true, Ordering::Relaxed);
    for text in ["2", "3"] {
        say(&mut speaker, json!({"text": text})).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    end_subscriptions("forgotten").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(b.metric(r#"carillon_journal_gaps_total{namespace="/chat"}"#), 2.0);
    // And once.
    end_subscriptions("forgotten").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(b.metric(r#"carillon_journal_gaps_total{namespace="/chat"}"#), 2.0);
}

/// Without the journal publishes go on, to all nodes, and are counted; nobody gets across that afterwards.
#[tokio::test(start_paused = true)]
async fn publishes_go_on_without_the_journal_and_an_epoch_ends() {
    let settings = [("bus.url", "shared://away"), ("journal.hold_ms", "0")];
    let (a, b) = (boot(&settings).await, boot(&settings).await);
    let mut speaker = a.connect("/chat").await.unwrap();
    let listener = b.connect("/chat").await.unwrap();
    say(&mut speaker, json!({"text": "1"})).await;
    settle().await;
    let before = speaker.call("past", json!(null)).await["data"]["offset"].as_str().unwrap().to_owned();
    flaws("away").away.store(true, Ordering::Relaxed);
    say(&mut speaker, json!({"text": "2"})).await;
    settle().await;
    assert_eq!(speaker.call("past", json!(null)).await["error"]["code"], "unavailable");
    flaws("away").away.store(false, Ordering::Relaxed);
    say(&mut speaker, json!({"text": "3"})).await;
    settle().await;
    assert_eq!(got(&listener), [r#"["said","1"]"#, r#"["said","2"]"#, r#"["said","3"]"#]);
    assert_eq!(got(&speaker), [r#"["said","1"]"#, r#"["said","2"]"#, r#"["said","3"]"#]);
    assert_eq!((counted(&a, "appended"), counted(&a, "apart"), counted(&a, "lost")), (2.0, 1.0, 0.0));
    let past = speaker.call("past", json!(before)).await;
    assert_eq!(texts(&past["data"]), (vec!["3"], false), "something is missing in between");
}

/// A journal that is away for a moment delays publishes, in their order, and nobody is told anything of it.
#[tokio::test(start_paused = true)]
async fn publishes_wait_for_a_journal_that_comes_back() {
    let (a, b) = pair("moment").await;
    let mut speaker = a.connect("/chat").await.unwrap();
    let listener = b.connect("/chat").await.unwrap();
    say(&mut speaker, json!({"text": "1"})).await;
    settle().await;
    let before = speaker.call("past", json!(null)).await["data"]["offset"].as_str().unwrap().to_owned();
    flaws("moment").away.store(true, Ordering::Relaxed);
    for text in ["2", "3"] {
        say(&mut speaker, json!({"text": text})).await;
        tokio::time::sleep(Duration::from_millis(2_400)).await;
    }
    assert_eq!(got(&listener), [r#"["said","1"]"#], "they wait");
    flaws("moment").away.store(false, Ordering::Relaxed);
    say(&mut speaker, json!({"text": "4"})).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(got(&listener), [r#"["said","2"]"#, r#"["said","3"]"#, r#"["said","4"]"#]);
    assert_eq!((counted(&a, "appended"), counted(&a, "apart")), (4.0, 0.0));
    assert_eq!(texts(&speaker.call("past", json!(before)).await["data"]), (vec!["2", "3", "4"], true));
}

/// They wait no longer than is set, and those that are published later do not wait at all until the journal is back.
#[tokio::test(start_paused = true)]
async fn publishes_do_not_wait_for_ever() {
    let (a, b) = pair("long").await;
    let mut speaker = a.connect("/chat").await.unwrap();
    let listener = b.connect("/chat").await.unwrap();
    settle().await;
    flaws("long").away.store(true, Ordering::Relaxed);
    say(&mut speaker, json!({"text": "1"})).await;
    tokio::time::sleep(Duration::from_millis(4_900)).await;
    assert_eq!(got(&listener).len(), 0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(got(&listener), [r#"["said","1"]"#]);
    say(&mut speaker, json!({"text": "2"})).await;
    settle().await;
    assert_eq!(got(&listener), [r#"["said","2"]"#]);
    assert_eq!((counted(&a, "appended"), counted(&a, "apart")), (0.0, 2.0));
}

/// Nor do so many wait that there would be no room for others.
#[tokio::test(start_paused = true)]
async fn not_all_that_there_is_room_for_waits() {
    let (a, b) = pair("many").await;
    let mut speaker = a.connect("/chat").await.unwrap();
    let listener = b.connect("/chat").await.unwrap();
    settle().await;
    flaws("many").away.store(true, Ordering::Relaxed);
    for n in 0..6_000 {
        say(&mut speaker, json!({"text": format!("{n}")})).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let heard = got(&listener).len();
    assert!((500..6_000).contains(&heard), "{heard} did not wait");
    flaws("many").away.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(heard + got(&listener).len(), 6_000);
    assert_eq!(counted(&a, "appended") + counted(&a, "apart"), 6_000.0);
    assert!(counted(&a, "appended") > 1_000.0);
}

/// A publish of which nobody knows whether it was appended is delivered once, if it was; and nobody gets across it.
#[tokio::test(start_paused = true)]
async fn what_may_have_been_appended_is_not_delivered_twice() {
    let (a, b) = pair("mute").await;
    let mut speaker = a.connect("/chat").await.unwrap();
    let listener = b.connect("/chat").await.unwrap();
    say(&mut speaker, json!({"text": "1"})).await;
    settle().await;
    let before = speaker.call("past", json!(null)).await["data"]["offset"].as_str().unwrap().to_owned();
    flaws("mute").mute.store(true, Ordering::Relaxed);
    say(&mut speaker, json!({"text": "2"})).await;
    settle().await;
    flaws("mute").mute.store(false, Ordering::Relaxed);
    say(&mut speaker, json!({"text": "3"})).await;
    settle().await;
    assert_eq!(got(&listener), [r#"["said","1"]"#, r#"["said","2"]"#, r#"["said","3"]"#]);
    assert_eq!(counted(&a, "lost"), 1.0);
    assert!(!texts(&speaker.call("past", json!(before)).await["data"]).1);
}

/// What goes missing while an epoch begins may have gone missing in that one: another begins after it.
#[tokio::test(start_paused = true)]
async fn what_goes_missing_while_an_epoch_begins_ends_that_one_too() {
    let (a, _b) = pair("renewing").await;
    let (bus, flaws) = (a.app().bus(), flaws("renewing"));
    let mut speaker = a.connect("/chat").await.unwrap();
    say(&mut speaker, json!({"text": "1"})).await;
    settle().await;
    let newest = async || bus.read("/chat", None, 1, BOUNDS).await.unwrap();
    let first = newest().await.entries.remove(0);
    // Numbers that go back are those of a journal that has forgotten something.
    let forget = async || {
        bus.publish(&bus.journal_channel("/chat"), first.sealed()).await.unwrap();
        settle().await;
    };
    forget().await;
    let renewing = flaws.renewing.lock().await;
    say(&mut speaker, json!({"text": "2"})).await;
    settle().await;
    let second = newest().await.last;
    assert_ne!(second.epoch(), first.offset.epoch());
    forget().await;
    drop(renewing);
    settle().await;
    assert_eq!(newest().await.last.number(), 2);
    say(&mut speaker, json!({"text": "3"})).await;
    settle().await;
    let third = newest().await.last;
    assert_eq!(third.number(), 3);
    assert_ne!(third.epoch(), second.epoch());
}

/// Nonsense on the channel and in the journal is counted, and stops nobody.
#[tokio::test(start_paused = true)]
async fn nonsense_is_counted() {
    let (a, b) = pair("nonsense").await;
    let mut speaker = a.connect("/chat").await.unwrap();
    let bus = b.app().bus();
    bus.publish(&bus.journal_channel("/chat"), Bytes::from_static(b"nonsense")).await.unwrap();
    assert!(bus.append("/chat", &[Bytes::from_static(b"nonsense")], BOUNDS, None).await[0].is_ok());
    settle().await;
    say(&mut speaker, json!({"text": "1"})).await;
    settle().await;
    assert_eq!(got(&speaker), [r#"["said","1"]"#]);
    assert_eq!(counted(&a, "malformed"), 2.0);
    let past = speaker.call("past", json!(null)).await;
    assert_eq!(texts(&past["data"]), (vec!["1"], true));
}

/// What waits for the journal when a node stops leaves all the same, in the time it has for that; what cannot is counted.
#[tokio::test(start_paused = true)]
async fn what_waits_when_a_node_stops_leaves_or_is_counted() {
    for (bus, comes_back) in [("stops", true), ("stops-away", false)] {
        let (a, b) = pair(bus).await;
        let speaker = a.connect("/chat").await.unwrap();
        let flaws = flaws(bus);
        let away = flaws.appending.lock().await;
        for n in 0..600 {
            speaker.send("say", &json!({"text": n.to_string()}).to_string(), Vec::new(), None);
        }
        settle().await;
        let comes_back = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if comes_back {
                drop(away);
                return None;
            }
            Some(away)
        };
        let (_, away) = tokio::join!(a.app().shutdown(), comes_back);
        let kept = b.app().bus().read("/chat", None, 1, BOUNDS).await.unwrap().last.number();
        let expected = if away.is_none() { (600, [600.0, 0.0]) } else { (0, [0.0, 600.0]) };
        assert_eq!((kept, ["appended", "lost"].map(|result| counted(&a, result))), expected, "{bus}");
    }
}
