//! `[bus]`: what connects plugins, other programs and other Carillons.
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes of the prefix at most.
const PREFIX_MAX: usize = 64;
/// Bytes of a secret that nobody guesses.
const SECRET_MIN: usize = 16;

/// What connects plugins, other programs and other Carillons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// The bus, by address; its scheme picks the kind. `memory://` lives inside this process and needs nothing else;
    /// `redis://host`, `redis+sentinel://host,host/db/master` and `redis+cluster://host,host` connect to other programs and
    /// other Carillons.
    pub url: String,
    /// The password, where it does not stand in the address: at least its file can then be kept from other readers.
    #[schemars(extend("writeOnly" = true))]
    pub password: Option<String>,
    /// What stands in front of the names of Carillon's own channels and keys. On a Redis Cluster channels that begin so are
    /// shard channels. Installations that share a Redis and are not
    /// to see each other have different ones. What other programs publish, the relay's rows and what `/monitoring` keeps (`cluster:*`) is named as it stands, whatever the
    /// prefix.
    pub prefix: String,
    /// Known to all Carillons of an installation, and to nobody else: only messages of those who prove it are heard, and
    /// none that is older than 60 s. Without it whoever may publish on the bus can speak for a Carillon.
    #[schemars(extend("writeOnly" = true))]
    pub secret: Option<String>,
    /// Whether `/readyz` answers 503 while the bus is away. When false it answers 200 and says `degraded`: clients of
    /// this server are served on.
    pub required: bool,
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            url: "memory://".to_owned(),
            password: None,
            prefix: "carillon".to_owned(),
            secret: None,
            required: false,
        }
    }
}

impl BusSettings {
    /// The address has a scheme, and the password is said once. Whether a bus of that kind is linked in is known to the
    /// router, not here.
    pub fn check(&self, problems: &mut Problems) {
        let named = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if !(1..=PREFIX_MAX).contains(&self.prefix.len()) || !self.prefix.bytes().all(named) {
            problems
                .add("prefix", format!("is 1 to {PREFIX_MAX} letters, digits and `-_.:`"))
                .hint("the default is `prefix = \"carillon\"`");
        }
        if self.secret.as_ref().is_some_and(|secret| secret.len() < SECRET_MIN) {
            problems
                .add("secret", format!("has {SECRET_MIN} bytes at least"))
                .hint("for example what `openssl rand -hex 32` prints");
        }
        let valid = |scheme: &str| {
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        };
        let Some((scheme, rest)) = self.url.split_once("://").filter(|(scheme, _)| valid(scheme)) else {
            // The value is not repeated: it may hold a password that only a wellformed address lets us mask.
            problems
                .add("url", "is not an address of the form `scheme://..`")
                .hint("the default is `url = \"memory://\"`");
            return;
        };
        if self.password.is_none() {
            return;
        }
        if scheme == "memory" {
            problems.add("password", "the bus `memory://` has none").hint("leave it out, or set `url`");
        } else if credentials(rest).is_some_and(|told| told.contains(':')) || rest.contains("pass=") {
            problems.add("password", "`url` holds a password too").hint("leave one of the two out");
        }
    }

    /// The address with the password in it, as buses take it.
    #[must_use]
    pub fn address(&self) -> String {
        let Some((password, (scheme, rest))) = self.password.as_deref().zip(self.url.split_once("://")) else {
            return self.url.clone();
        };
        let password = escaped(password);
        match credentials(rest) {
            _ if scheme == "unix" => {
                format!("{}{}pass={password}", self.url, if rest.contains('?') { '&' } else { '?' })
            }
            Some(user) => format!("{scheme}://{user}:{password}{}", &rest[user.len()..]),
            None => format!("{scheme}://:{password}@{rest}"),
        }
    }
}

/// What stands before the `@` of an address.
fn credentials(rest: &str) -> Option<&str> {
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@').map(|(credentials, _)| credentials)
}

/// A text as an address can hold it.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus(url: &str, password: &str) -> BusSettings {
        BusSettings { url: url.to_owned(), password: Some(password.to_owned()), ..BusSettings::default() }
    }

    /// A password of its own is put where the address has room for it, whatever characters it has.
    #[test]
    fn a_password_joins_the_address() {
        for (url, address) in [
            ("redis://h", "redis://:p%40%2Fss@h"),
            ("rediss://user@h:6380/2?timeout_ms=100", "rediss://user:p%40%2Fss@h:6380/2?timeout_ms=100"),
            ("redis+sentinel://a,b:1/0/m", "redis+sentinel://:p%40%2Fss@a,b:1/0/m"),
            ("redis+cluster://user@a,b", "redis+cluster://user:p%40%2Fss@a,b"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock?pass=p%40%2Fss"),
            ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2&pass=p%40%2Fss"),
        ] {
            assert_eq!(bus(url, "p@/ss").address(), address);
        }
        assert_eq!(BusSettings::default().address(), "memory://");
    }

    /// A prefix is part of names, and a secret is one.
    #[test]
    fn prefix_and_secret_are_checked() {
        for (prefix, secret, count) in [
            ("carillon", None, 0),
            ("eu-1:chat", Some("0123456789abcdef"), 0),
            ("", None, 1),
            ("a b", None, 1),
            (&*"p".repeat(65), None, 1),
            ("carillon", Some("short"), 1),
        ] {
            let mut problems = Problems::default();
            let bus =
                BusSettings { prefix: prefix.to_owned(), secret: secret.map(str::to_owned), ..BusSettings::default() };
            bus.check(&mut problems);
            assert_eq!(problems.len(), count, "{prefix:?} {secret:?}");
        }
    }

    /// Two passwords, or one for a bus that has none, are mistakes.
    #[test]
    fn a_password_is_said_once() {
        for (url, count) in
            [("redis://h", 0), ("redis://u@h", 0), ("redis://u:p@h", 1), ("redis://:p@h", 1), ("memory://", 1)]
        {
            let mut problems = Problems::default();
            bus(url, "x").check(&mut problems);
            assert_eq!(problems.len(), count, "{url}");
        }
    }
}
