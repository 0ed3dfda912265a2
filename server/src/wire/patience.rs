//! How long a client that does not read is borne with: it may not stay unwritable for too long, nor take too little
//! over a longer time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use carillon_config::WireSettings;
use tokio::time::{Instant, Sleep};

/// How slow a client may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Longest time in which it takes nothing.
    pub(crate) stall: Duration,
    /// Bytes it takes at least in each window.
    pub(crate) least: u64,
    pub(crate) window: Duration,
}

impl Pace {
    pub(crate) fn new(settings: &WireSettings) -> Self {
        let window = Duration::from_millis(settings.min_drain_window_ms);
        Self {
            stall: Duration::from_millis(settings.write_stall_ms),
            least: u64::from(settings.min_drain_bytes_per_s) * settings.min_drain_window_ms / 1000,
            window,
        }
    }
}

/// Runs while something waits for a client that takes nothing just now.
pub(super) struct Patience {
    pace: Pace,
    /// Since when it has taken nothing.
    stalled: Instant,
    /// When the window under way began, and what has been taken since.
    window: (Instant, u64),
    sleep: Pin<Box<Sleep>>,
}

impl Patience {
    pub(super) fn new(pace: Pace) -> Self {
        let now = Instant::now();
        let sleep = Box::pin(tokio::time::sleep_until(now));
        let mut patience = Self { pace, stalled: now, window: (now, 0), sleep };
        patience.set();
        patience
    }

    /// The client took so many bytes, and more is waiting.
    pub(super) fn took(&mut self, bytes: usize) {
        if bytes > 0 {
            self.stalled = Instant::now();
            self.window.1 += bytes as u64;
        }
    }

    /// Resolves when the client has been too slow.
    pub(super) fn poll_exhausted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            if now >= self.stalled + self.pace.stall {
                return Poll::Ready(());
            }
            if now >= self.window.0 + self.pace.window {
                if self.window.1 < self.pace.least {
                    return Poll::Ready(());
                }
                self.window = (now, 0);
            }
            self.set();
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Sets the alarm to the moment at which one of the two could be over.
    fn set(&mut self) {
        let next = (self.stalled + self.pace.stall).min(self.window.0 + self.pace.window);
        if self.sleep.deadline() != next {
            self.sleep.as_mut().reset(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn patience(least: u64) -> Patience {
        Patience::new(Pace { stall: 10 * SECOND, least, window: 30 * SECOND })
    }

    /// How many seconds a client is borne with that takes so many bytes each second.
    async fn borne(mut patience: Patience, bytes: usize) -> u64 {
        let start = Instant::now();
        for _ in 0..100 {
            tokio::select! {
                () = poll_fn(|cx| patience.poll_exhausted(cx)) => break,
                () = tokio::time::sleep(SECOND) => patience.took(bytes),
            }
        }
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_neither_stall_nor_dribble() {
        assert_eq!(borne(patience(30 * 1024), 0).await, 10, "nothing at all");
        assert_eq!(borne(patience(30 * 1024), 1000).await, 30, "less than the least");
        assert_eq!(borne(patience(30 * 1024), 1200).await, 100, "fast enough, window after window");
        assert_eq!(borne(patience(0), 1).await, 100, "as slow as it likes");
    }
}
