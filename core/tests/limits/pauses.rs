//! Who is not read from, and until when.

use std::sync::Arc;
use std::time::Duration;

use carillon_core::config::{Loader, all_sections};
use carillon_core::identity::{Authenticate, Identity, Shown, unauthorized};
use carillon_core::lifecycle::BootPlan;
use carillon_core::prelude::*;
use carillon_core::registry::Registry;
use carillon_core::testing::{Harness, TestClient};
use carillon_core::threads::Threads;
use serde_json::{Value, json};

use super::{Desk, desk};

fn long(bytes: usize) -> Value {
    json!("x".repeat(bytes))
}

async fn refusal(client: &mut TestClient, event: &str, argument: Value) -> String {
    let answer = client.call(event, argument).await;
    answer["error"]["message"].as_str().unwrap_or_default().to_owned()
}

const SUBJECT: [(&str, &str); 2] = [("limits.subject_bytes_per_s", "1000"), ("limits.subject_bytes_burst", "2000")];

/// Bytes push back also when the event that they came with is refused for another reason.
#[tokio::test(start_paused = true)]
async fn a_refused_event_pushes_back_too() {
    let events = [("limits.connection_events_per_s", "1"), ("limits.connection_events_burst", "1")];
    let bytes = [("limits.connection_bytes_per_s", "1000"), ("limits.connection_bytes_burst", "2000")];
    let harness = desk(&[events, bytes].concat()).await;
    let mut client = harness.connect("/desk").await.unwrap();
    assert_eq!(refusal(&mut client, "say", Value::Null).await, "");
    assert_eq!(refusal(&mut client, "say", long(5_000)).await, "this connection sends too many events");
    assert_eq!(client.sink().pauses(), [true]);
}

/// What a subject has sent too much pushes back each of its connections that goes on.
#[tokio::test(start_paused = true)]
async fn every_connection_of_a_subject_is_pushed_back() {
    let harness = desk(&SUBJECT).await;
    let mut one = harness.connect_as("/desk", json!({"sub": "ann"})).await.unwrap();
    let mut two = harness.connect_as("/desk", json!({"sub": "ann"})).await.unwrap();
    assert_eq!(refusal(&mut one, "say", long(5_000)).await, "");
    assert_eq!((one.sink().pauses(), two.sink().pauses()), (vec![true], vec![]));
    let told = "all your connections together send too many bytes";
    assert_eq!(refusal(&mut two, "say", Value::Null).await, told);
    assert_eq!(two.sink().pauses(), [true]);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((one.sink().pauses(), two.sink().pauses()), (vec![true, false], vec![true, false]));
    assert_eq!(refusal(&mut two, "say", Value::Null).await, "");
}

/// Whoever is asked something is read from, or nobody could hear the answer; afterwards it goes on to wait.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_asked_is_read_from() {
    let harness = desk(&[("limits.connection_bytes_per_s", "1000"), ("limits.connection_bytes_burst", "2000")]).await;
    let client = harness.connect("/hall").await.unwrap();
    client.emit("ask", &long(5_000));
    assert_eq!(client.sink().pauses(), [true]);
    client.expect("sure").await;
    assert_eq!(client.sink().pauses(), [true, false]);
    client.answer(Payload::new(&true).unwrap());
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(client.sink().pauses(), [true, false, true]);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(client.sink().pauses(), [true, false, true, false]);
}

/// A client that leaves its namespace leaves no pause to the connection, and nothing that waits for its end.
#[tokio::test(start_paused = true)]
async fn a_pause_ends_with_its_client() {
    let harness = desk(&[("limits.connection_bytes_per_s", "1"), ("limits.connection_bytes_burst", "1")]).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..20 {
        let mut client = harness.connect("/desk").await.unwrap();
        assert_eq!(refusal(&mut client, "say", long(5_000)).await, "");
        assert_eq!(client.sink().pauses(), [true]);
        client.close(Reason::ClientDisconnect);
        assert_eq!(client.sink().pauses(), [true, false]);
    }
    assert!(tasks() >= before + 20, "5,000 s each");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(tasks(), before);
}

/// Takes the claims for the token.
struct Claims;

impl Authenticate for Claims {
    fn authenticate(&self, shown: &Shown) -> Result<Identity> {
        let claims = serde_json::from_str(shown.token.as_deref().unwrap_or_default()).map_err(|_| unauthorized())?;
        Identity::new(claims).map_err(|_| unauthorized())
    }
}

/// A newer token gets through however many bytes were sent: it may say that more are allowed.
#[tokio::test(start_paused = true)]
async fn a_newer_token_gets_past_the_bytes() {
    let registry = Registry::of::<Desk>();
    let config = Loader::new(all_sections(registry.sections())).load().unwrap();
    let plan = BootPlan::new(&registry, &config).unwrap().authenticated_by(Arc::new(Claims));
    let harness = Harness::from(plan.boot(&config, Threads::Shared, 1).await.unwrap());
    let token = |per_s: u32| json!({"token": json!({"sub": "ann", "limits": {"bytes_per_s": per_s}}).to_string()});
    let mut ann = harness.connect_with("/desk", Some(token(1_000))).await.unwrap();
    assert_eq!(refusal(&mut ann, "say", long(5_000)).await, "");
    let told = "all your connections together send too many bytes";
    assert_eq!(refusal(&mut ann, "say", Value::Null).await, told);
    assert_eq!(refusal(&mut ann, "refresh_token", token(10_000)).await, "");
    assert_eq!(refusal(&mut ann, "say", Value::Null).await, "", "5,000 of 10,000 bytes are left");
}
