//! `[auth]`: how clients show who they are, and which of them are believed.
mod keys;

pub use self::keys::{AlgorithmName, ApiKeySettings, TokenKeySettings, digest};
use crate::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What clients of Engine.IO write into the URL themselves.
const OWN_PARAMETERS: [&str; 5] = ["EIO", "transport", "sid", "t", "b64"];

/// How clients show who they are, and which of them are believed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// What clients must show to connect to a namespace, and to use the HTTP routes of plugins.
    pub mode: AuthMode,
    /// Whether a server that others than this machine can reach may have the mode `open`.
    pub allow_open: bool,
    /// What `key` is for.
    pub algorithm: AlgorithmName,
    /// The only key that tokens are signed with: a secret of 32 bytes or more (48 and 64 for HS384 and HS512), or a
    /// public key in PEM. Several keys stand in `keys`.
    #[schemars(extend("writeOnly" = true))]
    pub key: Option<String>,
    /// The keys that tokens are signed with, where there are several: each with the `kid` that tokens name it by, its
    /// `algorithm`, and its `key`, or a `key_file` that holds it. One may have no `kid`: it is for tokens that name none.
    /// One with `valid_until`, as in 2027-01-31T00:00:00Z, takes its tokens along when it ends.
    #[schemars(extend("writeOnly" = true))]
    pub keys: Vec<TokenKeySettings>,
    /// Where an issuer publishes its keys (JWKS), beside those that stand here: `https://..`, or `http://..` on this machine.
    pub jwks_url: Option<String>,
    /// A file with the authorities (PEM) that vouch for `jwks_url`, where they are not the system's.
    pub jwks_ca: Option<String>,
    /// How often they are read again, in milliseconds. A token with an unknown `kid` has them read at once, every ten seconds at
    /// most.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub jwks_refresh_ms: u64,
    /// How long that may take, in milliseconds. A client whose key is known does not wait for it.
    #[schemars(range(min = 100, max = 60_000))]
    pub jwks_timeout_ms: u64,
    /// The issuers that are believed. When there are any, the claim `iss` must be one of them.
    pub issuers: Vec<String>,
    /// What this server is called in the claim `aud`. When there are any, a token must name one of them; when there are
    /// none, a token that names somebody is not for this server.
    pub audiences: Vec<String>,
    /// The API keys that are believed, each with its `name` and the SHA-256 of the key: `sha256`, in hexadecimal digits.
    /// `namespaces`, `rooms` and `events` list all that it may use, where they are there; `roles` are its roles, and
    /// `info` is for plugins. One with `valid_until` ends then.
    pub api_keys: Vec<ApiKeySettings>,
    /// The name of a cookie that may hold the token or key, where neither `auth.token` nor a header does; no cookie counts without it.
    pub cookie: Option<String>,
    /// The name of a parameter in the URL that may hold it, where nothing else does; none counts without it. URLs are in logs and
    /// histories.
    pub query: Option<String>,
    /// How long a connection stays after its token has ended, in milliseconds: the time to show a newer one with the event
    /// `refresh_token`.
    #[schemars(range(max = 3_600_000))]
    pub expiry_grace_ms: u64,
}

/// What clients must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Nothing: whoever reaches the server may use it.
    Open,
    /// A signed token (JWT).
    Jwt,
    /// An API key.
    ApiKey,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            mode: AuthMode::Open,
            allow_open: false,
            algorithm: AlgorithmName::HS256,
            key: None,
            keys: Vec::new(),
            jwks_url: None,
            jwks_ca: None,
            jwks_refresh_ms: 300_000,
            jwks_timeout_ms: 5_000,
            issuers: Vec::new(),
            audiences: Vec::new(),
            api_keys: Vec::new(),
            cookie: None,
            query: None,
            expiry_grace_ms: 10_000,
        }
    }
}

impl AuthSettings {
    /// `key`, as one of [`keys`](Self::keys) would stand there.
    #[must_use]
    pub fn only_key(&self) -> Option<TokenKeySettings> {
        let key = self.key.clone()?;
        Some(TokenKeySettings {
            kid: None,
            algorithm: self.algorithm,
            key: Some(key),
            key_file: None,
            valid_until: None,
        })
    }

