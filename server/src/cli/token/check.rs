//! `carillon token check`: what a server with this configuration would say to a token or an API key.

use std::fmt::Write as _;
use std::path::Path;

use carillon_config::AuthSettings;
use carillon_core::identity::Identity;
use carillon_core::registry::Registry;
use clap::Args;

use super::super::File;
use super::{from_stdin, opening_nothing, told};
use crate::auth::Auth;
use crate::exit::Exit;
use crate::once::once;
use crate::say;

pub(super) const EXAMPLES: &str = "Examples:
  carillon token check < token.txt
  carillon token issue --subject ann | carillon token check

The keys at auth.jwks_url are read for it; what is revoked is not looked at. Nothing of the token is printed when it is refused. As an argument it can be seen by other users of this machine.

Exit codes: 0 accepted, 1 refused, 2 wrong command line, 78 wrong configuration.";

/// What is checked.
#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    #[command(flatten)]
    pub(super) file: File,
    /// The token or API key itself, not the name of a file; without it, or for -, it is read from standard input
    token: Option<String>,
}

impl Check {
    pub(super) fn run(self, settings: &AuthSettings, registry: &Registry) -> Exit {
        let auth = match Auth::new(settings) {
            Ok(Some(auth)) => auth,
            Ok(None) => {
                return say::trouble("auth.mode is \"open\": nobody is asked for a token or a key", Exit::Config);
            }
            Err(mistakes) => return say::trouble(mistakes.join("\n"), Exit::Config),
        };
        let given = self.token.filter(|token| token != "-");
        // The name of a file is no secret; of anything else that is refused nothing is printed.
        let file = given.as_ref().filter(|text| Path::new(text).is_file()).cloned();
        let text = match given.map_or_else(from_stdin, Ok) {
            Ok(text) => text,
            Err(mistake) => return say::trouble(mistake, Exit::Failure),
        };
        if let Err(why) = fetched(&auth) {
            say::lines(format_args!("carillon: the keys of auth.jwks_url are not known: {why}"));
        }
        match auth.judge(&text) {
            Ok(identity) => {
                let names = identity.claim::<Option<Vec<String>>>("namespaces").ok().flatten().unwrap_or_default();
                for warning in opening_nothing(&names, registry) {
                    say::lines(format_args!("carillon: its namespaces: {warning}"));
                }
                say::result(&description(&identity))
            }
            Err(reason) => {
                let hint =
                    file.map(|name| format!("\n{name} is the name of a file: write `carillon token check < {name}`"));
                say::trouble(format_args!("refused: {reason}{}", hint.unwrap_or_default()), Exit::Failure)
            }
        }
    }
}

/// Reads the published keys, where there are any.
fn fetched(auth: &Auth) -> Result<(), String> {
    once(auth.fetch_keys())?
}

/// Who it is, and what that opens.
fn description(identity: &Identity) -> String {
    let mut text = format!("accepted: {}\n", identity.subject());
    let mut line = |name: &str, value: String| writeln!(text, "  {name:<10}  {value}").is_ok();
    line("until", identity.expires_at().map_or_else(|| "no end".to_owned(), told));
    if let Ok(Some(id)) = identity.claim::<Option<String>>("jti") {
        line("id", id);
    }
    for (name, missing) in [("namespaces", "all"), ("rooms", "all"), ("events", "all"), ("roles", "none")] {
        let list = identity.claim::<Option<Vec<String>>>(name).ok().flatten();
        let list = list.map_or_else(
            || missing.to_owned(),
            |list| if list.is_empty() { "none".to_owned() } else { list.join(" ") },
        );
        line(name, list);
    }
    text
}
