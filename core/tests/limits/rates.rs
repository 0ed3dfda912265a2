//! What becomes of what is too much: answers, ends, and who counts together.

use std::sync::Arc;
use std::time::Duration;

use carillon_core::lifecycle::BootError;
use carillon_core::peer::Peer;
use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::router::Session;
use carillon_core::sink::Transport;
use carillon_core::testing::{Handshake, Harness, RecordingSink};
use serde_json::{Value, json};

use super::{Desk, Hall, desk};

const EVENTS: [(&str, &str); 2] = [("limits.connection_events_per_s", "1"), ("limits.connection_events_burst", "3")];

fn limited(harness: &Harness, scope: &str) -> f64 {
    harness.metric(&format!("carillon_rate_limited_total{{scope=\"{scope}\"}}"))
}

/// Over a limit the ack says so, and after how long it is over: to the millisecond.
#[tokio::test(start_paused = true)]
async fn an_ack_says_when_to_try_again() {
    let harness = desk(&EVENTS).await;
    let mut client = harness.connect("/desk").await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.call("say", Value::Null).await["ok"], true);
    }
    let refused = client.call("say", Value::Null).await;
    let error = json!({
        "code": "rate_limited",
        "message": "this connection sends too many events",
        "retryable": true,
        "retry_after_ms": 1_000,
    });
    assert_eq!(refused, json!({ "ok": false, "error": error }));
    tokio::time::advance(Duration::from_millis(998)).await;
    assert_eq!(client.call("say", Value::Null).await["error"]["retry_after_ms"], 2);
    tokio::time::advance(Duration::from_millis(2)).await;
    assert_eq!(client.call("say", Value::Null).await["ok"], true);
    assert_eq!(limited(&harness, "connection_events"), 2.0);
    let outcome = r#"carillon_handler_outcomes_total{event="say",namespace="/desk",outcome="rate_limited"}"#;
    assert_eq!(harness.metric(outcome), 2.0);
}

/// Without an ack the event `error` names the event that was refused.
#[tokio::test(start_paused = true)]
async fn without_an_ack_the_error_names_the_event() {
    let harness = desk(&EVENTS).await;
    let client = harness.connect("/desk").await.unwrap();
    (0..4).for_each(|_| client.emit("say", &Value::Null));
    let error = client.expect("error").await;
    assert_eq!((&error["event"], &error["code"]), (&json!("say"), &json!("rate_limited")), "{error}");
    assert_eq!(error["retry_after_ms"], 1_000);
}

/// A client that waits when it is told to stays; one that goes on is closed, with its number of refusals in the settings.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_on_is_closed() {
    let refusals = [("limits.refusals_per_s", "1"), ("limits.refusals_burst", "5")];
    let harness = desk(&[&EVENTS[..], &refusals].concat()).await;
    let (patient, impatient) = (harness.connect("/desk").await.unwrap(), harness.connect("/desk").await.unwrap());
    for _ in 0..20 {
        (0..2).for_each(|_| patient.emit("say", &Value::Null));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(patient.sink().closed(), None);
    (0..8).for_each(|_| impatient.emit("say", &Value::Null));
    assert_eq!(impatient.sink().closed(), None, "3 events and 5 refusals");
    impatient.emit("say", &Value::Null);
    assert_eq!(impatient.sink().closed(), Some(Reason::RateLimited));
    let forever = desk(&[&EVENTS[..], &[("limits.refusals_per_s", "0")]].concat()).await;
    let stubborn = forever.connect("/desk").await.unwrap();
    (0..5_000).for_each(|_| stubborn.emit("say", &Value::Null));
    assert_eq!(stubborn.sink().closed(), None);
}

