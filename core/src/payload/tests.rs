//! Arguments decoded, passed through and encoded.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
struct Point {
    x: i32,
    tags: Vec<String>,
}

fn arguments(json: &'static str, attachments: usize) -> Arguments {
    let range = split_event(json).unwrap().args;
    Arguments::new(ByteString::from_static(json), range, vec![Bytes::from_static(b"b"); attachments])
}

fn message<T: Decode + std::fmt::Debug>(json: &'static str, attachments: usize) -> String {
    T::decode(&arguments(json, attachments)).unwrap_err().message().to_owned()
}

#[test]
fn the_first_argument_is_decoded_and_the_rest_left_alone() {
    let point = Point { x: 1, tags: vec![] };
    assert_eq!(Point::decode(&arguments(r#"["p",{"x":1,"tags":[]}]"#, 0)).unwrap(), point);
    assert_eq!(Point::decode(&arguments(r#"["p",{"x":1,"tags":[]},2,{}]"#, 0)).unwrap(), point);
    assert_eq!(i32::decode(&arguments(r#"["p",7,"x"]"#, 0)).unwrap(), 7);
    assert_eq!(Option::<i32>::decode(&arguments(r#"["p"]"#, 0)).unwrap(), None);
    assert!(Ignored::decode(&arguments(r#"["p",nonsense]"#, 3)).is_ok());
}

#[test]
fn mistakes_are_named_with_their_path() {
    assert_eq!(
        message::<Point>(r#"["p",{"x":1,"tags":[1]}]"#, 0),
        "tags[0]: invalid type: integer `1`, expected a string"
    );
    assert_eq!(message::<Point>(r#"["p",{"x":1}]"#, 0), "missing field `tags`");
    assert_eq!(message::<Point>(r#"["p"]"#, 0), "argument 1 is missing: expected an object with `x`");
    assert_eq!(message::<Point>(r#"["p",{}]"#, 1), "this event takes no binary data");
    assert!(message::<Payload>(r#"["p",nonsense]"#, 0).starts_with("malformed JSON"));
}

#[test]
fn payloads_pass_through_to_the_byte() {
    let payload =
        Payload::decode(&arguments(r#"["p", {"a":1.50,"b":{"_placeholder":true,"num":0}} ,"x" ]"#, 1)).unwrap();
    assert_eq!(payload.json(), r#"{"a":1.50,"b":{"_placeholder":true,"num":0}} ,"x""#);
    assert_eq!(payload.arg::<String>(1).unwrap(), "x");
    assert!(payload.arg::<String>(2).is_err());
    let ack = Plain(payload).encode(&Arc::from("/n"), 3).unwrap();
    assert_eq!(ack.packet(), r#"61-/n,3[{"a":1.50,"b":{"_placeholder":true,"num":0}} ,"x"]"#);
    let array = Payload::from_array(&ByteString::from_static("[[1],2]"), vec![]).unwrap();
    assert_eq!(array.json(), "[1],2");
    assert!(Payload::from_json("{".into()).is_err());
    assert_eq!(encode_event(&Arc::from("/"), "e", &Payload::empty()).unwrap().packet(), "2[\"e\"]");
}

#[test]
fn replies_wear_the_envelope() {
    let ns = Arc::from("/");
    assert_eq!(7.encode(&ns, 1).unwrap().packet(), r#"31[{"ok":true,"data":7}]"#);
    assert_eq!(Plain(7).encode(&ns, 1).unwrap().packet(), "31[7]");
    let failure = encode_error(&ns, 1, &Error::not_found("no node n7"), None).unwrap();
    assert_eq!(
        failure.packet(),
        r#"31[{"ok":false,"error":{"code":"not_found","message":"no node n7","retryable":false}}]"#
    );
}

/// A7: serde repeats what it did not like; a client cannot make the server answer with a megabyte.
#[test]
fn a7_a_mistake_is_told_in_few_words() {
    let event = format!(r#"["p",{{"x":"{}é","tags":[]}}]"#, "\\u007f".repeat(100_000)).leak();
    let message = message::<Point>(event, 0);
    assert!(message.starts_with("x: invalid type: string"), "{message}");
    assert!(message.len() <= 202 && message.ends_with(".."), "{} bytes", message.len());
}
