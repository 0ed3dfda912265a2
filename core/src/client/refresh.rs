//! A client shows a newer token and stays: the built-in event `refresh_token`, taken before queues and plugins.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytestring::ByteString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Client, What};
use crate::answer::{finish, split};
use crate::error::{Error, Result};
use crate::expiry::Place;
use crate::identity::{Authenticate, Shown};
use crate::payload::{Reply, argument};
use crate::sink::Reason;

/// The event.
pub(crate) const EVENT: &str = "refresh_token";
/// The least time between two of one client: checking a signature costs more than asking for it.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a client may stay.
#[derive(Default)]
pub(super) struct Term {
    place: Option<Place>,
    refreshed: Option<Instant>,
    over: bool,
}

/// What the client shows.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Refresh {
    /// The new token.
    token: String,
}

/// What it is answered.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Refreshed {
    /// When the new token ends, in seconds since 1970.
    exp: Option<u64>,
}

impl Client {
    fn term(&self) -> MutexGuard<'_, Term> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client stays until its token ends.
    pub(super) fn begin_term(self: &Arc<Self>) {
        let Some(identity) = self.peer.identity() else { return };
        let mut term = self.term();
        if !term.over {
            term.place = self.namespace.expiries.watch(self, &identity);
        }
    }

    /// The client is gone.
    pub(super) fn end_term(&self) {
        let mut term = self.term();
        term.over = true;
        if let Some(place) = term.place.take() {
            self.namespace.expiries.forget(place);
        }
    }

    /// The client's token has ended, and so has the time after that.
    pub(crate) fn expired(&self) {
        if let Some(sink) = self.sink() {
            sink.close(Reason::TokenExpired);
        }
    }

    /// Ends the client when what let it in was revoked; whether it was. Not to be called with the queue locked.
    pub(crate) fn end_if_revoked(&self) -> bool {
        let Some(authenticate) = &self.namespace.authenticate else { return false };
        let revoked = self.peer.identity().is_some_and(|identity| authenticate.is_revoked(&identity));
        if let Some(sink) = self.sink().filter(|_| revoked) {
            sink.close(Reason::TokenRevoked);
        }
        revoked
    }

    /// Answers `refresh_token`.
    pub(super) fn show_newer(self: &Arc<Self>, authenticate: &dyn Authenticate, json: ByteString, ack: Option<i64>) {
        let (_, series, args) = split(self, &json, &[]);
        let outcome = args
            .and_then(|args| self.refresh(authenticate, &json[args]))
            .and_then(|answer| ack.map(|id| answer.encode(&self.namespace.name, id)).transpose());
        finish(self, &What::Event(json, ack), series, outcome.map_err(Into::into));
        // What is revoked meanwhile was not looked for at the new token.
        self.end_if_revoked();
    }

    fn refresh(self: &Arc<Self>, authenticate: &dyn Authenticate, args: &str) -> Result<Refreshed> {
        let mut term = self.term();
        let now = Instant::now();
        let wait = term.refreshed.and_then(|last| (last + PAUSE).checked_duration_since(now));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(Error::rate_limited("a token can be refreshed once a second").retry_after(wait));
        }
        term.refreshed = Some(now);
        let Refresh { token } = argument(args)?;
        let shown = Shown { token: Some(token.into()), ..Shown::default() };
        // Nobody waits here: a key that is not known is asked for, and the client asks again.
        drop(authenticate.prepare(&shown));
        let identity = authenticate.authenticate(&shown)?;
        if self.peer.identity().is_none_or(|known| known.subject() != identity.subject()) {
            return Err(Error::forbidden("the token is somebody else's"));
        }
        self.namespace.admits(Some(&identity))?;
        if term.over {
            return Err(Error::unavailable("the client has left this namespace"));
        }
        let exp = identity.expires_at().and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
        let place = self.namespace.expiries.watch(self, &identity);
        if let Some(old) = std::mem::replace(&mut term.place, place) {
            self.namespace.expiries.forget(old);
        }
        self.peer.identify(identity);
        Ok(Refreshed { exp: exp.map(|exp| exp.as_secs()) })
    }
}
