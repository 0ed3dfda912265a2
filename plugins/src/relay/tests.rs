//! The relay as clients and publishers see it.

use bytes::Bytes;
use carillon_core::lifecycle::BootError;
use carillon_core::registry::Registry;
use carillon_core::testing::{Harness, TestClient};

use super::*;
use crate::cluster::{ALERTS, HEALTH, METRICS};
use crate::testing::{client, quiet, settle};

async fn publish(harness: &Harness, channel: &str, message: impl AsRef<[u8]>) {
    harness.app().bus().publish(channel, Bytes::copy_from_slice(message.as_ref())).await.unwrap();
    settle().await;
}

/// The events a client got, to the byte.
fn received(client: &TestClient) -> Vec<String> {
    client.sink().take().iter().map(|item| item.json().to_string()).collect()
}

fn count(harness: &Harness, channel: &str, result: &str) -> f64 {
    harness.metric(&format!(r#"carillon_relay_messages_total{{channel="{channel}",result="{result}"}}"#))
}

/// The text of the problems these rows have.
async fn problems(rows: &str) -> String {
    match Harness::boot(&Registry::of::<Relay>(), &[("plugins.relay.rows", rows)]).await {
        Err(BootError::Config(text)) => text,
        Err(error) => panic!("{error}"),
        Ok(_) => String::new(),
    }
}

/// A client is told its public id.
#[tokio::test(start_paused = true)]
async fn clients_are_greeted() {
    let harness = quiet(&[]).await;
    let client = harness.connect("/").await.unwrap();
    let greeting = client.expect("connection_confirmed").await;
    assert_eq!(greeting["sid"], client.id());
    assert!(greeting["timestamp"].as_str().unwrap().ends_with('Z'), "{greeting}");
    assert_eq!(greeting.as_object().unwrap().len(), 2);
}

/// The default table: every channel, under its names, in its namespaces, and nowhere else.
#[tokio::test(start_paused = true)]
async fn every_channel_has_its_events() {
    let harness = quiet(&[]).await;
    let clients =
        [client(&harness, "/").await, client(&harness, "/health").await, client(&harness, "/monitoring").await];
    for (channel, expected) in [
        (METRICS, ["redis_cluster_metrics", "", "cluster_metrics"]),
        (HEALTH, ["redis_cluster_health", "health_update", ""]),
        (ALERTS, ["redis_cluster_alerts", "", "alerts_update"]),
        ("celery:metrics", ["redis_celery_metrics", "", ""]),
        ("cluster:other", ["", "", ""]),
    ] {
        publish(&harness, channel, "1").await;
        for (client, event) in clients.iter().zip(expected) {
            let expected = if event.is_empty() { Vec::new() } else { vec![format!("[\"{event}\",1]")] };
            assert_eq!(received(client), expected, "{channel}");
        }
    }
}

/// JSON arrives as it was published, `null` as no argument, and everything else as text.
#[tokio::test(start_paused = true)]
async fn messages_arrive_to_the_byte() {
    let harness = quiet(&[]).await;
    let client = client(&harness, "/").await;
    let long = format!("[{}1]", "1,".repeat(10_000));
    for (message, argument) in [
        (&br#"{"a":1,"b":[1,2],"c":1.50,"a":1e400}"#[..], Some(r#"{"a":1,"b":[1,2],"c":1.50,"a":1e400}"#)),
        ("{\"é\": \"ü\\u00fc\\/\"}".as_bytes(), Some("{\"é\": \"ü\\u00fc\\/\"}")),
        (br#"{"_placeholder":true,"num":0}"#, Some(r#"{"_placeholder":true,"num":0}"#)),
        (b"[1, 2]", Some("[1, 2]")),
        (b"42", Some("42")),
        (b" \t\r\n-0.0\n", Some("-0.0")),
        (b"\"text\"", Some("\"text\"")),
        (b"null", None),
        (b" null\n", None),
        (long.as_bytes(), Some(&long)),
        (b"not json", Some(r#"{"message":"not json"}"#)),
        (b" two\n\"lines\" ", Some(r#"{"message":" two\n\"lines\" "}"#)),
        (b"", Some(r#"{"message":""}"#)),
        (b"1 2", Some(r#"{"message":"1 2"}"#)),
        (b"NaN", Some(r#"{"message":"NaN"}"#)),
        (b"\x0cnull", Some(r#"{"message":"\fnull"}"#)),
        (b"caf\xc3\xa9 \xff\xfe\xe2\x82ole", Some("{\"message\":\"café ole\"}")),
        (b"{\"a\":\"\xffb\"}", Some(r#"{"a":"b"}"#)),
    ] {
        publish(&harness, METRICS, message).await;
        let expected = argument.map_or_else(
            || "[\"redis_cluster_metrics\"]".to_owned(),
            |argument| format!("[\"redis_cluster_metrics\",{argument}]"),
        );
        assert_eq!(received(&client), [expected], "{}", String::from_utf8_lossy(message));
    }
    assert_eq!((count(&harness, METRICS, "relayed"), count(&harness, METRICS, "wrapped")), (11.0, 7.0));
    assert_eq!(harness.metric(r#"carillon_publishes_total{event="redis_cluster_metrics",namespace="/"}"#), 18.0);
}

/// What one task publishes arrives in that order, and the rows of a channel from top to bottom.
#[tokio::test(start_paused = true)]
async fn order_is_kept() {
    let rows = r#"[{channel = "a", event = "second", namespaces = ["/"]},
                   {channel = "b", event = "other", namespaces = ["/"]},
                   {channel = "a", event = "first", namespaces = ["/"]}]"#;
    let harness = Harness::with::<Relay>(&[("plugins.relay.rows", rows)]).await;
    let client = client(&harness, "/").await;
    let mut expected = Vec::new();
    for n in 0..1_000 {
        harness.app().bus().publish("a", n.to_string().into()).await.unwrap();
        harness.app().bus().publish("b", n.to_string().into()).await.unwrap();
        expected.extend(["second", "first", "other"].map(|event| format!("[\"{event}\",{n}]")));
    }
    settle().await;
    assert_eq!(received(&client), expected);
}

/// A row says what slow clients get; one that says nothing sends all.
#[tokio::test(start_paused = true)]
async fn rows_have_their_modes() {
    let rows = r#"[{channel = "a", event = "e", namespaces = ["/"], mode = "latest"},
                   {channel = "a", event = "f", namespaces = ["/"], mode = "volatile"},
                   {channel = "a", event = "g", namespaces = ["/"]}]"#;
    let harness = Harness::with::<Relay>(&[("plugins.relay.rows", rows)]).await;
    let client = client(&harness, "/").await;
    publish(&harness, "a", "1").await;
    assert_eq!(client.sink().modes(), [Mode::Latest, Mode::Volatile, Mode::All]);
    let wrong = problems(r#"[{channel = "a", event = "e", namespaces = ["/"], mode = "newest"}]"#).await;
    assert!(wrong.contains("rows[0].mode") && wrong.contains("latest"), "{wrong}");
}

/// A message over the limit is dropped and counted; the next one passes.
#[tokio::test(start_paused = true)]
async fn large_messages_are_dropped() {
    let harness = quiet(&[("plugins.relay.max_message_bytes", "1024")]).await;
    let client = client(&harness, "/").await;
    publish(&harness, METRICS, format!("\"{}\"", "x".repeat(1023))).await;
    publish(&harness, METRICS, format!("\"{}\"", "x".repeat(1022))).await;
    assert_eq!(received(&client).len(), 1);
    assert_eq!((count(&harness, METRICS, "too_large"), count(&harness, METRICS, "relayed")), (1.0, 1.0));
}

/// Without `/monitoring` the others are served on.
#[tokio::test(start_paused = true)]
async fn a_disabled_namespace_is_left_out() {
    let harness = quiet(&[("plugins.monitoring.enabled", "false")]).await;
    let client = client(&harness, "/").await;
    publish(&harness, METRICS, "1").await;
    assert_eq!(received(&client), [r#"["redis_cluster_metrics",1]"#]);
    assert_eq!((count(&harness, METRICS, "relayed"), count(&harness, METRICS, "failed")), (1.0, 0.0));
}

/// The relay subscribes as soon as the bus is there, and again when a subscription ended.
#[tokio::test(start_paused = true)]
async fn the_bus_may_come_late_and_go() {
    let harness = quiet(&[("bus.url", "flaky://60000")]).await;
    let client = client(&harness, "/").await;
    tokio::time::sleep(Duration::from_secs(62)).await;
    publish(&harness, METRICS, "1").await;
    assert_eq!(received(&client), [r#"["redis_cluster_metrics",1]"#], "the longest pause is 2 s");
    // Ends every subscription.
    harness.app().bus().shutdown().await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    publish(&harness, METRICS, "2").await;
    assert_eq!(received(&client), [r#"["redis_cluster_metrics",2]"#], "the first pause is 50 ms");
    let begin = tokio::time::Instant::now();
    harness.shutdown().await;
    assert!(begin.elapsed() < Duration::from_secs(1), "the relay stops when it is told to");
}

/// Of two Carillons on one bus each tells its own clients, once.
#[tokio::test(start_paused = true)]
async fn every_carillon_relays_for_its_own_clients() {
    let settings =
        [("bus.url", "shared://"), ("plugins.relay.rows", r#"[{channel = "a", event = "e", namespaces = ["/"]}]"#)];
    let (here, there) = (Harness::with::<Relay>(&settings).await, Harness::with::<Relay>(&settings).await);
    settle().await;
    let clients = [client(&here, "/").await, client(&there, "/").await];
    publish(&here, "a", "1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for client in clients {
        assert_eq!(received(&client), [r#"["e",1]"#]);
    }
}

/// No rows are fine: the relay then only greets.
#[tokio::test(start_paused = true)]
async fn the_table_may_be_empty() {
    let harness = Harness::with::<Relay>(&[("plugins.relay.rows", "[]")]).await;
    harness.connect("/").await.unwrap().expect("connection_confirmed").await;
}

/// Every mistake in the table is told with its place.
#[tokio::test(start_paused = true)]
async fn mistakes_in_the_table_are_told() {
    let text = problems(
        r#"[{channel = "", event = "", namespaces = []},
            {channel = "a", event = "naïve", namespaces = ["health"]},
            {channel = "a", event = "disconnect", namespaces = ["/", "/"]}]"#,
    )
    .await;
    let expected = [
        "plugins.relay.rows[0].channel: a channel has a name",
        "plugins.relay.rows[0].event: \"\" cannot be an event's name (use printable ASCII",
        "plugins.relay.rows[0].namespaces: the event goes nowhere (name a namespace",
        "plugins.relay.rows[1].event: \"naïve\" cannot be an event's name",
        "plugins.relay.rows[1].namespaces[0]: a namespace begins with `/` (write \"/health\")",
        "plugins.relay.rows[2].event: \"disconnect\" cannot be an event's name",
        "plugins.relay.rows[2].namespaces[1]: `disconnect` would be sent to `/` twice for each message",
    ];
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
}

/// A namespace nobody serves stops the boot, and so does a row with a part missing.
#[tokio::test(start_paused = true)]
async fn rows_that_cannot_work_stop_the_boot() {
    let text = problems(r#"[{channel = "a", event = "e", namespaces = ["/nobody"]}]"#).await;
    assert!(text.contains("\"e\" goes to namespace \"/nobody\", which no plugin serves"), "{text}");
    let text = problems(r#"[{channel = "a", namespaces = ["/"]}]"#).await;
    assert!(text.contains("event"), "{text}");
}

/// A row that is kept goes into the journal of its namespaces; one whose namespace keeps nothing does not start.
#[tokio::test(start_paused = true)]
async fn rows_can_be_kept() {
    let row =
        |journal: bool| format!(r#"[{{ channel = "wall", event = "wall", namespaces = ["/"], journal = {journal} }}]"#);
    let boot = async |journal, namespaces| {
        let rows = row(journal);
        let settings = [("plugins.relay.rows", &*rows), ("journal.namespaces", namespaces)];
        Harness::boot(&Registry::of::<Relay>(), &settings).await
    };
    for (journal, kept) in [(true, 1), (false, 0)] {
        let harness = boot(journal, r#"["/"]"#).await.unwrap();
        let client = client(&harness, "/").await;
        publish(&harness, "wall", "1").await;
        assert_eq!(received(&client), [r#"["wall",1]"#]);
        let appended = harness.metric(r#"carillon_journal_publishes_total{namespace="/",result="appended"}"#);
        assert_eq!(appended, f64::from(kept));
    }
    let error = boot(true, "[]").await.err().unwrap();
    let told =
        "plugins.relay: event \"wall\" is to be kept, and nothing is kept of \"/\" (add it to `journal.namespaces`)";
    assert!(matches!(&error, BootError::Config(text) if text.starts_with(told)), "known without I/O: {error}");
}
