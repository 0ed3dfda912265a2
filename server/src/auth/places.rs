//! Where else a token or key may stand, once the settings say so: a cookie, or a parameter in the URL.

use std::borrow::Cow;

use carillon_config::AuthSettings;
use carillon_core::identity::Shown;
use url::form_urlencoded;

/// The names that count.
pub(super) struct Places {
    cookie: Option<String>,
    query: Option<String>,
}

impl Places {
    pub(super) fn new(settings: &AuthSettings) -> Self {
        Self { cookie: settings.cookie.clone(), query: settings.query.clone() }
    }

    /// What stands there, the cookie first.
    pub(super) fn find<'a>(&self, shown: &'a Shown) -> Option<Cow<'a, str>> {
        let cookie = self.cookie.as_deref().and_then(|name| cookie(shown.cookie.as_deref()?, name));
        cookie.map(Cow::from).or_else(|| parameter(shown.query.as_deref()?, self.query.as_deref()?))
    }
}

/// The first cookie of this name, without the quotes that may stand around a value.
fn cookie<'a>(header: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim() == wanted)?;
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(quoted.unwrap_or(value))
}

/// The first parameter of this name.
fn parameter<'a>(query: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place counts only where the settings name it; of two with one name the first counts.
    #[test]
    fn only_named_places_count() {
        let shown = Shown {
            cookie: Some("other=1; token=first ;token=second; quoted=\"q\"; empty=; flag".into()),
            query: Some("EIO=4&token=a%2Bb&token=c&xtoken=d".into()),
            ..Shown::default()
        };
        let find = |cookie: Option<&str>, query: Option<&str>| {
            let places = Places { cookie: cookie.map(str::to_owned), query: query.map(str::to_owned) };
            places.find(&shown).map(Cow::into_owned)
        };
        for (cookie, query, expected) in [
            (None, None, None),
            (Some("token"), None, Some("first")),
            (Some("quoted"), None, Some("q")),
            (Some("empty"), None, Some("")),
            (Some("flag"), None, None),
            (Some("oken"), None, None),
            (None, Some("token"), Some("a+b")),
            (None, Some("oken"), None),
            (Some("token"), Some("token"), Some("first")),
            (Some("none"), Some("token"), Some("a+b")),
        ] {
            assert_eq!(find(cookie, query).as_deref(), expected, "{cookie:?} {query:?}");
        }
    }
}
