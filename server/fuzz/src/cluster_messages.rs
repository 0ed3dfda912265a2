//! Messages of the cluster: one that is understood says how long it is, so that none is that was cut short.

use bytes::Bytes;
use carillon_core::cluster::is_understood;

/// Reads a message, and the same without its last byte.
///
/// # Panics
/// When both are understood.
pub fn check(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    if is_understood(&message) {
        assert!(!is_understood(&message.slice(..message.len() - 1)));
    }
}
