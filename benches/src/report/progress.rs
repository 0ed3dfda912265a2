//! A bar on standard error while the tool is at work; nothing where standard error is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar of one run.
#[derive(Debug, Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for a run that takes about `seconds`.
    pub(crate) fn new(seconds: f64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(tenths(seconds)), ProgressDrawTarget::stderr_with_hz(5));
        // A template that does not parse would be shown as the plain default.
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:30} {percent:>3} %  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// Says what is being done.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    /// So much of the expected time has been spent.
    pub(crate) fn spent(&self, seconds: f64) {
        self.0.inc(tenths(seconds));
    }

    /// A line that stays, above the bar.
    pub(crate) fn note(&self, text: &str) {
        if self.0.is_hidden() {
            eprintln!("{text}");
        } else {
            self.0.println(text);
        }
    }

    /// The end.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

fn tenths(seconds: f64) -> u64 {
    (Duration::from_secs_f64(seconds.max(0.0)).as_millis() / 100) as u64
}
