//! Arguments decoded, passed through and encoded.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::packet::split_event;

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
    assert_eq!(message::<Point>(r#"["p",{"x":1,"tags":[1]}]"#, 0), "`tags[0]`: expected a string, got 1");
    assert_eq!(message::<Point>(r#"["p",{"x":1}]"#, 0), "`tags` is missing: expected a list");
    assert_eq!(message::<Point>(r#"["p"]"#, 0), "missing argument 1: expected an object with `x` and `tags`");
    let binary = r#"["p",{"_placeholder":true,"num":0}]"#;
    assert_eq!(message::<Point>(binary, 1), "expected an object with `x` and `tags`, got binary data");
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
    assert!(message.starts_with("`x`: expected a whole number"), "{message}");
    assert!(message.len() <= 202 && message.ends_with(".."), "{} bytes", message.len());
    let event = format!(r#"["p",{{"{}":1}}]"#, "y".repeat(100_000)).leak();
    let unknown = super::tests::message::<Strict>(event, 0);
    assert!(unknown.ends_with("is unknown; there are `x`") && unknown.len() <= 202, "{unknown}");
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Strict {
    #[expect(dead_code, reason = "only read from JSON")]
    x: Option<u8>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only read from JSON")]
struct Shapes {
    mode: Option<Mode>,
    at: Option<(i32, i32)>,
    small: Option<u8>,
    wide: Option<u32>,
    ratio: Option<f32>,
    on: Option<bool>,
    shape: Option<Figure>,
    either: Option<Either>,
    inner: Option<Point>,
    even: Option<Even>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Slow,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[expect(dead_code, reason = "only read from JSON")]
enum Figure {
    Circle { radius: f64 },
    Square { side: f64 },
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only read from JSON")]
enum Either {
    Number(i64),
    Text(String),
}

/// Checks itself, in words of its own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "u8")]
struct Even;

impl TryFrom<u8> for Even {
    type Error = &'static str;

    fn try_from(number: u8) -> std::result::Result<Self, &'static str> {
        if number.is_multiple_of(2) { Ok(Self) } else { Err("only even numbers") }
    }
}

/// Line 7 of the author's list: a client reads field and shape, never the name of a Rust type.
#[test]
fn mistakes_speak_of_fields_and_shapes() {
    let mut wrong = Vec::new();
    for (json, wanted) in [
        (r#"5"#, "expected an object, got 5"),
        (r#"[]"#, "expected an object, got a list"),
        (r#"{"mode":"quick"}"#, r#"`mode`: expected "fast" or "slow", got "quick""#),
        (r#"{"at":[1]}"#, "`at`: expected a list of 2 or null, got 1 items"),
        (r#"{"at":[1,"a"]}"#, "`at[1]`: expected a whole number from -2147483648 to 2147483647, got \"a\""),
        (r#"{"small":300}"#, "`small`: expected a whole number from 0 to 255 or null, got 300"),
        (r#"{"small":-1}"#, "`small`: expected a whole number from 0 to 255 or null, got -1"),
        (r#"{"wide":4294967296}"#, "`wide`: expected a whole number from 0 to 4294967295 or null, got 4294967296"),
        (r#"{"wide":1.5}"#, "`wide`: expected a whole number from 0 to 4294967295 or null, got 1.5"),
        (r#"{"ratio":true}"#, "`ratio`: expected a number or null, got true"),
        (r#"{"on":"yes"}"#, r#"`on`: expected true or false or null, got "yes""#),
        (r#"{"shape":{"kind":"circle"}}"#, "`shape.radius` is missing: expected a number"),
        (r#"{"shape":{"kind":"circle","radius":"r"}}"#, r#"`shape.radius`: expected a number, got "r""#),
        (r#"{"either":[]}"#, "`either`: expected a whole number or a string, got a list"),
        (r#"{"inner":{"x":1,"tags":[{}]}}"#, "`inner.tags[0]`: expected a string, got an object"),
        (r#"{"even":3}"#, "`even`: only even numbers"),
    ] {
        let event = format!(r#"["p",{json}]"#).leak();
        let told = message::<Shapes>(event, 0);
        wrong.extend((told != wanted).then_some((json, told)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let long = format!(r#"["p",{{"mode":"{}"}}]"#, "q".repeat(500)).leak();
    assert!(message::<Shapes>(long, 0).len() < 120);
}

#[derive(Debug, PartialEq, Deserialize, serde::Serialize, JsonSchema)]
struct Upload {
    name: String,
    file: Attachment,
    thumbnails: Vec<Attachment>,
}

fn binary(json: &'static str, attachments: &[&'static [u8]]) -> Arguments {
    let attachments = attachments.iter().map(|data| Bytes::from_static(data)).collect();
    Arguments::new(ByteString::from_static(json), split_event(json).unwrap().args, attachments)
}

#[test]
fn binary_fields_are_read_and_written_wherever_they_stand() {
    let json =
        r#"["p",{"name":"n","file":{"_placeholder":true,"num":1},"thumbnails":[{"_placeholder":true,"num":0}]}]"#;
    let upload = Upload::decode(&binary(json, &[b"small", b"big"])).unwrap();
    assert_eq!(&*upload.file, b"big");
    assert_eq!(&*upload.thumbnails[0], b"small");
    let ns = Arc::from("/n");
    let ack = upload.encode(&ns, 3).unwrap();
    let told = r#"{"name":"n","file":{"_placeholder":true,"num":0},"thumbnails":[{"_placeholder":true,"num":1}]}"#;
    assert_eq!(ack.packet(), format!(r#"62-/n,3[{{"ok":true,"data":{told}}}]"#));
    assert_eq!(ack.json(), format!(r#"[{{"ok":true,"data":{told}}}]"#));
    assert_eq!(ack.attachments(), [Bytes::from_static(b"big"), Bytes::from_static(b"small")]);
    let event = encode_event(&ns, "e", &upload).unwrap();
    assert_eq!(event.packet(), format!(r#"52-/n,["e",{told}]"#));
    assert_eq!(event.topic(), br#"52-/n,["e""#);
    assert!(serde_json::to_string(&upload).is_err(), "there is nothing beside the text to carry it");
}

#[test]
fn binary_data_is_asked_for_in_words() {
    let none = r#"["p",{"name":"n","file":"x","thumbnails":[]}]"#;
    assert_eq!(message::<Upload>(none, 0), r#"`file`: expected binary data, got "x""#);
    let far = r#"["p",{"name":"n","file":{"_placeholder":true,"num":7},"thumbnails":[]}]"#;
    assert_eq!(Upload::decode(&binary(far, &[b"a"])).unwrap_err().message(), "`file`: expected binary data");
    assert_eq!(message::<Upload>(far, 0), "`file`: expected binary data");
    let point = r#"["p",{"x":1,"tags":[]},{"_placeholder":true,"num":0}]"#;
    assert_eq!(message::<Point>(point, 1), "this event takes no binary data");
}

#[test]
fn several_arguments_have_a_type_each() {
    type Move = Args<(String, u8, Option<bool>)>;
    let read = |json: &'static str| Move::decode(&arguments(json, 0));
    assert_eq!(read(r#"["m","left",3]"#).unwrap().0, ("left".to_owned(), 3, None));
    assert_eq!(read(r#"["m","left",3,true,"more"]"#).unwrap().0, ("left".to_owned(), 3, Some(true)));
    assert_eq!(
        read(r#"["m","left"]"#).unwrap_err().message(),
        "missing argument 2: expected a whole number from 0 to 255"
    );
    assert_eq!(
        read(r#"["m","left","3"]"#).unwrap_err().message(),
        r#"argument 2: expected a whole number from 0 to 255, got "3""#
    );
    assert_eq!(read(r#"["m",nonsense]"#).unwrap_err().message(), "malformed JSON");
    let ns = Arc::from("/");
    let two = Args((Attachment::from("ab"), [Attachment::from("c")]));
    let told = r#"{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]"#;
    assert_eq!(encode_event(&ns, "m", &two).unwrap().packet(), format!(r#"52-["m",{told}]"#));
    assert_eq!(Plain(two).encode(&ns, 4).unwrap().packet(), format!("62-4[{told}]"));
    assert_eq!(Plain(Args((1, "x"))).encode(&ns, 4).unwrap().packet(), r#"34[1,"x"]"#);
    let file = r#"["m",{"_placeholder":true,"num":0},1]"#;
    assert_eq!(&*Args::<(Attachment, u8)>::decode(&binary(file, &[b"f"])).unwrap().0.0, b"f");
    assert_eq!(
        Args::<(u8, u8)>::decode(&binary(r#"["m",1,2]"#, &[b"f"])).unwrap_err().message(),
        "this event takes no binary data"
    );
}

/// A panic in somebody's `Deserialize` leaves no attachments behind for the thread's next packet.
#[test]
fn attachments_belong_to_one_packet() {
    #[derive(JsonSchema)]
    struct Explodes;
    impl<'de> Deserialize<'de> for Explodes {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> std::result::Result<Self, D::Error> {
            panic!("on purpose")
        }
    }
    let json = r#"["p",{"_placeholder":true,"num":0}]"#;
    let caught = std::panic::catch_unwind(|| Explodes::decode(&binary(json, &[b"secret"])).is_ok());
    assert!(caught.is_err());
    assert_eq!(message::<Attachment>(json, 0), "expected binary data");
}
