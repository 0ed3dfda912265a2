//! Why a plugin refuses a handshake: an HTTP status, and a text for the person at the client.

use std::borrow::Cow;
use std::fmt;

use crate::error::{Code, Error};

/// A handshake is refused: no session, and this as the answer to its request.
///
/// An [`Error`] becomes one with the status of its code, and so does any other error through `?`, with 500 and the cause
/// in the log only.
pub struct Refusal {
    status: u16,
    error: Error,
}

impl Refusal {
    /// A refusal with this HTTP status, 400 to 599, and a message for the person at the client. Other numbers do not say
    /// that something is refused: 403 says it in their place.
    pub fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        let status = if matches!(status, 400..=599) { status } else { Code::Forbidden.status() };
        Self { status, error: Error::forbidden(message) }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The message for the client.
    #[must_use]
    pub fn message(&self) -> &str {
        self.error.message()
    }

    /// What is told to the log where it is the server's own failure.
    pub(crate) fn error(&self) -> &Error {
        &self.error
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { status: error.code().status(), error }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Refusal {
    fn from(cause: E) -> Self {
        Error::internal(cause).into()
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever number a plugin gives, a refusal is one.
    #[test]
    fn a_refusal_has_a_status_that_refuses() {
        for (given, told) in
            [(400, 400), (401, 401), (599, 599), (0, 403), (101, 403), (200, 403), (302, 403), (600, 403)]
        {
            assert_eq!(Refusal::new(given, "no").status(), told, "{given}");
        }
    }
}