/// Bytes push back first: the client is not read from until it may send again. What comes all the same is refused.
#[tokio::test(start_paused = true)]
async fn bytes_push_back_before_they_are_refused() {
    let bytes = [("limits.connection_bytes_per_s", "1000"), ("limits.connection_bytes_burst", "2000")];
    let harness = desk(&bytes).await;
    let mut client = harness.connect("/desk").await.unwrap();
    let text = json!("x".repeat(4_990));
    assert_eq!(client.call("say", text.clone()).await["ok"], true, "it has been read already");
    assert_eq!(client.sink().pauses(), [true]);
    let refused = client.call("say", text.clone()).await;
    assert_eq!(refused["error"]["code"], "rate_limited", "{refused}");
    assert_eq!(refused["error"]["message"], "this connection sends too many bytes");
    tokio::time::sleep(Duration::from_millis(3_000)).await;
    assert_eq!(client.sink().pauses(), [true], "5,000 bytes take 3 s more than there were");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(client.sink().pauses(), [true, false]);
    assert_eq!(client.call("say", text).await["ok"], true);
    assert_eq!(client.sink().pauses(), [true, false, true]);
    assert_eq!(limited(&harness, "connection_bytes"), 1.0);
}

/// A client that is paused for what it has sent is not read from because its queue has become empty, nor the other way round.
#[tokio::test(start_paused = true)]
async fn two_reasons_to_pause_are_two() {
    let settings = [
        ("limits.connection_bytes_per_s", "1000"),
        ("limits.connection_bytes_burst", "200"),
        ("router.queue_events", "2"),
    ];
    let harness = desk(&settings).await;
    let client = harness.connect("/desk").await.unwrap();
    client.emit("say", &Value::Null);
    client.emit("say", &json!("x".repeat(490)));
    assert_eq!(client.sink().pauses(), [true], "for its bytes; the queue is full behind it");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(client.sink().pauses(), [true], "the queue is empty");
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(client.sink().pauses(), [true, false]);
}

/// A session with several namespaces, as an engine makes it.
async fn enter(harness: &Harness, namespace: &str, handshake: &Arc<Handshake>) -> (Session, Arc<RecordingSink>) {
    let sink = Arc::new(RecordingSink::default());
    let peer = Peer::of(handshake, Transport::WebSocket, None);
    let session = harness.app().router().admit(namespace, peer, sink.clone()).await.unwrap();
    session.opened();
    (session, sink)
}

