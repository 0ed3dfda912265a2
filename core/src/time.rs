//! Timestamps as payloads carry them.

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

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
