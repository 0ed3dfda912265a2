//! What a plugin is told of what was published before.

use super::Host;
use crate::error::{Error, Result};
use crate::journal::{History, Keeper, read_past};

impl Host {
    /// What was published to `namespace` and is kept in its journal (`journal.namespaces`): up to `limit` publishes (1,000 at
    /// most) that follow `since`, or the newest. `since` is the offset of a [`Past`](crate::journal::Past) or of a
    /// [`History`].
    ///
    /// # Errors
    /// `not_found` when nothing is kept of this namespace, `bad_payload` when `since` is no offset, `unavailable` while the
    /// journal is away.
    pub async fn history(&self, namespace: &str, since: Option<&str>, limit: usize) -> Result<History> {
        read_past(self.keeper(namespace)?, since, limit, |_| true).await
    }

    /// Whether what is published to `namespace` is kept in a journal.
    #[must_use]
    pub fn keeps(&self, namespace: &str) -> bool {
        self.keeper(namespace).is_ok()
    }

    /// The journal of a namespace.
    pub(crate) fn keeper(&self, namespace: &str) -> Result<&Keeper> {
        let keeper = self.shared.namespaces.get(namespace).and_then(|namespace| namespace.keeper());
        keeper.ok_or_else(|| Error::not_found(format!("nothing is kept of {namespace}")))
    }
}
