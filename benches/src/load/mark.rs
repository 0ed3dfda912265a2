//! The mark every message carries: its number and the time it was sent, at a fixed width so that reading it costs next to nothing.

use memchr::memmem;

/// What a mark begins with, wherever in a message it stands.
const MAGIC: &[u8; 8] = b"CARILLON";
/// Length of a mark: the magic, sixteen digits of the number, sixteen of the time, all hexadecimal.
pub(crate) const LEN: usize = 40;

/// A message's number and the time it was sent (or should have been), in nanoseconds of the shared clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) number: u64,
    pub(crate) at: u64,
}

impl Mark {
    /// A text of `len` bytes that begins with the mark.
    pub(crate) fn text(self, len: usize) -> String {
        let Self { number, at } = self;
        let mut text = format!("CARILLON{number:016x}{at:016x}");
        while text.len() < len {
            text.push(FILL[text.len() % FILL.len()]);
        }
        text
    }
}

/// What the rest of a message is filled with: no character that JSON would escape.
const FILL: [char; 16] = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p'];

/// Finds marks. It remembers where the last one stood, as messages of one run look alike.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Finder {
    offset: usize,
}

impl Finder {
    /// The number in the mark of a message, and the rest of the mark to read the time from.
    #[inline]
    pub(crate) fn find<'a>(&mut self, message: &'a [u8]) -> Option<(u64, &'a [u8; 16])> {
        if let Some(found) = read(message.get(self.offset..)?) {
            return Some(found);
        }
        self.offset = memmem::find(message, MAGIC)?;
        read(&message[self.offset..])
    }
}

#[inline]
fn read(bytes: &[u8]) -> Option<(u64, &[u8; 16])> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<16>()?;
    (magic == MAGIC).then_some((hex(number), rest.first_chunk()?))
}

/// The value of sixteen hexadecimal digits in lower case. Of other text the value means nothing.
#[inline]
pub(crate) fn hex(digits: &[u8; 16]) -> u64 {
    let (high, low) = (half(&digits[..8]), half(&digits[8..]));
    (u64::from(high) << 32) | u64::from(low)
}

/// Eight digits at once, within one register.
#[inline]
fn half(digits: &[u8]) -> u32 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(digits);
    let text = u64::from_be_bytes(bytes);
    // '0'..'9' are 0x30..0x39, 'a'..'f' are 0x61..0x66: bit 6 tells them apart.
    let nibbles = (text & 0x0f0f_0f0f_0f0f_0f0f) + 9 * ((text >> 6) & 0x0101_0101_0101_0101);
    let pairs = (nibbles | (nibbles >> 4)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | (pairs >> 8)) & 0x0000_ffff_0000_ffff;
    (fours | (fours >> 16)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_back_wherever_they_stand() {
        let mut finder = Finder::default();
        for (number, at) in [(0, 0), (1, 0x0123_4567_89ab_cdef), (u64::MAX, u64::MAX), (0xfedc_ba98, 42)] {
            let text = Mark { number, at }.text(128);
            assert_eq!(text.len(), 128);
            for before in ["", "42/bench,[\"tick\",{\"text\":\"", "42[\"x\",\""] {
                let message = format!("{before}{text}\"}}]");
                let (found, time) = finder.find(message.as_bytes()).unwrap();
                assert_eq!((found, hex(time)), (number, at));
                assert_eq!(finder.offset, before.len());
            }
        }
        assert_eq!(finder.find(b"42[\"x\",{}]"), None);
        assert_eq!(finder.find(b"CARILLON0123"), None, "a mark that is cut off");
        assert_eq!(finder.find(b""), None);
    }
}
