//! `carillon token revoke`: tells every server on the bus whose tokens are not to be believed any more.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use carillon_config::{AuthMode, AuthSettings, BusSettings, Loaded};
use carillon_core::bus::{self, BusContext};
use carillon_core::metrics::Metrics;
use carillon_core::time::milliseconds;
use clap::Args;
use jiff::Timestamp;

use super::super::File;
use super::{lifetime, told};
use crate::auth::{Revocation, revoke};
use crate::exit::Exit;
use crate::once::once;
use crate::say;

pub(super) const EXAMPLES: &str = "Examples:
  carillon token revoke --subject ann                        all that ann has; she cannot come back
  carillon token revoke --subject ann --issued-before now    what ann has now; a newer token is good
  carillon token revoke --id 5c1e0e1b                        one token, by its claim `jti`
  carillon token revoke --issued-before 2026-11-27T12:00:00Z --for 7d

It is kept on the bus (bus.url), which has to be one that servers share. A server that is down or cut off learns of it when it \
is back. Let it hold for as long as such tokens live: one that has not ended by then is good again. It cannot be taken back.

Exit codes: 0 revoked, 1 the bus did not take it, 2 wrong command line, 78 wrong configuration.";

/// What is revoked.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").args(["subject", "id", "issued_before"]).required(true).multiple(true))]
pub(in crate::cli) struct Revoke {
    #[command(flatten)]
    pub(super) file: File,
    /// Whose: the claim `sub`, or the name of an API key
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// One token, by its claim `jti`
    #[arg(long, value_name = "ID", conflicts_with_all = ["subject", "issued_before"])]
    id: Option<String>,
    /// Only tokens issued before: `now`, or a time such as 2026-11-27T12:00:00Z; those that do not say when count as older.
    /// Tokens tell whole seconds, and of a second that has begun all are revoked
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    issued_before: Option<u64>,
    /// For how long, from now: 90s, 15m, 8h, 30d
    #[arg(long = "for", value_name = "TIME", default_value = "30d", value_parser = lifetime)]
    lifetime: Duration,
}

/// Seconds since 1970, the next one within a second: tokens do not tell in which part of it they were issued.
fn seconds(text: &str) -> Result<u64, String> {
    let time = if text == "now" { Ok(Timestamp::now()) } else { text.parse::<Timestamp>() };
    let up = |time: Timestamp| time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    let seconds = time.ok().and_then(|time| u64::try_from(up(time)).ok());
    seconds.ok_or_else(|| "write `now`, or a time such as 2026-11-27T12:00:00Z".to_owned())
}

impl Revoke {
    /// Whether there is anything of the kind to revoke.
    fn fits(&self, mode: AuthMode) -> Result<(), (&'static str, Exit)> {
        match mode {
            AuthMode::Open => Err(("auth.mode is \"open\": nobody is asked for a token or a key", Exit::Config)),
            AuthMode::ApiKey if self.issued_before.is_some() => Err((
                "--issued-before: auth.mode is \"api_key\", and API keys do not say when they were issued: all would be revoked; \
                 name one by --subject",
                Exit::Usage,
            )),
            AuthMode::Jwt | AuthMode::ApiKey => Ok(()),
        }
    }

    pub(super) fn run(self, config: &Loaded) -> Exit {
        if let Err((mistake, exit)) = self.fits(config.get::<AuthSettings>("auth").mode) {
            return say::trouble(mistake, exit);
        }
        let until = (milliseconds() / 1_000).saturating_add(self.lifetime.as_secs());
        let revocation = Revocation { sub: self.subject, jti: self.id, before: self.issued_before, until };
        if let Err(mistake) = revocation.check() {
            return say::trouble(mistake, Exit::Usage);
        }
        let settings: BusSettings = config.get("bus");
        if settings.url.starts_with("memory:") {
            let text = "bus.url: memory:// lives inside each server, where nothing from outside reaches it; revoking takes a bus that servers \
                        share, as redis://HOST";
            return say::trouble(text, Exit::Config);
        }
        match tell(&settings, revocation) {
            Ok(number) => {
                let number =
                    if number == 1 { "1 revocation is".to_owned() } else { format!("{number} revocations are") };
                say::result(&format!(
                    "revoked until {}; {number} in force",
                    told(UNIX_EPOCH + Duration::from_secs(until))
                ))
            }
            Err(mistake) => say::trouble(format_args!("not revoked: {mistake}"), Exit::Failure),
        }
    }
}

/// Stores and tells it; how many there are then.
fn tell(settings: &BusSettings, revocation: Revocation) -> Result<usize, String> {
    let told = once(async {
        let bus =
            bus::connect(&settings.address(), BusContext::new(Arc::new(Metrics::new()?)).with_prefix(&settings.prefix))
                .await?;
        let told = revoke(&*bus, revocation).await;
        // What is to be published is under way until then.
        bus.shutdown().await;
        told
    })?;
    told.map_err(|error: carillon_core::Error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        revoke: Revoke,
    }

    /// A time says nothing of API keys: with one all of them would be revoked.
    #[test]
    fn api_keys_are_not_revoked_by_time() {
        let fits = |mode, words: &[&str]| {
            let line = Line::try_parse_from([&["revoke"], words].concat()).unwrap();
            line.revoke.fits(mode).map_err(|(_, exit)| exit)
        };
        let by_time: [&[&str]; 2] = [&["--issued-before", "now"], &["--subject", "ann", "--issued-before", "now"]];
        for words in by_time {
            assert_eq!(fits(AuthMode::ApiKey, words), Err(Exit::Usage));
            assert_eq!(fits(AuthMode::Jwt, words), Ok(()));
            assert_eq!(fits(AuthMode::Open, words), Err(Exit::Config));
        }
        assert_eq!(fits(AuthMode::ApiKey, &["--subject", "ann"]), Ok(()));
    }

    /// Times are written with their offset, or as `now`.
    #[test]
    fn times_are_read() {
        assert_eq!(seconds("2026-11-27T12:00:00+01:00"), Ok(1_795_777_200));
        assert!(seconds("now").unwrap() > 1_700_000_000);
        for (text, expected) in [("12:00:00.0Z", 0), ("12:00:00.000000001Z", 1), ("12:00:00.999Z", 1), ("12:00:01Z", 1)]
        {
            assert_eq!(seconds(&format!("2026-11-27T{text}")), Ok(1_795_780_800 + expected), "{text}");
        }
        for text in ["", "2026-11-27", "1795777200", "1969-01-01T00:00:00Z", "Now"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
