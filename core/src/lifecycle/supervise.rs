//! Background work that fails is started again, after a pause that grows.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;

use crate::backoff::Backoff;
use crate::host::Host;
use crate::module::Module;

/// First pause before a plugin's failed background work is started again.
const RESTART_FIRST: Duration = Duration::from_secs(1);
/// Longest pause between restarts.
const RESTART_LONGEST: Duration = Duration::from_secs(30);

/// Runs a plugin's background work and starts it again when it fails.
pub(super) async fn supervise(module: Arc<dyn Module>, host: Host, failing: Arc<AtomicBool>) {
    let up = host.shared.metrics.plugin_up.with_label_values(&[host.plugin]);
    let restarts = host.shared.metrics.plugin_restarts.with_label_values(&[host.plugin]);
    let mut backoff = Backoff::new(RESTART_FIRST, RESTART_LONGEST);
    loop {
        up.set(1);
        let work = module.run(host.clone());
        let cause = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        up.set(0);
        failing.store(true, Ordering::Relaxed);
        host.shared.failing.fetch_add(1, Ordering::Relaxed);
        let pause = backoff.pause();
        tracing::error!(plugin = host.plugin, restart_in_s = pause.as_secs(), "background work failed: {cause}");
        tokio::select! {
            () = host.shutdown() => return,
            () = tokio::time::sleep(pause) => {}
        }
        restarts.inc();
        failing.store(false, Ordering::Relaxed);
        host.shared.failing.fetch_sub(1, Ordering::Relaxed);
    }
}
