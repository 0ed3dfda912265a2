//! Who clients are: checks the tokens and API keys that they show, as `[auth]` says.
//!
//! The router asks at every CONNECT and for every request of a plugin's route, whichever engine serves. A client that is
//! refused is told one text, whatever the reason is, unless published keys have never been read; the reason is in the log, one line a second, and in a metric.

mod api_keys;
mod issue;
mod jwks;
mod key;
mod places;
mod reason;
mod revocation;
mod token;
mod unique;

use std::borrow::Cow;
use std::sync::{Arc, Weak};

use carillon_config::{AuthMode, AuthSettings};
use carillon_core::bus::Bus;
use carillon_core::identity::{Authenticate, Identity, Shown, unauthorized};
use carillon_core::lifecycle::App;
use carillon_core::metrics::Metrics;
use carillon_core::throttle::Throttle;
use carillon_core::{Error, Result};
use futures_util::future::BoxFuture;
use prometheus::{IntCounterVec, Opts};
use tokio_util::sync::CancellationToken;

use self::api_keys::ApiKeys;
pub(crate) use self::issue::{Claims, Signing, issue};
use self::jwks::Jwks;
use self::places::Places;
use self::reason::Reason;
use self::revocation::{Follower, Revoked};
pub(crate) use self::revocation::{Revocation, revoke};
use self::token::Tokens;

/// The longest token or key that is looked at, in bytes.
pub(crate) const LONGEST: usize = 8 * 1024;

/// Checks what clients show.
pub(crate) struct Auth {
    way: Way,
    places: Places,
    revoked: Arc<Revoked>,
    jwks: jwks::Series,
    refused: IntCounterVec,
    log: Throttle,
}

/// Adds the series of what is refused, also where nobody is asked.
///
/// # Errors
/// When its name is taken.
pub(crate) fn register(core: &Metrics, auth: Option<&Auth>) -> Result<()> {
    let revoked = auth.map_or_else(|| Revoked::new().map(Arc::new), |auth| Ok(Arc::clone(&auth.revoked)))?;
    core.register(revoked.number.clone())?;
    let jwks = auth.map_or_else(jwks::Series::new, |auth| Ok(auth.jwks.clone()))?;
    core.register(jwks.fetches)?;
    core.register(jwks.keys)?;
    core.register(auth.map_or_else(counter, |auth| Ok(auth.refused.clone()))?).map(drop)
}

fn counter() -> Result<IntCounterVec> {
    let help = "Clients and requests that showed no valid token or key.";
    let refused = IntCounterVec::new(Opts::new("carillon_auth_refused_total", help), &["reason"])?;
    for reason in Reason::ALL {
        refused.with_label_values(&[reason.as_str()]);
    }
    Ok(refused)
}

enum Way {
    Tokens(Tokens),
    Keys(ApiKeys),
}

impl Auth {
    /// What `settings` ask for; `None` when nobody is asked.
    ///
    /// # Errors
    /// The keys that are none, one line each.
    pub(crate) fn new(settings: &AuthSettings) -> Result<Option<Arc<Self>>, Vec<String>> {
        let jwks = jwks::Series::new().map_err(|error| vec![error.to_string()])?;
        let way = match settings.mode {
            AuthMode::Open => return Ok(None),
            AuthMode::Jwt => Way::Tokens(Tokens::new(settings, Jwks::new(settings, &jwks))?),
            AuthMode::ApiKey => Way::Keys(ApiKeys::new(&settings.api_keys)?),
        };
        let refused = counter().map_err(|error| vec![error.to_string()])?;
        let revoked = Arc::new(Revoked::new().map_err(|error| vec![error.to_string()])?);
        Ok(Some(Arc::new(Self {
            way,
            places: Places::new(settings),
            revoked,
            jwks,
            refused,
            log: Throttle::per_second(),
        })))
    }

    /// Keeps the published keys as they are at their address, where there is one, until `stop`.
    pub(crate) async fn keep_keys(self: Arc<Self>, stop: CancellationToken) {
        if let Way::Tokens(Tokens { published: Some(published), .. }) = &self.way {
            Arc::clone(published).run(stop).await;
        }
    }

    /// Reads the published keys once, where there is an address of them.
    ///
    /// # Errors
    /// Why they are not known.
    pub(crate) async fn fetch_keys(&self) -> Result<(), String> {
        match &self.way {
            Way::Tokens(Tokens { published: Some(published), .. }) => published.fetch().await,
            _ => Ok(()),
        }
    }

    /// Who keeps what is revoked as a bus has it, for the clients of `app`; it has been read, unless the bus is away.
    pub(crate) async fn follow(&self, bus: Arc<dyn Bus>, app: Weak<App>) -> Follower {
        Follower::new(Arc::clone(&self.revoked), bus, app).await
    }

    /// Whose token or key that is, for who runs the server.
    ///
    /// # Errors
    /// Why it is refused, in words for the operator.
    pub(crate) fn judge(&self, text: &str) -> Result<Identity, &'static str> {
        let shown = Some(text).filter(|text| !text.is_empty()).ok_or(Reason::Missing);
        shown.and_then(|text| self.check_text(text)).map_err(Reason::told)
    }

    fn check(&self, shown: &Shown) -> Result<Identity, Reason> {
        self.check_text(&self.text(shown).ok_or(Reason::Missing)?)
    }

    /// The token or key that counts of what is shown.
    fn text<'a>(&self, shown: &'a Shown) -> Option<Cow<'a, str>> {
        let keys = matches!(self.way, Way::Keys(_));
        let text = shown
            .token
            .as_deref()
            .or_else(|| shown.authorization.as_deref().and_then(bearer))
            .or_else(|| shown.api_key.as_deref().filter(|_| keys));
        text.map(Cow::from).or_else(|| self.places.find(shown))
    }

    fn check_text(&self, text: &str) -> Result<Identity, Reason> {
        if text.len() > LONGEST {
            return Err(Reason::TooLong);
        }
        let identity = match &self.way {
            Way::Tokens(tokens) => tokens.check(text)?,
            Way::Keys(keys) => keys.check(text)?,
        };
        if self.revoked.covers(&identity) { Err(Reason::Revoked) } else { Ok(identity) }
    }

    fn refuse(&self, reason: Reason) -> Error {
        let label = reason.as_str();
        self.refused.with_label_values(&[label]).inc();
        if let Some(left_out) = self.log.allow() {
            tracing::warn!(reason = label, left_out, "a client was refused: {}", reason.told());
        }
        // Who comes with a good token while the issuer is away is told to come again, and has not failed.
        if reason == Reason::KeysUnread { Error::unavailable("the keys are not known yet") } else { unauthorized() }
    }
}

impl Authenticate for Auth {
    fn authenticate(&self, shown: &Shown) -> Result<Identity> {
        self.check(shown).map_err(|reason| self.refuse(reason))
    }

    fn prepare(&self, shown: &Shown) -> Option<BoxFuture<'static, ()>> {
        match &self.way {
            Way::Tokens(tokens) if tokens.published.is_some() => {
                tokens.prepare(&self.text(shown).filter(|text| text.len() <= LONGEST)?)
            }
            _ => None,
        }
    }

    fn is_revoked(&self, identity: &Identity) -> bool {
        self.revoked.covers(identity)
    }
}

/// The text after `Bearer`.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, text) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

#[cfg(test)]
mod tests;
