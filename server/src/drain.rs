//! The graceful stop: nobody new, everybody answered, connections closed one after the other.

use std::sync::Arc;
use std::time::Duration;

use carillon_config::DrainSettings;
use carillon_core::lifecycle::App;
use carillon_core::sink::Reason;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::serving::Serving;
use crate::tls::Tls;

/// From this many sessions on, closing them takes the whole window; fewer take less.
const CROWD: usize = 1000;
/// Kept of the deadline for what comes after the sessions: the plugins' last words.
const RESERVE: Duration = Duration::from_millis(500);

/// What there is to stop.
pub(crate) struct Running {
    pub(crate) app: Arc<App>,
    pub(crate) serving: Serving,
    /// Cancelled to stop accepting.
    pub(crate) accepting: CancellationToken,
    /// Connections, and what they left behind.
    pub(crate) tasks: TaskTracker,
    /// The listener for operators, where there is one.
    pub(crate) admin: Option<Admin>,
    /// The certificate, where there is TLS.
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Running {
    /// Stops within `settings.deadline_ms`, give or take what single plugins need to end.
    pub(crate) async fn stop(self, settings: &DrainSettings) {
        let deadline = Instant::now() + Duration::from_millis(settings.deadline_ms);
        self.app.begin_drain();
        tokio::time::sleep(Duration::from_millis(settings.pre_delay_ms)).await;
        // Polling clients need new connections to get their answers, so the listener closes after them.
        self.serving.refuse_new();
        self.close_sessions(
            Duration::from_millis(settings.window_ms),
            deadline.checked_sub(RESERVE).unwrap_or(deadline),
        )
        .await;
        self.accepting.cancel();
        if !self.app.drain(deadline.saturating_duration_since(Instant::now())).await {
            tracing::warn!("some handlers did not finish in time and are abandoned");
        }
        self.tasks.close();
        if tokio::time::timeout_at(deadline, self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not close in time and are abandoned");
        }
        self.app.shutdown().await;
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        // Nobody can ask /metrics any more.
        let ledger = self.app.metrics().ledger();
        if ledger.is_balanced() {
            tracing::info!("deliveries: {ledger}");
        } else {
            tracing::warn!("deliveries: {ledger}; they do not add up");
        }
    }

    /// Closes every session once its client has its answers. Spread over a time, or everybody would be back at once.
    async fn close_sessions(&self, window: Duration, deadline: Instant) {
        let sessions = self.serving.sessions();
        let count = sessions.len();
        if count == 0 {
            return;
        }
        tracing::info!("closing {count} session{}", if count == 1 { "" } else { "s" });
        let start = Instant::now();
        let closing = TaskTracker::new();
        for (number, session) in sessions.into_iter().enumerate() {
            let turn = start + window.mul_f64(number as f64 / count.max(CROWD) as f64);
            tokio::time::sleep_until(turn.min(deadline)).await;
            closing.spawn(async move {
                let patience = deadline.saturating_duration_since(Instant::now());
                session.end_gently(Reason::Drain, patience).await;
            });
        }
        closing.close();
        // Each ends at the deadline at the latest, but for the moment its client has to close its side.
        closing.wait().await;
    }
}
