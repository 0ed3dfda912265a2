//! What is told with a number that grows with each change: lower numbers are the word of somebody who was away.

use std::time::Duration;

use tokio::time::Instant;

/// So long the newest number is believed when nobody tells it any more.
const BELIEVED: Duration = Duration::from_secs(10);

/// The newest number that was told, and when.
#[derive(Default)]
pub(super) struct Hearsay(Option<(u64, Instant)>);

impl Hearsay {
    /// Whether what is told with this number is not older than what is known.
    pub(super) fn is_current(&self, number: u64) -> bool {
        self.0.is_none_or(|(newest, at)| number >= newest || at.elapsed() >= BELIEVED)
    }

    /// It has been believed.
    pub(super) fn note(&mut self, number: u64) {
        self.0 = Some((number, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn older_word_counts_when_newer_is_heard_no_more() {
        let mut hearsay = Hearsay::default();
        assert!(hearsay.is_current(0));
        hearsay.note(7);
        assert!(hearsay.is_current(7) && hearsay.is_current(8) && !hearsay.is_current(6));
        tokio::time::advance(BELIEVED).await;
        assert!(hearsay.is_current(6));
    }
}
