//! By what a change of the files is noticed, without reading them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use carillon_config::TlsSettings;

/// What tells each of the files from another one at the same place; `None` for one that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamps([Option<Stamp>; 3]);

/// Device and number of a file, its length, and when it, or who may read it, was changed last.
type Stamp = (u64, u64, u64, i64, i64);

impl Stamps {
    /// Looks at the files.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let stamp = |path: &Option<String>| {
            let file = fs::metadata(path.as_deref()?).ok()?;
            Some((file.dev(), file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
        };
        Self([&settings.cert, &settings.key, &settings.client_ca].map(stamp))
    }
}
