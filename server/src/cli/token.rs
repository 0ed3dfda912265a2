//! `carillon token`: makes, checks and revokes the tokens of clients, for who runs the server.

mod check;
mod issue;
mod revoke;

use std::io::Read as _;
use std::time::Duration;

use carillon_config::{AuthSettings, Loader, hint};
use carillon_core::registry::Registry;
use clap::Subcommand;
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::{File, load};
use crate::auth::LONGEST;
use crate::exit::Exit;

/// What is done.
#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Print a token, signed with a configured key or with a private key of yours
    #[command(after_help = issue::EXAMPLES)]
    Issue(Box<issue::Issue>),
    /// Say whether the configured keys accept a token or an API key, and why not
    #[command(after_help = check::EXAMPLES)]
    Check(check::Check),
    /// Have every server on the configured bus refuse tokens or API keys from now on, and close their connections
    #[command(after_help = revoke::EXAMPLES)]
    Revoke(revoke::Revoke),
}

/// Does it. `read` reads the settings.
pub(super) fn run(what: What, registry: &Registry, read: impl FnOnce(&File) -> Loader) -> Exit {
    match what {
        What::Issue(issue) => match settings(&issue.file, read) {
            Ok(settings) => issue.run(&settings, registry),
            Err(exit) => exit,
        },
        What::Revoke(revoke) => match load(read(&revoke.file)) {
            Ok(config) => revoke.run(&config),
            Err(exit) => exit,
        },
        What::Check(check) => match settings(&check.file, read) {
            Ok(settings) => check.run(&settings, registry),
            Err(exit) => exit,
        },
    }
}

fn settings(file: &File, read: impl FnOnce(&File) -> Loader) -> Result<AuthSettings, Exit> {
    load(read(file)).map(|config| config.get("auth"))
}

/// The names of namespaces in a token that open nothing where these plugins run, each with what is wrong; one that ends with `*`
/// stands for all that begin like it.
fn opening_nothing(names: &[String], registry: &Registry) -> Vec<String> {
    let served: Vec<&str> = registry.iter().map(|entry| entry.namespace()).collect();
    let opens = |name: &str| match name.strip_suffix('*') {
        Some(start) => served.iter().any(|namespace| namespace.starts_with(start)),
        None => served.contains(&name),
    };
    let wrong = names.iter().filter(|name| !opens(name));
    wrong
        .map(|name| format!("no plugin of this program serves {name:?} ({})", hint(name, "there are", &served)))
        .collect()
}

/// A time as people say it: `90s`, `15m`, `8h`, `30d`.
fn lifetime(text: &str) -> Result<Duration, String> {
    let say = || "write a time such as 90s, 15m, 8h or 30d".to_owned();
    let span: Span = text.parse().map_err(|_| say())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| say())?;
    Duration::try_from(length).ok().filter(|length| length.as_secs() > 0).ok_or_else(say)
}

/// A text on standard input, without white space around it; no longer than a token may be.
fn from_stdin() -> Result<String, String> {
    let mut text = String::new();
    // One byte more than is looked at, and a line end: what is longer is refused as such.
    let limit = LONGEST as u64 + 3;
    let read = std::io::stdin().lock().take(limit).read_to_string(&mut text);
    read.map_err(|error| format!("cannot read standard input: {error}"))?;
    Ok(text.trim().to_owned())
}

/// A time for people, in UTC.
fn told(time: std::time::SystemTime) -> String {
    let seconds = |time: Timestamp| Timestamp::from_second(time.as_second());
    Timestamp::try_from(time).and_then(seconds).map_or_else(|_| "never".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times are said in the usual units, and are never nothing.
    #[test]
    fn times_are_read() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h30m", 5_400), ("8h", 28_800), ("30d", 2_592_000)] {
            assert_eq!(lifetime(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0s", "-1h", "7", "soon", "1mo", "99999999999999d"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
