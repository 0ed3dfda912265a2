//! Who gets offsets, and what the others get of the same publish.

use carillon_core::peer::Handshake;

use super::*;

/// What the client in JavaScript that is sent this way takes for its last offset.
fn last_text(arguments: &[Value]) -> Option<&str> {
    arguments.last().and_then(Value::as_str)
}

/// One publish has two forms: with its offset for those who know what that is, to the byte as it was for the others.
#[tokio::test(start_paused = true)]
async fn only_those_get_offsets_who_take_them() {
    let chat = boot(&[]).await;
    let mut with = connect(&chat, json!({})).await;
    let without = chat.connect_with("/chat", Some(json!({"recovery": false}))).await.unwrap();
    let unknown = chat.connect("/chat").await.unwrap();
    assert!(with.pid().is_some() && without.pid().is_none() && unknown.pid().is_some());
    for text in [json!("text"), json!(1), json!({"a": ["b"]})] {
        say(&mut with, json!({"text": text})).await;
        assert_eq!(texts(&said(&with).await).0, [&text]);
        for other in [&without, &unknown] {
            assert_eq!(said(other).await, [vec![text.clone()]]);
        }
    }
    let room = json!({"text": "one", "clients": [without.id()]});
    say(&mut with, room).await;
    assert_eq!((said(&with).await.len(), said(&without).await), (0, vec![vec![json!("one")]]));
    // Whoever shows a pid of ours has taken it for what it is.
    unknown.close(Reason::TransportClose);
    let now_known = chat.connect_with("/chat", Some(json!({"pid": unknown.pid()}))).await.unwrap();
    assert!(!recovered(&now_known).await, "what it has missed is not known");
    say(&mut with, json!({"text": 2})).await;
    assert_eq!(texts(&said(&now_known).await).0, [2]);
}

/// The client takes any text at the end of an event for an offset: what has none ends in something else.
#[tokio::test(start_paused = true)]
async fn text_at_the_end_of_what_has_no_offset_is_no_offset() {
    let chat = boot(&[]).await;
    let mut with = connect(&chat, json!({})).await;
    let mut without = chat.connect("/chat").await.unwrap();
    for (arguments, wanted) in [
        (r#"1,"text""#, vec![json!(1), json!("text"), json!(null)]),
        ("", vec![json!(null)]),
        (r#""text",1"#, vec![json!("text"), json!(1)]),
    ] {
        with.call_raw("emit", arguments, Vec::new()).await;
        let got = said(&with).await;
        assert_eq!(got, [wanted]);
        assert_eq!(last_text(&got[0]), None);
        without.call_raw("emit", arguments, Vec::new()).await;
        let plain: Vec<Value> = serde_json::from_str(&format!("[{arguments}]")).unwrap();
        assert_eq!(said(&without).await, [plain]);
    }
    say(&mut with, json!({"text": "local", "local": true})).await;
    assert_eq!(said(&with).await, [vec![json!("local"), json!(null)]]);
    assert_eq!(said(&without).await, [vec![json!("local")]]);
}

/// Clients in JavaScript are known by what they send without knowing; Python, Rust, Java and Swift are not taken for them.
#[tokio::test(start_paused = true)]
async fn clients_in_javascript_are_told_from_others() {
    let chat = boot(&[]).await;
    let mut bob = chat.connect("/chat").await.unwrap();
    let extensions = ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits");
    let browser = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)");
    let js = "EIO=4&transport=websocket";
    for (query, headers, takes) in [
        (js, vec![browser, ("origin", "http://a"), extensions], true),
        ("token=x&EIO=4&transport=polling&t=abc", vec![browser], true),
        ("EIO=4&transport=polling&t=abc", vec![("user-agent", "node-XMLHttpRequest")], true),
        (js, vec![extensions], true),
        ("transport=websocket&EIO=4&t=1", vec![("user-agent", "Python/3.11 aiohttp/3.9.5")], false),
        ("transport=websocket&EIO=4&t=1", vec![("origin", "http://a")], false),
        ("transport=polling&EIO=4&t=1", vec![("user-agent", "Mozilla/5.0")], false),
        ("EIO=4&transport=polling&t=1", vec![("user-agent", "python-requests/2.32")], false),
        (js, vec![], false),
        (js, vec![("user-agent", "okhttp/4.12.0"), extensions], false),
        (js, vec![("user-agent", "Dart/3.4 (dart:io)"), extensions], false),
    ] {
        let handshake = Handshake::new(([127, 0, 0, 1], 1).into(), false, query).with_headers(headers.iter().copied());
        let client = chat.connect_from("/chat", handshake, Transport::WebSocket, None).await.unwrap();
        settle().await;
        say(&mut bob, json!({"text": 1})).await;
        assert_eq!(said(&client).await[0].len() == 2, takes, "{query} {headers:?}");
        client.close(Reason::TransportClose);
    }
}

/// Where nothing recovers nothing changes.
#[tokio::test(start_paused = true)]
async fn without_recovery_nobody_is_told_anything() {
    let chat = boot(&[("journal.recovery", "[]")]).await;
    let mut client = chat.connect_with("/chat", Some(json!({"recovery": true}))).await.unwrap();
    assert_eq!(client.pid(), None);
    say(&mut client, json!({"text": "x"})).await;
    client.call_raw("emit", "\"y\"", Vec::new()).await;
    assert_eq!(said(&client).await, [[json!("x")], [json!("y")]]);
}
