//! Keys that an issuer publishes (JWKS): read from its address again and again, the last good ones kept when that fails.
//!
//! One task fetches. Nobody waits for it but a client whose token names a key that is not known: it is asked for at once,
//! unless that was asked less than ten seconds ago, and the client is judged when the answer is there.

mod fetch;
mod set;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use carillon_config::AuthSettings;
use carillon_core::throttle::Throttle;
use futures_util::future::BoxFuture;
use prometheus::{IntCounterVec, IntGauge, Opts};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::fetch::Source;
use super::key::Key;

/// The least time between two fetches.
const AGAIN: Duration = Duration::from_secs(10);

/// A trouble is logged at once, and again after this time.
const REPEAT: Duration = Duration::from_secs(30);

/// The published keys, shared by who looks them up and who fetches them.
pub(super) struct Jwks {
    source: Source,
    settings: AuthSettings,
    keys: RwLock<Arc<Vec<Key>>>,
    progress: watch::Sender<Progress>,
    wanted: Notify,
    series: Series,
}

/// How far fetching is.
#[derive(Default, Clone, Copy)]
struct Progress {
    /// When the last fetch began.
    begun: Option<Instant>,
    busy: bool,
    /// Fetches that have ended, one way or the other.
    ended: u64,
}

/// What is counted.
#[derive(Clone)]
pub(super) struct Series {
    pub(super) fetches: IntCounterVec,
    pub(super) keys: IntGauge,
}

impl Series {
    pub(super) fn new() -> prometheus::Result<Self> {
        let help = "Fetches of the keys at auth.jwks_url: good, failed (the keys stay as they were).";
        let fetches = IntCounterVec::new(Opts::new("carillon_auth_jwks_fetches_total", help), &["result"])?;
        for result in ["good", "failed"] {
            fetches.with_label_values(&[result]);
        }
        let keys = IntGauge::new("carillon_auth_jwks_keys", "Keys known from auth.jwks_url.")?;
        Ok(Self { fetches, keys })
    }
}

impl Jwks {
    /// What `settings` ask for, if they do; nothing is fetched yet.
    ///
    /// # Errors
    /// What is wrong with the address, or with its authority.
    pub(super) fn new(settings: &AuthSettings, series: &Series) -> Result<Option<Arc<Self>>, String> {
        let Some(url) = &settings.jwks_url else { return Ok(None) };
        let source = Source::new(url, settings.jwks_ca.as_deref()).map_err(|mistake| format!("auth.jwks_{mistake}"))?;
        Ok(Some(Arc::new(Self {
            source,
            settings: settings.clone(),
            keys: RwLock::default(),
            progress: watch::Sender::default(),
            wanted: Notify::new(),
            series: series.clone(),
        })))
    }

    /// The keys known now.
    pub(super) fn keys(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.settings.jwks_timeout_ms)
    }

    /// Asks for keys that are not known; what is returned ends when the answer is there. `None` when it was asked lately.
    pub(super) fn ask(self: &Arc<Self>) -> Option<BoxFuture<'static, ()>> {
        let mut progress = self.progress.subscribe();
        let Progress { begun, busy, ended } = *progress.borrow();
        if !busy && begun.is_some_and(|begun| begun.elapsed() < AGAIN) {
            return None;
        }
        self.wanted.notify_one();
        // Whoever fetches may be gone; a fetch that has just begun takes its time.
        let limit = self.limit() * 2;
        Some(Box::pin(async move {
            drop(timeout(limit, progress.wait_for(|progress| progress.ended > ended)).await);
        }))
    }

    /// Fetches until `stop`.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let refresh = Duration::from_millis(self.settings.jwks_refresh_ms);
            let log = Throttle::every(REPEAT);
            loop {
                let begun = Instant::now();
                let fetched = self.fetch().await;
                if let Err(why) = &fetched
                    && let Some(left_out) = log.allow()
                {
                    let kept = self.keys().len();
                    tracing::warn!(left_out, kept, "the keys of {} stay as they were: {why}", self.source);
                }
                let next = begun + if fetched.is_ok() { refresh } else { AGAIN.min(refresh) };
                tokio::select! {
                    () = sleep_until(next) => {}
                    // Asked for while it was busy, or before that: not yet again, unless it is time anyway.
                    () = self.wanted.notified() => sleep_until(next.min(begun + AGAIN)).await,
                }
            }
        })
        .await;
    }

    /// Fetches once.
    ///
    /// # Errors
    /// Why the keys stay as they were.
    pub(super) async fn fetch(&self) -> Result<(), String> {
        let begun = Some(Instant::now());
        self.progress.send_modify(|progress| (progress.begun, progress.busy) = (begun, true));
        let fetched = match timeout(self.limit(), self.source.fetch()).await {
            Ok(fetched) => fetched.and_then(|body| set::read(&body, &self.settings)),
            Err(_) => Err(format!("no answer within {} ms", self.limit().as_millis())),
        };
        let fetched = fetched.map(|keys| {
            self.series.keys.set(keys.len() as i64);
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        });
        self.series.fetches.with_label_values(&[if fetched.is_ok() { "good" } else { "failed" }]).inc();
        self.progress.send_modify(|progress| {
            progress.busy = false;
            progress.ended += 1;
        });
        fetched
    }
}
