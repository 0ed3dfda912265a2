//! Log lines on standard error, for people or for machines, counted by level, and panics among them.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::num::NonZero;
use std::panic;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use carillon_config::{LogFormat, LogSettings};
use carillon_core::failures;
use carillon_core::throttle::Throttle;
use prometheus::{IntCounter, IntCounterVec, Opts};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Counts panics, once the metrics exist.
static PANICS: OnceLock<IntCounter> = OnceLock::new();

/// The log while it runs.
pub(crate) struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    level: String,
    /// `log_lines_total`, for the application's metrics.
    pub(crate) lines: IntCounterVec,
}

/// Starts logging. To be called once, by the program.
///
/// # Errors
/// When the level is no filter the logger understands.
pub(crate) fn start(settings: &LogSettings) -> Result<Logs, String> {
    let (filter, handle) = reload::Layer::new(filter(&settings.level)?);
    let lines = lines().map_err(|error| error.to_string())?;
    let written = fmt::layer().with_writer(std::io::stderr);
    let written = match settings.format {
        LogFormat::Human => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            written.with_ansi(colours).with_target(false).boxed()
        }
        LogFormat::Json => written.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let started = tracing_subscriber::registry().with(filter).with(written).with(Count::new(&lines)).try_init();
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
    Ok(Logs { filter: handle, level: settings.level.clone(), lines })
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| format!("log.level: {error}"))
}

impl Logs {
    /// The level now.
    pub(crate) fn level(&self) -> &str {
        &self.level
    }

    /// Logs at another level from now on. What `say` says about it is in the log whether the level goes up or down.
    ///
    /// # Errors
    /// When the level is no filter the logger understands: everything is as it was, and nothing was said.
    pub(crate) fn set_level(&mut self, level: &str, say: impl Fn()) -> Result<(), String> {
        let filter = filter(level)?;
        let audible = tracing::enabled!(Level::INFO);
        if audible {
            say();
        }
        self.filter.reload(filter).map_err(|error| error.to_string())?;
        level.clone_into(&mut self.level);
        if !audible {
            say();
        }
        Ok(())
    }
}

/// Whether a panic at `place` is logged now: one a second for each place in the code, with the number of those left out.
fn allow(place: &str) -> Option<Option<NonZero<u64>>> {
    static PLACES: LazyLock<Mutex<HashMap<String, Throttle>>> = LazyLock::new(Mutex::default);
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    places.entry(place.to_owned()).or_insert_with(Throttle::per_second).allow()
}

/// Counts the process's panics here from now on.
pub(crate) fn count_panics(counter: &IntCounter) {
    PANICS.set(counter.clone()).ok();
}

/// `log_lines_total`, every level at 0.
///
/// # Errors
/// Never in practice: the name is well-formed.
pub(crate) fn lines() -> carillon_core::Result<IntCounterVec> {
    let opts = Opts::new("carillon_log_lines_total", "Lines written to the log.");
    let lines = IntCounterVec::new(opts, &["level"])?;
    LEVELS.iter().for_each(|level| drop(lines.with_label_values(&[label(*level)])));
    Ok(lines)
}

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

fn label(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Counts what the filter before it lets through.
struct Count([(Level, IntCounter); 5]);

impl Count {
    fn new(lines: &IntCounterVec) -> Self {
        Self(LEVELS.map(|level| (level, lines.with_label_values(&[label(level)]))))
    }
}

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let counter = self.0.iter().find(|(level, _)| level == event.metadata().level());
        counter.into_iter().for_each(|(_, lines)| lines.inc());
    }
}
