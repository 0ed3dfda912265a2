//! One node, with the journal in its own memory.

use carillon_core::lifecycle::BootError;
use serde_json::json;

use super::*;

/// A client is told what it would have got, everybody what went to everybody, and a plugin all of it.
#[tokio::test(start_paused = true)]
async fn the_past_is_told_as_it_was_and_to_whom_it_was() {
    let chat = boot(&[]).await;
    let mut ann = chat.connect("/chat").await.unwrap();
    let mut bob = chat.connect("/chat").await.unwrap();
    bob.call("join", json!("red")).await;
    for what in [
        json!({"text": "all"}),
        json!({"text": "red", "rooms": ["red"]}),
        json!({"text": "not red", "except": ["red"]}),
        json!({"text": "ann", "clients": [ann.id()]}),
        json!({"text": "here", "local": true}),
    ] {
        say(&mut ann, what).await;
    }
    settle().await;
    assert_eq!(got(&ann), [r#"["said","all"]"#, r#"["said","not red"]"#, r#"["said","ann"]"#, r#"["said","here"]"#]);
    let past = ann.call("past", json!(null)).await;
    assert_eq!(texts(&past["data"]), (vec!["all", "red", "not red", "ann"], true), "what is local is not kept");
    for (client, told) in [(&mut ann, vec!["all", "not red", "ann"]), (&mut bob, vec!["all", "red"])] {
        let answer = client.call("history", json!({})).await;
        assert_eq!(texts(&answer["data"]).0, told);
    }
    let page = chat.get("/api/history/chat", &[]).await.unwrap();
    assert_eq!(texts(&page).0, ["all"]);
    assert_eq!(counted(&chat, "appended"), 4.0);
}

/// The newest of a quiet room are found behind what is said in others.
#[tokio::test(start_paused = true)]
async fn a_quiet_room_has_a_past() {
    let chat = boot(&[]).await;
    let mut ann = chat.connect("/chat").await.unwrap();
    let mut bob = chat.connect("/chat").await.unwrap();
    bob.call("join", json!("quiet")).await;
    for nth in 0..1200 {
        let room = if nth % 400 == 3 { "quiet" } else { "loud" };
        say(&mut ann, json!({"text": nth.to_string(), "rooms": [room]})).await;
    }
    for (limit, told) in [(1, vec!["803"]), (2, vec!["403", "803"]), (100, vec!["3", "403", "803"])] {
        let answer = bob.call("history", json!({"limit": limit})).await["data"].clone();
        assert_eq!((texts(&answer), &answer["more"]), ((told, true), &json!(false)), "limit {limit}");
        let past = ann.call("past", json!(answer["offset"])).await;
        assert_eq!(texts(&past["data"]).0, Vec::<&str>::new(), "what comes next is asked for from the end on");
    }
}

/// Whoever asks on and on gets everything once, and is told when something is missing.
#[tokio::test(start_paused = true)]
async fn parts_follow_each_other_and_holes_are_told() {
    let chat = boot(&[("journal.max_events", "4")]).await;
    let mut ann = chat.connect("/chat").await.unwrap();
    let start = ann.call("past", json!(null)).await["data"]["offset"].as_str().unwrap().to_owned();
    for text in ["1", "2", "3"] {
        say(&mut ann, json!({"text": text})).await;
    }
    let first = ann.call("history", json!({"since": start, "limit": 2})).await["data"].clone();
    assert_eq!((texts(&first), &first["more"]), ((vec!["1", "2"], true), &json!(true)));
    let second = ann.call("history", json!({"since": first["offset"], "limit": 2})).await["data"].clone();
    assert_eq!((texts(&second), &second["more"]), ((vec!["3"], true), &json!(false)));
    let newest = ann.call("history", json!({"limit": 1})).await["data"].clone();
    assert_eq!(texts(&newest), (vec!["3"], true));
    for text in ["4", "5"] {
        say(&mut ann, json!({"text": text})).await;
    }
    let late = ann.call("history", json!({"since": start})).await["data"].clone();
    assert_eq!(texts(&late), (vec!["2", "3", "4", "5"], false));
    for (since, code) in [("nonsense", "bad_payload"), ("", "bad_payload")] {
        let refused = ann.call("history", json!({"since": since})).await;
        assert_eq!(refused["error"]["code"], code, "{refused}");
    }
    let other = ann.call("history", json!({"since": "another-1"})).await["data"].clone();
    assert!(!texts(&other).1, "of no epoch of ours");
}

/// What clients cannot be told of is told to nobody, and what is configured has to be there.
#[tokio::test(start_paused = true)]
async fn nobody_is_told_where_that_is_not_configured() {
    let chat = Harness::of::<Chat>().await;
    let mut ann = chat.connect("/chat").await.unwrap();
    assert_eq!(ann.call("history", json!({})).await["error"]["code"], "unknown_event");
    assert_eq!(ann.call("past", json!(null)).await["error"]["code"], "not_found");
    assert!(chat.get("/api/history/chat", &[]).await.is_err());
    let unserved = Harness::boot(&Registry::of::<Chat>(), &[("journal.namespaces", r#"["/chat", "/caht"]"#)]).await;
    match unserved.err().unwrap() {
        BootError::Config(text) => {
            assert_eq!(
                text,
                r#"journal.namespaces[1]: no plugin serves "/caht" (did you mean `/chat`?) [flag a test]"#
            );
        }
        other => panic!("{other}"),
    }
}

/// A publish that is refused, because too much waits, is not kept either.
#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_kept() {
    let chat = boot(&[("router.max_pending_publishes", "1")]).await;
    let clients = [chat.connect("/chat").await.unwrap(), chat.connect("/chat").await.unwrap()];
    // Sent at once: the second comes before the first has been delivered.
    for id in [1, 2] {
        clients[0].send("say", r#"{"text":"x"}"#, Vec::new(), Some(id));
    }
    let answers = [clients[0].ack(1).await.args_json(), clients[0].ack(2).await.args_json()];
    let done = answers.iter().filter(|answer| answer[0]["ok"] == true).count();
    settle().await;
    assert_eq!(counted(&chat, "appended"), done as f64);
    assert_eq!(got(&clients[1]).len(), done);
}
