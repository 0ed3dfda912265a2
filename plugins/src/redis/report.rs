//! What the log says about Redis: at most one line a second, whoever has something to say, and in the end whether it delivers.
//! Also what `/readyz` says of commands that fail while it does.

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carillon_core::throttle::Throttle;
use tokio::time::Instant;

/// A trouble that does not change is logged again after this time.
const REPEAT: Duration = Duration::from_secs(30);
/// How long a command that failed is told of, if nobody asks Redis for another one.
const TOLD: Duration = Duration::from_secs(60);

/// One for all that belongs to the connections to one Redis.
pub(super) struct Report {
    lines: Throttle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Why Redis is away, as it was logged last, and when.
    away: Option<(String, Instant)>,
    /// When it was logged last that it does not do what a command asks for.
    refused: Option<Instant>,
    /// Redis delivers, after so long, and the log does not say so yet.
    unsaid: Option<Duration>,
    /// Publishes of which nobody knows whether Redis took them, and the log does not say so yet.
    lost: u64,
    trouble: Option<Trouble>,
}

/// A command that Redis did not do, and none of its kind since that it did.
struct Trouble {
    command: &'static str,
    why: String,
    at: Instant,
}

impl Default for Report {
    fn default() -> Self {
        Self { lines: Throttle::per_second(), state: Mutex::default() }
    }
}

impl Report {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Some` when anybody may write a line now; see [`Throttle::allow`].
    pub(super) fn allow(&self) -> Option<Option<NonZeroU64>> {
        self.lines.allow()
    }

    /// Redis may have seen these publishes, or not: the next line about it tells.
    pub(super) fn lost(&self, publishes: u64) {
        self.state().lost += publishes;
    }

    /// Redis is away: one line when the trouble is new, and now and then while it stays. Whoever tries to reach it calls
    /// again and again, so what cannot be said now is said soon.
    pub(super) fn away(&self, address: &str, why: &str) {
        let mut state = self.state();
        (state.unsaid, state.trouble) = (None, None);
        if state.away.as_ref().is_none_or(|(what, at)| what != why || at.elapsed() >= REPEAT)
            && let Some(left_out) = self.lines.allow()
        {
            let lost = NonZeroU64::new(std::mem::take(&mut state.lost));
            tracing::warn!(left_out, lost, address, "Redis is away: {why}; own clients are served on, trying again");
            state.away = Some((why.to_owned(), Instant::now()));
        }
    }

    /// Redis does not do what a command asks for: one line, and now and then while it stays so. Each command has words of
    /// its own for one cause, so they are not compared.
    pub(super) fn refused(&self, address: &str, command: &'static str, why: String) {
        let mut state = self.state();
        if state.refused.is_none_or(|at| at.elapsed() >= REPEAT)
            && let Some(left_out) = self.lines.allow()
        {
            tracing::warn!(left_out, address, command, "Redis does not answer as it should: {why}");
            state.refused = Some(Instant::now());
        }
        state.trouble = Some(Trouble { command, why, at: Instant::now() });
    }

    /// Redis did what a command asks for.
    pub(super) fn done(&self, command: &'static str) {
        let mut state = self.state();
        if state.trouble.as_ref().is_some_and(|trouble| trouble.command == command) {
            state.trouble = None;
        }
    }

    /// Which command failed lately, and why.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.state();
        let Trouble { command, why, at } = state.trouble.as_ref().filter(|trouble| trouble.at.elapsed() < TOLD)?;
        Some(format!("{command} failed {} s ago: {why}", at.elapsed().as_secs()))
    }

    /// Redis delivers, after so long.
    pub(super) fn delivers(&self, address: &str, after: Duration) {
        self.state().unsaid = Some(after);
        self.still_delivers(address);
    }

    /// Redis delivers as before: says so if that could not be said when it began.
    pub(super) fn still_delivers(&self, address: &str) {
        let mut state = self.state();
        if let Some(after) = state.unsaid
            && let Some(left_out) = self.lines.allow()
        {
            let lost = NonZeroU64::new(std::mem::take(&mut state.lost));
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(left_out, lost, address, after_ms, "Redis delivers");
            (state.away, state.unsaid) = (None, None);
        }
    }

    /// Nobody will say anything later.
    pub(super) fn close(&self, address: &str) {
        if let Some(lost) = NonZeroU64::new(std::mem::take(&mut self.state().lost)) {
            tracing::warn!(lost, address, "Redis did not answer before the end: these publishes may be lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    /// Whatever else was said within the second, the log ends with what is.
    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_said_now_is_said_later() {
        let report = Report::default();
        let unsaid = || report.state().unsaid.is_some();
        report.away("test", "closed");
        assert!(report.allow().is_none(), "of one second all");
        report.lost(3);
        report.delivers("test", Duration::ZERO);
        report.still_delivers("test");
        assert!(unsaid() && report.state().lost == 3);
        advance(Duration::from_secs(1)).await;
        report.still_delivers("test");
        assert!(!unsaid() && report.state().lost == 0);
        assert!(report.state().away.is_none(), "the same trouble is news again");
        report.away("test", "closed");
        assert!(report.state().away.is_none(), "not yet");
        advance(Duration::from_secs(1)).await;
        report.away("test", "closed");
        assert!(report.state().away.is_some());
    }
}
