//! Times as programs tell each other: milliseconds since 1970, and timestamps as payloads carry them.

use std::time::{SystemTime, UNIX_EPOCH};

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// Now, in milliseconds since 1970; 0 on a machine whose clock is set to before that.
#[must_use]
pub fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A moment in milliseconds since 1970, as RFC 3339 in UTC with microseconds and `Z`.
pub(crate) fn written(milliseconds: u64) -> String {
    let moment = i64::try_from(milliseconds).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.unwrap_or_default().strftime(FORMAT).to_string()
}

/// Now, as RFC 3339 in UTC with microseconds and `Z`.
#[must_use]
pub fn timestamp() -> String {
    jiff::Timestamp::now().strftime(FORMAT).to_string()
}
