//! What a handler returns when it cannot answer: a code the client can act on and a message written for a person.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// A handler's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed, as the client sees it in `error.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The argument is missing or not of the event's type.
    BadPayload,
    /// The namespace has no such event.
    UnknownEvent,
    /// The thing asked for does not exist.
    NotFound,
    /// The client has not shown a valid token or key.
    Unauthorized,
    /// The client may not do this.
    Forbidden,
    /// The message is larger than the limit.
    TooLarge,
    /// The client asked too often.
    RateLimited,
    /// A queue is full; the call was not started.
    Overloaded,
    /// The handler did not finish in time.
    Timeout,
    /// Something the handler needs is away for now.
    Unavailable,
    /// A failure the client cannot help; its id stands in the server's log.
    Internal,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::BadPayload,
        Self::UnknownEvent,
        Self::NotFound,
        Self::Unauthorized,
        Self::Forbidden,
        Self::TooLarge,
        Self::RateLimited,
        Self::Overloaded,
        Self::Timeout,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The code's name on the wire and in metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadPayload => "bad_payload",
            Self::UnknownEvent => "unknown_event",
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status that says the same.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadPayload => 400,
            Self::NotFound | Self::UnknownEvent => 404,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Overloaded | Self::Unavailable | Self::Timeout => 503,
            Self::Internal => 500,
        }
    }

    /// Whether it says that something is wrong here, and nothing about the client.
    pub(crate) const fn is_ours(self) -> bool {
        matches!(self, Self::Internal | Self::Timeout | Self::Unavailable | Self::Overloaded)
    }

    /// Whether the same call may succeed later without a change by the client.
    const fn retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Overloaded | Self::Timeout | Self::Unavailable)
    }
}

/// A failed call.
///
/// Errors made with the constructors below reach the client as written. Every other error converts through `?`
/// into [`Code::Internal`]: the client gets a generic text with an id, the log gets the cause with the same id.
/// (For that conversion to exist, `Error` itself is not a [`std::error::Error`].)
pub struct Error {
    code: Code,
    message: Cow<'static, str>,
    retryable: bool,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
            Self::new(Code::$code, message)
        })*
    };
}

impl Error {
    /// An error with this code and a message for the person at the client.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retryable: code.retryable(), retry_after: None, source: None }
    }

    constructors! {
        /// The argument is wrong; say where and how.
        bad_payload => BadPayload;
        /// The namespace has no such event.
        unknown_event => UnknownEvent;
        /// The thing asked for does not exist.
        not_found => NotFound;
        /// The client may not do this.
        forbidden => Forbidden;
        /// The message is larger than the limit.
        too_large => TooLarge;
        /// The client asked too often.
        rate_limited => RateLimited;
        /// A queue is full.
        overloaded => Overloaded;
        /// Something did not finish in time.
        timeout => Timeout;
        /// Something needed is away for now.
        unavailable => Unavailable;
    }

    /// A failure the client cannot help: `cause` goes to the log only.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(cause.into()), ..Self::new(Code::Internal, "internal error") }
    }

    /// Overrides whether the client is told that a retry may help.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Tells the client in how long the same call may succeed: `retry_after_ms` in the ack and in the `error` event.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// In how many milliseconds the same call may succeed, where that is known; rounded up, and at least one.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        let milliseconds = self.retry_after?.as_nanos().div_ceil(1_000_000).max(1);
        Some(milliseconds.try_into().unwrap_or(u64::MAX))
    }

    /// Whether the same call may succeed later without a change by the client.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message for the client.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the log should say: the cause where there is one, else the message.
    pub(crate) fn cause(&self) -> String {
        let Some(source) = &self.source else { return self.message.clone().into_owned() };
        let mut text = source.to_string();
        let mut next = source.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }

    /// The error as it stands in an envelope; `id` links it to a log line.
    pub(crate) fn body<'a>(&'a self, id: Option<&'a str>) -> ErrorBody<'a> {
        let retry_after_ms = self.retry_after_ms();
        ErrorBody { code: self.code.as_str(), message: &self.message, retryable: self.retryable, retry_after_ms, id }
    }
}

/// `error` of the envelope: `{"code", "message", "retryable", "retry_after_ms"?, "id"?}`.
#[derive(Serialize)]
pub(crate) struct ErrorBody<'a> {
    pub(crate) code: &'static str,
    pub(crate) message: &'a str,
    pub(crate) retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<&'a str>,
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(cause: E) -> Self {
        Self::internal(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.cause())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_errors_become_internal_and_keep_their_text_for_the_log() {
        fn fails() -> Result<()> {
            let _: i32 = "x".parse()?;
            Ok(())
        }
        let error = fails().unwrap_err();
        assert_eq!(error.code(), Code::Internal);
        assert_eq!(error.message(), "internal error");
        assert!(error.cause().contains("invalid digit"), "{}", error.cause());
    }

    #[test]
    fn only_passing_troubles_are_retryable() {
        let json = serde_json::to_value(Error::overloaded("full").body(None)).unwrap();
        assert_eq!(json, serde_json::json!({"code": "overloaded", "message": "full", "retryable": true}));
        assert!(!Error::not_found("no").body(None).retryable);
    }
}
