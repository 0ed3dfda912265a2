//! What commands print: results on standard output, trouble on standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::exit::Exit;

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

/// Prints lines on standard error as they are.
pub(crate) fn lines(text: impl Display) {
    writeln!(io::stderr().lock(), "{text}").ok();
}
