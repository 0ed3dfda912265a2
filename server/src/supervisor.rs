//! What systemd is told of the service it started: that it is ready, that it stops, and all the while that it is alive.
//!
//! Where nothing in the environment names a socket for it (`NOTIFY_SOCKET`, `WATCHDOG_USEC`), nothing is told.

use std::convert::Infallible;
use std::future::pending;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

/// Clients are let in.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// The graceful stop has begun.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Says that the server is alive, twice in the time that systemd gives it, for as long as this is polled. A thread that
/// serves clients says it: when none of them comes to it, systemd ends the server.
pub(crate) async fn watchdog(threads: TaskTracker) -> Infallible {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return pending().await;
    };
    let mut turns = interval(limit / 2);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        // It cannot fail: nobody cancels it, and telling does not panic.
        threads.spawn(async { tell(NotifyState::Watchdog) }).await.ok();
    }
}

fn tell(news: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(&news)) {
        tracing::warn!(%error, "systemd cannot be told {news}");
    }
}
