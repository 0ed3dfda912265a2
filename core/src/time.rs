//! Timestamps as payloads carry them.

/// Now, as RFC 3339 in UTC with microseconds and `Z`.
#[must_use]
pub fn timestamp() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
