//! What is wrong with an argument, told to whoever sent it: by field and shape, in JSON's words and never in Rust's.

use serde::de::{DeserializeOwned, IgnoredAny};

/// What a mistake may say at most, in bytes: serde repeats the value it did not like, which may be as long as the event.
const MESSAGE_MAX: usize = 200;

/// Decodes `json` once more, slowly, to say where its first mistake is and what was expected there; `None` when the
/// first value has none.
pub(crate) fn first_mistake<T: DeserializeOwned>(json: &str) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let error = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?;
    let path = error.path().to_string();
    let mut text = in_words_of_json(&error.inner().to_string());
    // What serde_json says to any value that cannot be a variant, and to text that is no value.
    if text == "expected value" {
        let valid = serde_json::Deserializer::from_str(json).into_iter::<IgnoredAny>().next();
        let valid = valid.is_some_and(|value| value.is_ok());
        (if valid { "expected a string or an object" } else { "malformed JSON" }).clone_into(&mut text);
    }
    Some(cut(if path == "." { text } else { format!("{path}: {text}") }))
}

/// What is said when there is no argument and there has to be one.
pub(crate) fn missing<T: DeserializeOwned>() -> String {
    let expected = first_mistake::<T>("null").unwrap_or_default();
    let expected = expected.rsplit_once("expected ").map_or("a value", |(_, shape)| shape);
    let field = first_mistake::<T>("{}").filter(|_| expected == "an object");
    let field = field.as_deref().and_then(|text| text.strip_prefix("missing field "));
    let with = field.map_or_else(String::new, |field| format!(" with {field}"));
    format!("argument 1 is missing: expected {expected}{with}")
}

/// A message of serde's without its place in the text, which says nothing to the sender of an object, and without
/// Rust's names of types.
pub(crate) fn in_words_of_json(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    if text.starts_with("data did not match any variant of untagged enum") {
        return "the value has none of the shapes allowed here".to_owned();
    }
    match text.rsplit_once(", expected ") {
        Some((found, expected)) => format!("{}, expected {}", found_in_json(found), expected_in_json(expected)),
        None => text.to_owned(),
    }
}

/// `invalid type: map`, as JSON calls it.
fn found_in_json(found: &str) -> String {
    let Some((mistake, value)) = found.split_once(": ") else { return found.to_owned() };
    let value = match value {
        "map" | "newtype variant" | "struct variant" | "tuple variant" => "object",
        "sequence" => "array",
        "unit value" | "Option value" => "null",
        "unit variant" => "string",
        "newtype struct" => "value",
        other => match other.strip_prefix("floating point ") {
            Some(number) => return format!("{mistake}: number {number}"),
            None => other,
        },
    };
    format!("{mistake}: {value}")
}

/// What was expected, as JSON calls it. A text of an author's own visitor stays as it is.
fn expected_in_json(expected: &str) -> String {
    let words: Vec<&str> = expected.split(' ').collect();
    let elements = |count: &str| format!("an array of {count} element{}", if count == "1" { "" } else { "s" });
    match &words[..] {
        ["struct" | "tuple", .., "with", count, "element" | "elements"]
        | ["a", "tuple", "of", "size", count]
        | ["an", "array", "of", "length", count] => elements(count),
        ["struct", ..] | ["a" | "an", "map"] | ["map"] => "an object".to_owned(),
        ["internally" | "adjacently", "tagged", "enum", ..] => "an object".to_owned(),
        ["enum", _] | ["variant", "identifier"] => "a string or an object".to_owned(),
        ["tuple", "struct" | "variant", ..] | ["a", "sequence"] | ["sequence"] => "an array".to_owned(),
        ["unit", "variant", _] | ["a", "borrowed", "string"] => "a string".to_owned(),
        ["unit", ..] => "null".to_owned(),
        ["newtype", ..] | ["option"] => "another value".to_owned(),
        ["a", "nonzero", _] => "a whole number other than 0".to_owned(),
        ["a", "character"] => "a string of one character".to_owned(),
        ["f32" | "f64"] => "a number".to_owned(),
        [number] => whole_number(number).unwrap_or_else(|| expected.to_owned()),
        _ => expected.to_owned(),
    }
}

/// The range of one of Rust's integers.
fn whole_number(name: &str) -> Option<String> {
    let of = |least: i128, most: u128| Some(format!("a whole number from {least} to {most}"));
    match name {
        "u8" => of(0, u8::MAX.into()),
        "u16" => of(0, u16::MAX.into()),
        "u32" => of(0, u32::MAX.into()),
        "u64" | "u128" | "usize" => Some("a whole number, not negative".to_owned()),
        "i8" => of(i8::MIN.into(), i8::MAX as u128),
        "i16" => of(i16::MIN.into(), i16::MAX as u128),
        "i32" => of(i32::MIN.into(), i32::MAX as u128),
        "i64" | "i128" | "isize" => Some("a whole number".to_owned()),
        _ => None,
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MESSAGE_MAX {
        text.truncate(text.floor_char_boundary(MESSAGE_MAX));
        text.push_str("..");
    }
    text
}
