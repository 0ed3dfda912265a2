//! Received events: the name split off, the arguments left alone.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// A received event: its name, and where its arguments stand in the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EventText<'a> {
    pub(crate) name: Cow<'a, str>,
    /// Byte range of `args..`, without the brackets; empty when there are none.
    pub(crate) args: std::ops::Range<usize>,
    /// Where the name ends, with its quotes.
    pub(crate) name_end: usize,
}

/// Splits `["name",args..]` without looking into the arguments.
///
/// # Errors
/// `bad_payload` when the text is not an array that begins with a string.
pub(crate) fn split_event(json: &str) -> Result<EventText<'_>> {
    let malformed = || Error::bad_payload("not a Socket.IO event: expected [\"name\", ...]");
    let space = |at: usize| at + json[at..].bytes().take_while(u8::is_ascii_whitespace).count();
    let end = json.trim_ascii_end().len();
    if !json.starts_with('[') || end < 2 || json.as_bytes()[end - 1] != b']' {
        return Err(malformed());
    }
    let at = space(1);
    if json.as_bytes().get(at) != Some(&b'"') {
        return Err(malformed());
    }
    let body = &json[at + 1..];
    let stop = body.bytes().position(|byte| byte == b'"' || byte == b'\\').ok_or_else(malformed)?;
    let (name, after) = if body.as_bytes()[stop] == b'"' {
        (Cow::Borrowed(&body[..stop]), at + 1 + stop + 1)
    } else {
        let mut names = serde_json::Deserializer::from_str(&json[at..]).into_iter::<String>();
        let name = names.next().and_then(std::result::Result::ok).ok_or_else(malformed)?;
        (Cow::Owned(name), at + names.byte_offset())
    };
    let next = space(after);
    match json.as_bytes()[next] {
        b',' if next < end - 1 => Ok(EventText { name, args: next + 1..end - 1, name_end: after }),
        b']' if next == end - 1 => Ok(EventText { name, args: next..next, name_end: after }),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_split_at_the_name() {
        let split = |json: &'static str| split_event(json).map(|e| (e.name.into_owned(), &json[e.args]));
        for (json, name, args) in [
            ("[\"a\"]", "a", ""),
            ("[\"a\",1]", "a", "1"),
            ("[ \"a\" , {\"b\":[1]},\"]\" ]", "a", " {\"b\":[1]},\"]\" "),
            ("[\"\\u00e9\",1]", "é", "1"),
            ("[\"\"]", "", ""),
        ] {
            assert_eq!(split(json).unwrap(), (name.to_owned(), args), "{json}");
        }
        for json in
            ["", "[", "]", "[]", "{}", "[1]", "[\"a\"", "[\"a]", "[\"a\"1]", "[\"a\",]x", "\"a\"", "[\"\\", "[\"\\q\"]"]
        {
            assert!(split(json).is_err(), "{json}");
        }
    }
}