/// Not to be evaded by many namespaces on one connection, nor by leaving and coming back on it.
#[tokio::test(start_paused = true)]
async fn namespaces_of_one_connection_count_together() {
    let harness = desk(&EVENTS).await;
    let handshake = Arc::new(Handshake::new(([10, 0, 0, 1], 0).into(), false, ""));
    let (desk, told) = enter(&harness, "/desk", &handshake).await;
    let (hall, _) = enter(&harness, "/hall", &handshake).await;
    desk.event(r#"["say"]"#.into(), Vec::new(), None);
    hall.event(r#"["say"]"#.into(), Vec::new(), None);
    desk.event(r#"["say"]"#.into(), Vec::new(), None);
    assert_eq!(limited(&harness, "connection_events"), 0.0);
    hall.event(r#"["say"]"#.into(), Vec::new(), None);
    desk.event(r#"["say"]"#.into(), Vec::new(), None);
    assert_eq!(limited(&harness, "connection_events"), 2.0);
    desk.closed(Reason::ClientDisconnect);
    let (again, _) = enter(&harness, "/desk", &handshake).await;
    again.event(r#"["say"]"#.into(), Vec::new(), None);
    assert_eq!(limited(&harness, "connection_events"), 3.0);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(told.take().iter().any(|item| item.json().contains("rate_limited")));
}

/// Not to be evaded by reconnecting, nor by ten connections: a subject has what it has.
#[tokio::test(start_paused = true)]
async fn connections_of_one_subject_count_together() {
    let harness = desk(&[("limits.subject_events_per_s", "1"), ("limits.subject_events_burst", "3")]).await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        let mut client = harness.connect_as("/desk", json!({"sub": "ann"})).await.unwrap();
        answers.push(client.call("say", Value::Null).await["ok"] == true);
        client.close(Reason::TransportClose);
    }
    assert_eq!(answers.iter().filter(|ok| **ok).count(), 3);
    assert_eq!(limited(&harness, "subject_events"), 7.0);
    let mut bob = harness.connect_as("/desk", json!({"sub": "bob"})).await.unwrap();
    assert_eq!(bob.call("say", Value::Null).await["ok"], true, "others have their own");
    let mut nobody = harness.connect("/desk").await.unwrap();
    for _ in 0..10 {
        assert_eq!(nobody.call("say", Value::Null).await["ok"], true, "nobody has no subject");
    }
}

/// An event has the limit that it is declared with, whatever its name is written like, unless the settings say otherwise; and
/// it counts for nothing else.
#[tokio::test(start_paused = true)]
async fn an_event_has_a_limit_of_its_own() {
    let harness = desk(&EVENTS).await;
    let mut client = harness.connect("/desk").await.unwrap();
    for ok in [true, true, false] {
        assert_eq!(client.call("search", Value::Null).await["ok"], ok);
    }
    let handshake = Arc::new(Handshake::new(([10, 0, 0, 1], 0).into(), false, ""));
    let (other, _) = enter(&harness, "/desk", &handshake).await;
    for spelling in [r#"["search"]"#, r#"["\u0073earch"]"#, r#"[ "sea\u0072ch" , 1]"#, r#"["s\u0065arch"]"#] {
        other.event(spelling.into(), Vec::new(), None);
    }
    assert_eq!(limited(&harness, "event"), 3.0);
    for ok in [true, true, true, false] {
        assert_eq!(client.call("say", Value::Null).await["ok"], ok, "three as ever");
    }
    for _ in 0..100 {
        assert_eq!(client.call("move", Value::Null).await["ok"], true, "declared without a limit");
    }
    let mut ann = harness.connect_as("/desk", json!({"sub": "ann"})).await.unwrap();
    let mut again = harness.connect_as("/desk", json!({"sub": "ann"})).await.unwrap();
    let mut call = async |first: bool| {
        let client = if first { &mut ann } else { &mut again };
        client.call("search", Value::Null).await["ok"] == true
    };
    assert_eq!([call(true).await, call(false).await, call(true).await, call(false).await], [true, true, false, false]);
}

/// The settings win over the plugin, and a limit for what is not there is a mistake.
#[tokio::test(start_paused = true)]
async fn the_settings_say_what_an_event_may() {
    let row = |event: &str, per_s: u32| {
        format!("{{ namespace = \"/desk\", event = \"{event}\", per_s = {per_s}, burst = 1 }}")
    };
    let rows = format!("[{}, {}]", row("search", 0), row("say", 1));
    let harness = desk(&[("limits.events", &rows)]).await;
    let mut client = harness.connect("/desk").await.unwrap();
    for _ in 0..10 {
        assert_eq!(client.call("search", Value::Null).await["ok"], true);
    }
    assert_eq!(client.call("say", Value::Null).await["ok"], true);
    assert_eq!(client.call("say", Value::Null).await["ok"], false);
    let wrong = format!("[{}, {{ namespace = \"/dekc\", event = \"x\", per_s = 1, burst = 1 }}]", row("serach", 1));
    let error = Harness::boot(&Registry::of::<Desk>(), &[("limits.events", &wrong)]).await.unwrap_err();
    let BootError::Config(text) = error else { panic!("{error}") };
    assert_eq!(
        text,
        "limits.events[0].event: /desk has no event \"serach\" (did you mean `search`?) [flag a test]\n\
         limits.events[1].namespace: no plugin serves \"/dekc\" (there are: `/desk`) [flag a test]"
    );
}

/// Whoever has failed too often is not asked again for a while, wherever in its network it is; what fails for a reason of
/// ours counts for nobody, and neither does this machine.
#[tokio::test(start_paused = true)]
async fn failed_connects_are_limited_by_address() {
    let settings = [("limits.failed_connects_per_s", "1"), ("limits.failed_connects_burst", "3")];
    let harness = desk(&settings).await;
    let connect = async |address: &str, auth: &str| {
        let handshake = Handshake::new((address.parse::<std::net::IpAddr>().unwrap(), 0).into(), false, "");
        let client = harness.connect_from("/desk", handshake, Transport::Polling, Some(json!(auth))).await;
        client.map_err(|error| (error.code().as_str(), error.retry_after_ms()))
    };
    let (forbidden, limited_for) = (("forbidden", None), |wait| ("rate_limited", Some(wait)));
    for last in 1..=3 {
        let failed = connect(&format!("2001:db8::{last}"), "wrong").await;
        assert_eq!(failed.err(), Some(forbidden));
    }
    assert_eq!(connect("2001:db8::4", "right").await.err(), Some(limited_for(1_000)), "nobody is asked");
    assert!(connect("2001:db8:0:1::1", "right").await.is_ok(), "another /64");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(connect("2001:db8::4", "right").await.is_ok());
    for _ in 0..10 {
        assert_eq!(connect("10.0.0.1", "broken").await.err(), Some(("internal", None)));
        assert_eq!(connect("127.0.0.1", "wrong").await.err(), Some(forbidden));
    }
    assert_eq!(limited(&harness, "failed_connects"), 1.0);
    assert_eq!(harness.metric(r#"carillon_connects_refused_total{namespace="/desk"}"#), 24.0);
}

/// Zeros everywhere: nothing is counted, and nothing is kept for it.
#[tokio::test(start_paused = true)]
async fn zeros_are_no_limits() {
    let names = ["connection_events", "connection_bytes", "subject_events", "subject_bytes", "failed_connects"];
    let settings: Vec<_> = names.iter().map(|name| format!("limits.{name}_per_s")).collect();
    let settings: Vec<_> = settings.iter().map(|name| (&**name, "0")).collect();
    let harness = Harness::boot(&Registry::of::<Hall>(), &settings).await.unwrap();
    let client = harness.connect_as("/hall", json!({"sub": "ann"})).await.unwrap();
    (0..50_000).for_each(|_| client.emit("say", &Value::Null));
    assert_eq!(names.iter().map(|name| limited(&harness, name)).sum::<f64>(), 0.0);
}

/// A token may say how much its subject may send, more or less than others.
#[tokio::test(start_paused = true)]
async fn a_token_says_what_its_subject_may() {
    let harness = desk(&[("limits.subject_events_per_s", "1"), ("limits.subject_events_burst", "3")]).await;
    let through = async |claims: Value| {
        let mut client = harness.connect_as("/desk", claims).await.unwrap();
        let mut count = 0;
        for _ in 0..10 {
            count += usize::from(client.call("say", Value::Null).await["ok"] == true);
        }
        count
    };
    assert_eq!(through(json!({"sub": "ann"})).await, 3);
    assert_eq!(through(json!({"sub": "bob", "limits": {"events_per_s": 1, "events_burst": 5}})).await, 5);
    assert_eq!(
        through(json!({"sub": "bob", "limits": {"events_per_s": 1, "events_burst": 5}})).await,
        0,
        "the same bob"
    );
    assert_eq!(through(json!({"sub": "cid", "limits": {"events_per_s": 2}})).await, 2, "a burst of a second");
    assert_eq!(through(json!({"sub": "dan", "limits": {"events_per_s": 0}})).await, 10, "no limit");
    assert_eq!(through(json!({"sub": "eve", "limits": {"bytes_per_s": 0}})).await, 3, "of events it says nothing");
    let mut fay = harness.connect_as("/desk", json!({"sub": "fay", "limits": {"bytes_per_s": 1000}})).await.unwrap();
    assert_eq!(fay.call("say", json!("x".repeat(1_500))).await["ok"], true);
    assert_eq!(fay.sink().pauses(), [true]);
}
