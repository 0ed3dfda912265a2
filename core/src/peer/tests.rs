//! What is known of a client, and what is forgotten.

use super::*;

#[test]
fn the_query_is_decoded_pair_by_pair_and_as_a_type() {
    #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
    struct Query {
        token: String,
        version: u32,
        beta: Option<bool>,
    }
    let peer = |query: &str| Peer::new(([127, 0, 0, 1], 1).into(), Transport::Polling, query.to_owned(), None);
    let good = peer("EIO=4&transport=polling&token=a%20b+c&version=7");
    let pairs = good.query_pairs();
    assert_eq!(pairs[2], ("token".to_owned(), "a b c".to_owned()));
    assert_eq!(good.query_as::<Query>().unwrap(), Query { token: "a b c".to_owned(), version: 7, beta: None });
    let error = peer("token=a&version=x").query_as::<Query>().unwrap_err();
    assert_eq!(error.code(), crate::error::Code::Forbidden);
    assert!(error.message().starts_with("malformed query: parameter `version`: expected a whole number"), "{error}");
    assert!(good.connected_at() <= SystemTime::now());
}

#[test]
fn auth_of_any_shape_is_kept_and_typed_on_demand() {
    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only asked for")]
    struct Auth {
        user: String,
    }
    let peer = |auth: Option<&'static str>| {
        Peer::new(([127, 0, 0, 1], 1).into(), Transport::Polling, String::new(), auth.map(ByteString::from_static))
    };
    assert_eq!(peer(Some("7")).auth_as::<u8>().unwrap(), 7);
    let told = |auth| peer(auth).auth_as::<Auth>().unwrap_err().message().to_owned();
    assert_eq!(told(Some("{}")), "malformed auth: `user` is missing: expected a string");
    assert_eq!(told(Some(r#"{"user":7}"#)), "malformed auth: `user`: expected a string, got 7");
    assert_eq!(told(Some("null")), "malformed auth: expected an object with `user`, got null");
    assert_eq!(told(None), "authentication required");
    assert_ne!(peer(None).id(), peer(None).id());
    assert_eq!(peer(None).id().len(), 24);
}

/// A6, A13: headers of the list are told until the client is in; nothing of it is shown or kept afterwards.
#[test]
fn what_was_sent_to_be_let_in_is_told_and_forgotten() {
    let sent = [("cookie", "id=s3cr3t"), ("x-forwarded-for", "10.0.0.1"), ("accept", "*/*"), ("cookie", "second")];
    let handshake = Handshake::new(([10, 0, 0, 1], 0).into(), true, "token=s3cr3t").with_headers(sent.into_iter());
    let handshake = handshake.with_path("/socket.io/");
    let handshake = Arc::new(handshake);
    let peer = Peer::of(&handshake, Transport::Polling, Some("\"s3cr3t\"".into()));
    let header = |name| peer.header(name).map(|value| value.to_string());
    assert_eq!(header("cookie").as_deref(), Some("id=s3cr3t"));
    assert_eq!(header("x-forwarded-for").as_deref(), Some("10.0.0.1"));
    assert_eq!((header("accept"), header("origin")), (None, None));
    assert_eq!((&*peer.query(), peer.is_secure()), ("token=s3cr3t", true));
    assert_eq!(&*peer.path(), "/socket.io/");
    let shown = format!("{peer:?} {handshake:?}");
    assert!(shown.contains("10.0.0.1") && !shown.contains("s3cr3t"), "{shown}");
    let copy = peer.clone();
    peer.forget();
    assert_eq!((copy.auth(), copy.header("cookie"), &*copy.query(), &*copy.path()), (None, None, "", ""));
    assert_eq!(Arc::strong_count(&handshake), 1);
}
