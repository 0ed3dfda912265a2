//! What commands print: results on standard output, trouble on standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use carillon_config::{Loaded, LogFormat, LogSettings, Problem, Problems};

use crate::exit::Exit;
use crate::logs;

/// Prints a result, with a line end if it has none. A reader that has seen enough (`carillon plugins | head -1`) is no
/// failure.
pub(crate) fn result(text: &str) -> Exit {
    let mut out = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => trouble(format_args!("cannot write to standard output: {error}"), Exit::Failure),
    }
}

/// Says what went wrong, one line or several, and returns `exit`.
pub(crate) fn trouble(text: impl Display, exit: Exit) -> Exit {
    // With standard error gone as well, the exit code is all that can be said.
    writeln!(io::stderr().lock(), "carillon: {text}").ok();
    exit
}

/// Says everything that is wrong with a configuration, one line each and nothing else, for people and for scripts: as JSON
/// where that is how this configuration has its log.
pub(crate) fn problems(config: &Loaded, problems: &Problems) -> Exit {
    if !json(config) {
        lines(problems);
        return Exit::Config;
    }
    for Problem { path, message, hint, source } in problems {
        let key = Some(path.as_str()).filter(|path| !path.is_empty());
        tracing::error!(key, hint, source = source.to_string(), "{message}");
    }
    Exit::Config
}

/// Says why something was refused or has ended: among JSON log lines as one of them for each line, else as it is.
pub(crate) fn refusal(config: &Loaded, text: &str, exit: Exit) -> Exit {
    if !json(config) {
        return trouble(text, exit);
    }
    text.lines().for_each(|line| tracing::error!("{line}"));
    exit
}

/// Whether the log is JSON; then it is running from here on, whatever its level.
fn json(config: &Loaded) -> bool {
    let log: LogSettings = config.get("log");
    if log.format != LogFormat::Json {
        return false;
    }
    if !tracing::enabled!(tracing::Level::ERROR) {
        // Nothing of a program that is about to end may be lost to `log.level = "off"`.
        logs::start(&LogSettings { level: "error".to_owned(), ..log }).ok();
    }
    true
}

/// Prints lines on standard error as they are.
pub(crate) fn lines(text: impl Display) {
    writeln!(io::stderr().lock(), "{text}").ok();
}
