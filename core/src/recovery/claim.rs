//! What a client says at its CONNECT about getting on where it left off.

use bytestring::ByteString;
use serde_json::{Map, Value};

use super::is_pid;
use crate::journal::Offset;
use crate::peer::Peer;

/// See the module's documentation.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The pid it was told before.
    pub(crate) pid: Option<String>,
    /// The last offset it has got; none when it has got nothing.
    pub(crate) offset: Option<Offset>,
    /// Whether it takes offsets, if it says so.
    pub(crate) wanted: Option<bool>,
    /// It has shown an offset that is none of ours.
    pub(crate) astray: bool,
}

impl Claim {
    /// Takes a claim out of what a client sends as `auth`: its plugin gets what is left.
    pub(crate) fn take(peer: &Peer) -> Self {
        let Some(auth) = peer.auth() else { return Self::default() };
        let Ok(mut object) = serde_json::from_str::<Map<String, Value>>(&auth) else { return Self::default() };
        let mut claim = Self::default();
        if let Some(Value::Bool(wanted)) = object.get("recovery") {
            claim.wanted = Some(*wanted);
            object.remove("recovery");
        }
        // Without a pid of ours, an `offset` is the application's own.
        if let Some(Value::String(pid)) = object.get("pid").filter(|pid| pid.as_str().is_some_and(is_pid)) {
            claim.pid = Some(pid.clone());
            object.remove("pid");
            if let Some(offset) = object.remove("offset") {
                claim.offset = offset.as_str().and_then(|offset| offset.parse().ok());
                claim.astray = claim.offset.is_none();
            }
        }
        if claim != Self::default() {
            let left = (!object.is_empty()).then(|| ByteString::from(Value::Object(object).to_string()));
            peer.set_auth(left);
        }
        claim
    }

    /// Whether a client takes offsets: it says so, or has taken a pid for what it is, or is one that is known to.
    pub(crate) fn takes_offsets(&self, peer: &Peer) -> bool {
        self.wanted.unwrap_or_else(|| self.pid.is_some() || peer.is_stock_javascript())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Transport;

    const PID: &str = "pid-abcdefghijklmnopqrstuv23";

    fn take(auth: &str) -> (Claim, Option<String>) {
        let peer =
            Peer::new(([127, 0, 0, 1], 1).into(), Transport::WebSocket, String::new(), Some(auth.to_owned().into()));
        let claim = Claim::take(&peer);
        (claim, peer.auth().map(|auth| auth.to_string()))
    }

    /// What is meant for us is taken out, and nothing else.
    #[test]
    fn a_claim_is_told_from_what_is_the_applications() {
        let (claim, left) = take(&format!(r#"{{"pid":"{PID}","offset":"e-1","token":"t"}}"#));
        assert_eq!((claim.pid.as_deref(), claim.offset), (Some(PID), Some("e-1".parse().unwrap())));
        assert_eq!(left.as_deref(), Some(r#"{"token":"t"}"#));
        let (claim, left) = take(&format!(r#"{{"pid":"{PID}"}}"#));
        assert_eq!((claim.pid.as_deref(), claim.offset, claim.astray, left), (Some(PID), None, false, None));
        let (claim, left) = take(&format!(r#"{{"pid":"{PID}","offset":"some text"}}"#));
        assert_eq!((claim.offset, claim.astray, left), (None, true, None));
        for recovery in [true, false] {
            let (claim, left) = take(&format!(r#"{{"recovery":{recovery}}}"#));
            assert_eq!((claim.wanted, left), (Some(recovery), None));
        }
        for auth in [
            r#"{"pid":7,"offset":"e-1"}"#,
            r#"{"pid":"mine","offset":"e-1"}"#,
            r#"{"pid":"pid-ABCDEFGHIJKLMNOPQRSTUV23"}"#,
            r#"{"pid":"pid-a"}"#,
            r#"{"offset":"e-1"}"#,
            r#"{"recovery":"yes"}"#,
            "7",
            "null",
            r#""pid""#,
            "[]",
        ] {
            assert_eq!(take(auth), (Claim::default(), Some(auth.to_owned())), "{auth}");
        }
    }
}
