//! On one node: what a client that comes back gets, and when.

use super::*;

/// Id and rooms are the old ones; what was missed comes before the greeting and before anything new, once and in order.
#[tokio::test(start_paused = true)]
async fn a_client_gets_on_where_it_left_off() {
    let chat = boot(&[]).await;
    let mut bob = connect(&chat, json!({})).await;
    let mut ann = connect(&chat, json!({})).await;
    assert!(!recovered(&ann).await);
    for room in ["red", "blue", "green"] {
        ann.call("join", json!(room)).await;
    }
    ann.call("leave", json!("blue")).await;
    say(&mut bob, json!({"text": 1})).await;
    let (id, pid) = (ann.id().to_owned(), ann.pid().unwrap().to_owned());
    let before = said(&ann).await;
    let (texts_before, offset) = texts(&before);
    assert_eq!(texts_before, [1]);
    ann.close(Reason::TransportClose);
    settle().await;
    for what in [
        json!({"text": 2}),
        json!({"text": "red", "rooms": ["red"]}),
        json!({"text": "no more", "rooms": ["blue"]}),
        json!({"text": "two rooms, once", "rooms": ["red", "green"]}),
        json!({"text": "left out", "except": ["green"]}),
        json!({"text": "left out by id", "except": [id]}),
        json!({"text": "mine", "clients": [id]}),
        json!({"text": "local", "local": true}),
        json!({"text": 3}),
    ] {
        say(&mut bob, what).await;
    }
    let mut ann = connect(&chat, json!({"pid": pid, "offset": offset})).await;
    say(&mut bob, json!({"text": "new, red", "rooms": ["red"]})).await;
    settle().await;
    let events: Vec<Vec<Value>> =
        ann.sink().take().iter().map(|item| serde_json::from_str(&item.json()).unwrap()).collect();
    assert_eq!((ann.id(), ann.pid()), (&*id, Some(&*pid)));
    let greeting = events.iter().position(|event| event[0] == "hello").unwrap();
    assert_eq!(events[greeting][1], json!({"recovered": true, "rooms": ["red", "green"]}));
    let missed: Vec<&Value> = events[..greeting].iter().map(|event| &event[1]).collect();
    assert_eq!(missed, [&json!(2), &json!("red"), &json!("two rooms, once"), &json!("mine"), &json!(3)]);
    assert_eq!(events[greeting + 1..].iter().map(|event| &event[1]).collect::<Vec<_>>(), ["new, red"]);
    assert_eq!(counted(&chat, "recovered"), 1.0);
    assert_eq!(chat.metric(r#"carillon_replayed_total{namespace="/chat"}"#), 5.0);
    // And again, from there.
    let offset = events.last().unwrap().last().unwrap().clone();
    ann.close(Reason::PingTimeout);
    say(&mut bob, json!({"text": 4})).await;
    let again = connect(&chat, json!({"pid": pid, "offset": offset})).await;
    assert_eq!(texts(&said(&again).await).0, [4]);
    say(&mut bob, json!({"text": "by id", "clients": [id]})).await;
    assert_eq!(texts(&said(&again).await).0, ["by id"]);
    ann.call("join", json!("red")).await;
}

/// The offset of its CONNECT is known, so that it has missed nothing by having got nothing.
#[tokio::test(start_paused = true)]
async fn a_client_that_has_got_nothing_yet_gets_on_too() {
    let chat = boot(&[]).await;
    let mut bob = connect(&chat, json!({})).await;
    say(&mut bob, json!({"text": "before"})).await;
    let ann = connect(&chat, json!({})).await;
    assert!(!recovered(&ann).await);
    ann.close(Reason::TransportError);
    say(&mut bob, json!({"text": "meanwhile"})).await;
    let ann = connect(&chat, json!({"pid": ann.pid()})).await;
    assert_eq!(texts(&said(&ann).await).0, ["meanwhile"]);
}

/// Two connections with one pid: the second goes on, and the first is closed.
#[tokio::test(start_paused = true)]
async fn a_second_connection_ends_the_first() {
    let chat = boot(&[]).await;
    let mut bob = connect(&chat, json!({})).await;
    let first = connect(&chat, json!({})).await;
    say(&mut bob, json!({"text": 1})).await;
    let got = said(&first).await;
    let second = connect(&chat, json!({"pid": first.pid(), "offset": texts(&got).1})).await;
    assert!(recovered(&second).await);
    assert_eq!(first.sink().closed(), Some(Reason::Resumed));
    assert_eq!(second.id(), first.id());
    say(&mut bob, json!({"text": 2, "clients": [second.id()]})).await;
    assert_eq!(texts(&said(&second).await).0, [2]);
    assert_eq!(said(&first).await.len(), 0);
    // The end of the first connection, as the server tells it, is not that of the second.
    first.close(Reason::Resumed);
    say(&mut bob, json!({"text": 3})).await;
    assert_eq!(texts(&said(&second).await).0, [3]);
    assert_eq!(chat.metric(r#"carillon_connected_clients{namespace="/chat",transport="websocket"}"#), 2.0);
}

/// While others publish on and on, each of many that come back gets everything once and in order.
#[tokio::test(start_paused = true)]
async fn what_comes_meanwhile_follows_what_was_missed() {
    let chat = boot(&[("journal.max_events", "100000"), ("router.queue_events", "10000")]).await;
    let mut bob = connect(&chat, json!({})).await;
    let mut away = Vec::new();
    for _ in 0..10 {
        let client = connect(&chat, json!({})).await;
        client.close(Reason::TransportClose);
        away.push(client.pid().unwrap().to_owned());
    }
    let mut next = 0;
    let mut more = |bob: &mut TestClient, many: usize| {
        for _ in 0..many {
            bob.send("say", &json!({"text": next}).to_string(), Vec::new(), None);
            next += 1;
        }
    };
    more(&mut bob, 3_000);
    settle().await;
    let mut back = Vec::new();
    for pid in &away {
        more(&mut bob, 20);
        back.push(connect(&chat, json!({"pid": pid})).await);
        more(&mut bob, 20);
    }
    let all: Vec<Value> = (0..3_400).map(Value::from).collect();
    for client in &back {
        let got = said(client).await;
        assert!(texts(&got).0 == all.iter().collect::<Vec<_>>(), "{} of {}", got.len(), all.len());
    }
    say(&mut bob, json!({"text": "end"})).await;
}

/// Two connections that show one pid at once, of which neither has been let in yet: one goes on, and the other is closed.
#[tokio::test(start_paused = true)]
async fn of_two_that_come_back_at_once_one_goes_on() {
    let chat = boot(&[]).await;
    let mut bob = connect(&chat, json!({})).await;
    let ann = connect(&chat, json!({})).await;
    ann.close(Reason::TransportClose);
    settle().await;
    for _ in 0..10 {
        let auth = || json!({"pid": ann.pid()});
        let (one, other) = tokio::join!(connect(&chat, auth()), connect(&chat, auth()));
        settle().await;
        let closed = [&one, &other].map(|client| client.sink().closed());
        assert!(closed.contains(&Some(Reason::Resumed)) && closed.contains(&None), "{closed:?}");
        let goes_on = if closed[0].is_none() { one } else { other };
        said(&goes_on).await;
        say(&mut bob, json!({"text": "to the one", "clients": [ann.id()]})).await;
        assert_eq!(texts(&said(&goes_on).await).0, ["to the one"]);
        goes_on.close(Reason::TransportClose);
        settle().await;
        assert_eq!(chat.metric(r#"carillon_connected_clients{namespace="/chat",transport="websocket"}"#), 1.0);
    }
}
