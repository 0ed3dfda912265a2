//! Whose limit it is: what is counted of refusals, and what clients are told.

use std::time::Duration;

use crate::error::Error;

/// A label of `carillon_rate_limited_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    ConnectionEvents,
    ConnectionBytes,
    SubjectEvents,
    SubjectBytes,
    /// The limit of one event.
    Event,
    FailedConnects,
}

impl Scope {
    pub(super) const ALL: [Self; 6] = [
        Self::ConnectionEvents,
        Self::ConnectionBytes,
        Self::SubjectEvents,
        Self::SubjectBytes,
        Self::Event,
        Self::FailedConnects,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionEvents => "connection_events",
            Self::ConnectionBytes => "connection_bytes",
            Self::SubjectEvents => "subject_events",
            Self::SubjectBytes => "subject_bytes",
            Self::Event => "event",
            Self::FailedConnects => "failed_connects",
        }
    }
}

/// What is over a limit, and how long that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) scope: Scope,
    pub(crate) wait: Duration,
}

impl Over {
    /// What the client is told.
    pub(crate) fn error(self) -> Error {
        let text = match self.scope {
            Scope::ConnectionEvents => "this connection sends too many events",
            Scope::ConnectionBytes => "this connection sends too many bytes",
            Scope::SubjectEvents => "all your connections together send too many events",
            Scope::SubjectBytes => "all your connections together send too many bytes",
            Scope::Event => "this event was sent too often",
            Scope::FailedConnects => "too many clients of this address were refused",
        };
        Error::rate_limited(text).retry_after(self.wait)
    }
}