    /// The mode has what it needs, and nothing is said twice.
    pub fn check(&self, problems: &mut Problems) {
        match self.mode {
            AuthMode::Open => {}
            AuthMode::Jwt if self.key.is_none() && self.keys.is_empty() && self.jwks_url.is_none() => {
                problems
                    .add("mode", "tokens need a key")
                    .hint("set `auth.key`, `auth.key_file`, `auth.keys` or `auth.jwks_url`");
            }
            AuthMode::ApiKey if self.api_keys.is_empty() => {
                problems.add("mode", "there is no API key").hint("list them in `auth.api_keys`");
            }
            AuthMode::Jwt | AuthMode::ApiKey => {}
        }
        if self.key.is_some() && !self.keys.is_empty() {
            problems.add("keys", "`key` is the only key").hint("leave one of the two out");
        }
        let token =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        for (key, name) in [("cookie", &self.cookie), ("query", &self.query)] {
            if name.as_ref().is_some_and(|name| name.is_empty() || !token(name)) {
                problems.add(key, "is no name: letters, digits and some signs").hint("for example \"token\"");
            }
        }
        if self.query.as_deref().is_some_and(|name| OWN_PARAMETERS.contains(&name)) {
            problems.add("query", "Engine.IO has this parameter").hint("take another name, such as \"token\"");
        }
        for (index, key) in self.keys.iter().enumerate() {
            if key.key.is_some() == key.key_file.is_some() {
                problems.add(format!("keys[{index}]"), "needs either `key` or `key_file`").hint("set one of the two");
            }
            untimely(problems, "keys", index, key.valid_until.is_some() && key.ends().is_none());
            if self.keys[..index].iter().any(|other| other.kid == key.kid) {
                problems
                    .add(format!("keys[{index}]"), "another key has the same `kid`")
                    .hint("tokens name their key by it");
            }
        }
        for (index, key) in self.api_keys.iter().enumerate() {
            if key.digest().is_none() {
                problems
                    .add(format!("api_keys[{index}].sha256"), "is not a SHA-256: 64 hexadecimal digits")
                    .hint("`printf %s KEY | sha256sum` prints it");
            }
            untimely(problems, "api_keys", index, key.valid_until.is_some() && key.ends().is_none());
            let others = &self.api_keys[..index];
            if key.name.is_empty() || others.iter().any(|other| other.name == key.name) {
                problems
                    .add(format!("api_keys[{index}].name"), "is empty, or another key has it")
                    .hint("plugins and logs tell keys apart by their names");
            }
        }
    }
}

/// Says so when the end of a key is no time.
fn untimely(problems: &mut Problems, list: &str, index: usize, wrong: bool) {
    if wrong {
        problems
            .add(format!("{list}[{index}].valid_until"), "is not a time with its offset from UTC")
            .hint("for example \"2027-01-31T00:00:00Z\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(settings: &str) -> Vec<String> {
        let settings: AuthSettings = toml::from_str(settings).unwrap();
        let mut problems = Problems::default();
        settings.check(&mut problems);
        problems.iter().map(|problem| problem.path.clone()).collect()
    }

    /// What cannot work is told before anybody is asked for a token.
    #[test]
    fn each_mode_has_what_it_needs() {
        let none: [&str; 0] = [];
        assert_eq!(problems(""), none);
        assert_eq!(problems("mode = 'jwt'"), ["mode"]);
        assert_eq!(problems("mode = 'api_key'"), ["mode"]);
        assert_eq!(problems("mode = 'jwt'\nkey = 'k'"), none);
        assert_eq!(problems("mode = 'jwt'\njwks_url = 'https://x'"), none);
        assert_eq!(problems("key = 'k'\nkeys = [{ algorithm = 'HS256', key = 'k' }]"), ["keys"]);
        assert_eq!(problems("keys = [{ algorithm = 'HS256' }]"), ["keys[0]"]);
        let keys = "{ algorithm = 'HS256', key = 'k', kid = 'a' }, { algorithm = 'ES256', key_file = 'k', kid = 'a' }";
        assert_eq!(problems(&format!("keys = [{keys}]")), ["keys[1]"]);
        for (name, good) in [("token", true), ("__Host-token", true), ("", false), ("a b", false), ("a=b", false)] {
            assert_eq!(problems(&format!("cookie = '{name}'")).is_empty(), good, "{name}");
        }
        assert_eq!(problems("query = 'sid'"), ["query"]);
        for (time, good) in [("2027-01-31T00:00:00Z", true), ("2027-01-31T00:00:00+01:00", true), ("2027-01-31", false)]
        {
            let told = problems(&format!("keys = [{{ algorithm = 'HS256', key = 'k', valid_until = '{time}' }}]"));
            assert_eq!(told.is_empty(), good, "{time}: {told:?}");
        }
        let ended = "api_keys = [{ name = 'a', sha256 = 'x', valid_until = 'soon' }]";
        assert_eq!(problems(ended), ["api_keys[0].sha256", "api_keys[0].valid_until"]);
        assert_eq!(problems("api_keys = [{ name = '', sha256 = 'x' }]"), ["api_keys[0].sha256", "api_keys[0].name"]);
    }
}
