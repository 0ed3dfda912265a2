//! What is revoked, and until when; how that is written.

use carillon_core::time::milliseconds;
use serde::{Deserialize, Serialize};

use super::LIMIT;

/// Bytes of a subject or an id.
const LONGEST: usize = 256;
/// Bytes of a list.
const LIST_MAX: usize = 8 << 20;
/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

/// Tokens that are revoked: those of a subject, the one of an id, or all; of them those issued before a time, or all.
/// Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    /// Whose: the claim `sub`, or the name of an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<String>,
    /// The claim `jti` of one token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<String>,
    /// Only tokens whose `iat` is missing or smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<u64>,
    /// When this is forgotten.
    pub(crate) until: u64,
}

impl Revocation {
    /// Whether it says what it may say.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let texts = || self.sub.iter().chain(&self.jti);
        match self {
            Self { sub: None, jti: None, before: None, .. } => Err("nothing is named that is to be revoked"),
            Self { sub: Some(_), jti: Some(_), .. } | Self { jti: Some(_), before: Some(_), .. } => {
                Err("the id of a token stands alone")
            }
            _ if texts().any(|text| text.is_empty() || text.len() > LONGEST) => Err("a name has 1 to 256 bytes"),
            _ if self.until > LAST || self.before.is_some_and(|before| before > LAST) => Err("a time is out of reach"),
            _ => Ok(()),
        }
    }
}

/// Seconds since 1970.
pub(in crate::auth) fn now() -> u64 {
    milliseconds() / 1_000
}

/// The revocations of a list, if it is one.
pub(super) fn read(list: &[u8]) -> Option<Vec<Revocation>> {
    let list = Some(list).filter(|list| list.len() <= LIST_MAX)?;
    let list: Vec<Revocation> = serde_json::from_slice(list).ok()?;
    (list.len() <= LIMIT && list.iter().all(|one| one.check().is_ok())).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists are taken whole or not at all: what is not understood could mean more than it seems.
    #[test]
    fn lists_are_understood_or_refused() {
        for good in [
            "[]",
            r#"[{"sub":"ann","until":1}]"#,
            r#"[{"jti":"x","until":1},{"before":7,"until":1},{"sub":"ann","before":7,"until":1}]"#,
        ] {
            let list = read(good.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&list).unwrap(), good);
        }
        let long = "x".repeat(LONGEST + 1);
        for bad in [
            "",
            "{}",
            r#"[{"until":1}]"#,
            r#"[{"sub":"ann"}]"#,
            r#"[{"sub":"","until":1}]"#,
            r#"[{"sub":"ann","until":-1}]"#,
            r#"[{"sub":"ann","until":253402300800}]"#,
            r#"[{"before":253402300800,"until":1}]"#,
            r#"[{"sub":"ann","jti":"x","until":1}]"#,
            r#"[{"jti":"x","before":1,"until":1}]"#,
            r#"[{"sub":"ann","and":"more","until":1}]"#,
            r#"[{"sub":"ann","until":1},{"sub":7,"until":1}]"#,
            &format!(r#"[{{"sub":"{long}","until":1}}]"#),
            &format!("[{}]", vec![r#"{"sub":"ann","until":1}"#; LIMIT + 1].join(",")),
            &format!("[]{}", " ".repeat(LIST_MAX)),
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{}", &bad[..bad.len().min(80)]);
        }
    }
}
