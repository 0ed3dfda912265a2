//! Who does not get on is new, with another id and another pid, and is told nothing of what was.

use carillon_core::testing::Harness;

use super::*;

/// A client that has got 1 and is away while 2 is published.
async fn away(chat: &Harness, reason: Reason) -> (TestClient, String) {
    let mut bob = connect(chat, json!({})).await;
    let ann = connect(chat, json!({})).await;
    say(&mut bob, json!({"text": 1})).await;
    let got = said(&ann).await;
    ann.close(reason);
    settle().await;
    say(&mut bob, json!({"text": 2})).await;
    settle().await;
    (ann, texts(&got).1)
}

async fn is_new(chat: &Harness, ann: &TestClient, auth: Value, result: &str) {
    let before = counted(chat, result);
    let client = connect(chat, auth).await;
    assert_eq!(greeting(&client).await, (false, 0), "what was is not told");
    assert!(client.id() != ann.id() && client.pid() != ann.pid());
    assert_eq!(counted(chat, result), before + 1.0, "{result}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_no_claim() {
    let chat = boot(&[]).await;
    let (ann, offset) = away(&chat, Reason::TransportClose).await;
    let unknown = format!("pid-{}", "a".repeat(24));
    is_new(&chat, &ann, json!({"pid": unknown, "offset": offset}), "unknown").await;
    is_new(&chat, &ann, json!({"pid": ann.pid(), "offset": "some text"}), "gone").await;
    is_new(&chat, &ann, json!({"pid": ann.pid(), "offset": "another-1"}), "gone").await;
    is_new(&chat, &ann, json!({"pid": ann.pid(), "offset": format!("{offset}000")}), "gone").await;
    assert!(recovered(&connect(&chat, json!({"pid": ann.pid(), "offset": offset})).await).await, "as it was");
}

/// Who shows a pid and wants no recovery is new, and says so itself; whoever has the pid goes on.
#[tokio::test(start_paused = true)]
async fn who_wants_none_does_not_get_on() {
    let chat = boot(&[]).await;
    let (ann, offset) = away(&chat, Reason::TransportClose).await;
    let auth = json!({"pid": ann.pid(), "offset": offset, "recovery": false});
    let client = connect(&chat, auth).await;
    assert_eq!(greeting(&client).await, (false, 0));
    assert!(client.id() != ann.id() && client.pid().is_none());
    assert!(recovered(&connect(&chat, json!({"pid": ann.pid(), "offset": offset})).await).await, "as it was");
}

#[tokio::test(start_paused = true)]
async fn who_has_left_or_is_gone_too_long_is_forgotten() {
    let chat = boot(&[("journal.max_disconnection_s", "10")]).await;
    for reason in [Reason::ClientDisconnect, Reason::ServerDisconnect] {
        let (ann, offset) = away(&chat, reason).await;
        is_new(&chat, &ann, json!({"pid": ann.pid(), "offset": offset}), "unknown").await;
    }
    let (ann, offset) = away(&chat, Reason::TransportClose).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    is_new(&chat, &ann, json!({"pid": ann.pid(), "offset": offset}), "unknown").await;
    // One that is connected is never forgotten, however long that is.
    let ann = connect(&chat, json!({})).await;
    tokio::time::sleep(Duration::from_secs(1_000)).await;
    ann.close(Reason::TransportClose);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(recovered(&connect(&chat, json!({"pid": ann.pid()})).await).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_no_longer_is_not_told_in_part() {
    let chat = boot(&[("journal.max_events", "2")]).await;
    let (ann, offset) = away(&chat, Reason::TransportClose).await;
    let mut bob = connect(&chat, json!({})).await;
    for text in [3, 4] {
        say(&mut bob, json!({"text": text})).await;
    }
    is_new(&chat, &ann, json!({"pid": ann.pid(), "offset": offset}), "gone").await;
}

/// Who it is, and where it may be, is asked again.
#[tokio::test(start_paused = true)]
async fn admission_is_asked_again() {
    let chat = boot(&[]).await;
    let (ann, offset) = away(&chat, Reason::TransportClose).await;
    let refused = json!({"pid": ann.pid(), "offset": offset, "name": "refuse"});
    assert_eq!(chat.connect_with("/chat", Some(refused)).await.unwrap_err().message(), "not today");
    assert!(recovered(&connect(&chat, json!({"pid": ann.pid(), "offset": offset})).await).await, "in spite of that");
}

#[tokio::test(start_paused = true)]
async fn a_pid_is_of_one_subject_and_of_its_rooms() {
    let chat = boot(&[]).await;
    let come = async |claims: Value, auth: Value| {
        let mut client = chat.connect_as_with("/chat", claims, auth).await.unwrap();
        (recovered(&client).await, client.call("join", json!("red")).await["ok"] == true, client)
    };
    let (_, joined, ann) = come(json!({"sub": "ann", "rooms": ["red"]}), json!({"recovery": true})).await;
    assert!(joined);
    ann.close(Reason::TransportClose);
    settle().await;
    let auth = json!({"pid": ann.pid()});
    assert!(!come(json!({"sub": "bob", "rooms": ["red"]}), auth.clone()).await.0);
    assert!(!come(json!({"sub": "ann", "rooms": ["blue"]}), auth.clone()).await.0);
    assert!(!recovered(&connect(&chat, auth.clone()).await).await, "nobody");
    assert_eq!(counted(&chat, "forbidden"), 3.0);
    assert!(come(json!({"sub": "ann", "rooms": ["red"]}), auth).await.0);
}
