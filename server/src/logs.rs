//! Log lines on standard error, for people or for machines, and panics among them.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::panic;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use carillon_config::{LogFormat, LogSettings};
use carillon_core::failures;
use carillon_core::throttle::Throttle;
use prometheus::IntCounter;
use tracing_subscriber::EnvFilter;

/// Counts panics, once the metrics exist.
static PANICS: OnceLock<IntCounter> = OnceLock::new();

/// Starts logging. To be called once, by the program.
///
/// # Errors
/// When the level is no filter the logger understands.
pub(crate) fn start(settings: &LogSettings) -> Result<(), String> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| format!("log.level: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Human => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colours).with_target(false).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    // Somebody else in the process logs already: theirs stays.
    started.ok();
    panic::set_hook(Box::new(|panic| {
        if let Some(panics) = PANICS.get() {
            panics.inc();
        }
        // A call it happened in is answered with an id, under which this is found again.
        failures::note_panic(panic);
        let text = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let Some(left_out) = allow(&place) else { return };
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let trace = Backtrace::capture();
        match trace.status() {
            BacktraceStatus::Captured => tracing::error!(place, thread, left_out, "panic: {text}\n{trace}"),
            _ => tracing::error!(place, thread, left_out, "panic: {text}"),
        }
    }));
    Ok(())
}

/// Whether a panic at `place` is logged now: one a second for each place in the code, with the number of those left out.
fn allow(place: &str) -> Option<u64> {
    static PLACES: LazyLock<Mutex<HashMap<String, Throttle>>> = LazyLock::new(Mutex::default);
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    places.entry(place.to_owned()).or_insert_with(Throttle::per_second).allow()
}

/// Counts the process's panics here from now on.
pub(crate) fn count_panics(counter: &IntCounter) {
    PANICS.set(counter.clone()).ok();
}
