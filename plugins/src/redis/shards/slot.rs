//! The slot of a name: CRC-16 of what stands between its first braces, or else of all of it.

use std::fmt::{Debug, Formatter, Result};

use crc::{CRC_16_XMODEM, Crc};

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// A slot of a Redis Cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u16);

impl Slot {
    /// So many there are.
    pub(super) const COUNT: u16 = 16_384;

    /// The slot of a key or channel.
    pub(super) fn of(name: &str) -> Self {
        let tag = name.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
        let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(name);
        Self(CRC.checksum(hashed.as_bytes()) % Self::COUNT)
    }

    /// The slot of this number, if there is one.
    pub(super) fn new(number: u16) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its number.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Debug for Slot {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "slot {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `CLUSTER KEYSLOT` answers.
    #[test]
    fn slots_are_those_of_redis() {
        for (name, slot) in [
            ("", 0),
            ("123456789", 12739),
            ("foo", 12182),
            ("{foo}bar", 12182),
            ("x{foo}{bar}", 12182),
            ("foo{}{bar}", 8363),
            ("{foo", 13308),
            ("}{foo}", 12182),
        ] {
            assert_eq!(Slot::of(name).index(), slot, "{name}");
        }
        assert!(Slot::new(16_384).is_none());
        assert_eq!(Slot::all().count(), 16_384);
    }
}
