//! The journal: what was published to a namespace, numbered, for as long as it is kept. One order for all nodes.
//!
//! The bus keeps it: the embedded one in this process, others wherever they keep things. Clients, plugins and nodes know a
//! place in it by its [`Offset`].

mod follow;
mod history;
mod keeper;
mod publish;
mod record;
mod seal;
mod tail;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carillon_config::JournalSettings;

pub(crate) use self::follow::Follower;
pub use self::history::{History, Past};
pub(crate) use self::history::{LateHost, declare, read_past};
pub(crate) use self::keeper::{Journals, Keeper, State};
pub(crate) use self::publish::Published;
pub(crate) use self::record::Record;
pub(crate) use self::seal::Seal;
pub(crate) use self::tail::Kept;
use crate::error::{Error, Result};
use crate::peer::public_id;
use crate::time::milliseconds;

/// Letters and digits of an epoch.
const EPOCH: usize = 8;
/// Bytes of an offset's text at most.
const OFFSET_MAX: usize = 64;

/// A place in a journal. Its text is not to be taken apart by anybody: `<epoch>-<number>`.
///
/// Numbers grow by one from publish to publish. A new epoch begins where something is not in the journal that should be,
/// or may not be: nobody gets on from one epoch into another.
#[derive(Clone, PartialEq, Eq)]
pub struct Offset {
    epoch: Arc<str>,
    number: u64,
}

impl Offset {
    /// The place of the publish `number` of an epoch.
    #[must_use]
    pub fn new(epoch: Arc<str>, number: u64) -> Self {
        Self { epoch, number }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What comes right after this.
    pub(crate) fn next(&self) -> Self {
        Self::new(Arc::clone(&self.epoch), self.number + 1)
    }

    /// What this comes right after, if it is not the first.
    pub(crate) fn previous(&self) -> Self {
        Self::new(Arc::clone(&self.epoch), self.number.saturating_sub(1))
    }

    /// Whether `other` is what comes right after this.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.number + 1 == other.number
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Offset {
    type Err = Error;

    /// # Errors
    /// `bad_payload` when the text is no offset.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.rsplit_once('-').filter(|_| text.len() <= OFFSET_MAX);
        let word = |epoch: &str| !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let plain = |number: &str| number.bytes().all(|byte| byte.is_ascii_digit());
        let offset = parts.filter(|(epoch, number)| word(epoch) && plain(number)).and_then(|(epoch, number)| {
            // One that is the last there can be has nothing behind it.
            let number = number.parse().ok().filter(|number| *number < u64::MAX)?;
            Some(Self::new(epoch.into(), number))
        });
        offset.ok_or_else(|| Error::bad_payload("not an offset of a journal"))
    }
}

/// A name for a new epoch.
#[must_use]
pub fn new_epoch() -> Arc<str> {
    public_id()[..EPOCH].into()
}

/// How much is kept of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Publishes.
    pub events: usize,
    /// How long each.
    pub age: Duration,
    /// Bytes of all of them; the last one is kept, however large it is.
    pub bytes: usize,
}

impl Bounds {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: &JournalSettings) -> Self {
        let age = Duration::from_secs(settings.max_age_s);
        Self { events: settings.max_events, age, bytes: settings.max_bytes }
    }
}

/// One publish in a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub offset: Offset,
    /// When it was appended, in milliseconds since 1970, by the clock of whoever keeps the journal.
    pub at: u64,
    /// What was appended, as it was.
    pub record: Bytes,
}

impl Entry {
    /// A record that is appended now.
    #[must_use]
    pub fn now(offset: Offset, record: Bytes) -> Self {
        Self { offset, at: milliseconds(), record }
    }

    /// As it is sent to those who follow the journal: a line, `<offset> <milliseconds>`, and the record.
    #[must_use]
    pub fn sealed(&self) -> Bytes {
        let mut sealed = format!("{} {}\n", self.offset, self.at).into_bytes();
        sealed.extend_from_slice(&self.record);
        sealed.into()
    }

    /// What was [sealed](Self::sealed).
    ///
    /// # Errors
    /// `bad_payload` when that is not what `sealed` is.
    pub fn open(sealed: &Bytes) -> Result<Self> {
        let malformed = || Error::bad_payload("not an entry of a journal");
        let start = &sealed[..sealed.len().min(2 * OFFSET_MAX)];
        let line = memchr::memchr(b'\n', start).ok_or_else(malformed)?;
        let text = std::str::from_utf8(&sealed[..line]).map_err(|_| malformed())?;
        let (offset, at) = text.split_once(' ').ok_or_else(malformed)?;
        let at = at.parse().map_err(|_| malformed())?;
        Ok(Self { offset: offset.parse()?, at, record: sealed.slice(line + 1..) })
    }
}

/// A part of a journal, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What follows, as far as that was asked for.
    pub entries: Vec<Entry>,
    /// Whether nothing is missing between what was asked for and the first of them: it is kept no longer, or was never
    /// there, or another epoch has begun since.
    pub whole: bool,
    /// The last there has been, whether that was asked for or not.
    pub last: Offset,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_its_text_and_nothing_else_is_one() {
        let offset = Offset::new("abc2".into(), 7);
        assert_eq!(offset.to_string(), "abc2-7");
        assert_eq!("abc2-7".parse::<Offset>().unwrap(), offset);
        assert!(offset.is_before(&Offset::new("abc2".into(), 8)));
        assert!(!offset.is_before(&Offset::new("abd2".into(), 8)));
        let long = format!("{}-1", "a".repeat(OFFSET_MAX));
        let last = format!("a-{}", u64::MAX);
        for text in ["", "-", "a", "a-", "-1", "a--1", "a-+1", "a b-1", "a-1 ", "a\u{e9}-1", "a-1.5", &long, &last] {
            assert!(text.parse::<Offset>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_entry_survives_its_way_and_nonsense_is_refused() {
        let entry = Entry { offset: Offset::new("e".into(), 1), at: 12, record: Bytes::from_static(b"\n\0 x") };
        assert_eq!(Entry::open(&entry.sealed()).unwrap(), entry);
        for text in ["", "\n", "e-1 12", "e-1\nx", "e-1 x\n", "e 1\n", "\u{e9}\n"] {
            assert!(Entry::open(&Bytes::copy_from_slice(text.as_bytes())).is_err(), "{text:?}");
        }
    }
}
