//! `carillon token issue`: a token on standard output.

use std::path::PathBuf;
use std::time::Duration;

use carillon_config::{AlgorithmName, AuthMode, AuthSettings, secret_in_file};
use carillon_core::registry::Registry;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde_json::{Map, Value};

use super::super::File;
use super::{lifetime, opening_nothing};
use crate::auth::{Claims, Signing, issue};
use crate::exit::Exit;
use crate::say;

pub(super) const EXAMPLES: &str = "Examples:
  carillon token issue --subject ann --for 8h --namespace /monitoring --role operator
  carillon token issue --subject robot --for 30d --event 'say*' --info team=blue
  carillon token issue --subject ann --key-id 2026-11 --key-file /root/issuer-private.pem

A secret (HS256, HS384, HS512) signs as it is configured. For the other algorithms the configuration has the public key \
only, and --key-file names the private one. What a list names is all that the token opens; without a list it opens all. \
The first of auth.issuers and of auth.audiences are written into the token. Whoever has the token is let in: keep it out \
of logs and of the history of your shell.

Exit codes: 0 issued, 1 the key does not fit, 2 wrong command line, 78 wrong configuration.";

/// What the token is to be.
#[derive(Debug, Args)]
pub(in crate::cli) struct Issue {
    #[command(flatten)]
    pub(super) file: File,
    /// Who it is for: the claim `sub`
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// How long it is good: 90s, 15m, 8h, 30d
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = lifetime)]
    lifetime: Duration,
    #[command(flatten)]
    opens: Opens,
    /// Its own name, with which it can be revoked: the claim `jti`; without it a random one
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The claim `iss`, where it is not the first of auth.issuers
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The claim `aud`, where it is not the first of auth.audiences
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    #[command(flatten)]
    key: Key,
}

/// What it opens.
#[derive(Debug, Args)]
struct Opens {
    /// A namespace it opens; can be repeated, as the others here
    #[arg(long = "namespace", value_name = "NAME", value_parser = namespace)]
    namespaces: Vec<String>,
    /// A room it may be put into; all that begin alike with * at the end
    #[arg(long = "room", value_name = "NAME")]
    rooms: Vec<String>,
    /// An event it may send; all that begin alike with * at the end
    #[arg(long = "event", value_name = "NAME")]
    events: Vec<String>,
    /// A role it has, as `access` of a plugin asks for it
    #[arg(long = "role", value_name = "NAME")]
    roles: Vec<String>,
    /// Something for plugins: they find it in the claim `info`
    #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
    info: Vec<(String, String)>,
}

/// What signs it.
#[derive(Debug, Args)]
struct Key {
    /// The key, by its `kid` in auth.keys
    #[arg(long, value_name = "KID")]
    key_id: Option<String>,
    /// A file with the private key (PEM, PKCS #8), or with the secret
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What that key is for, where no configured key tells
    #[arg(long, value_name = "NAME", requires = "key_file", value_parser = algorithms())]
    algorithm: Option<AlgorithmName>,
}

/// The names of algorithms.
fn algorithms() -> impl clap::builder::TypedValueParser<Value = AlgorithmName> {
    PossibleValuesParser::new(AlgorithmName::ALL.map(AlgorithmName::as_str))
        .try_map(|name| AlgorithmName::named(&name).ok_or("is not an algorithm"))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, text)| (name.to_owned(), text.to_owned())).ok_or_else(|| "write NAME=TEXT".to_owned())
}

/// A namespace, or the beginning of several.
fn namespace(name: &str) -> Result<String, String> {
    if name.starts_with('/') || name == "*" {
        return Ok(name.to_owned());
    }
    Err(format!("the name of a namespace begins with /; did you mean /{name}?"))
}

impl Issue {
    pub(super) fn run(self, settings: &AuthSettings, registry: &Registry) -> Exit {
        if settings.mode == AuthMode::ApiKey {
            let text = "auth.mode is \"api_key\", which has no tokens: clients show one of auth.api_keys; auth.mode = \"jwt\" has tokens";
            return say::trouble(text, Exit::Config);
        }
        for warning in opening_nothing(&self.opens.namespaces, registry) {
            say::lines(format_args!("carillon: --namespace: {warning}"));
        }
        let key = match self.key.text() {
            Ok(key) => key,
            Err(mistake) => return say::trouble(format_args!("--key-file: {mistake}"), Exit::Failure),
        };
        let signing = Signing { kid: self.key.key_id, key, algorithm: self.key.algorithm };
        let Self { subject, lifetime, id, issuer, audience, .. } = self;
        let claims = Claims { subject, lifetime, id, issuer, audience, more: self.opens.claims() };
        match issue(settings, claims, signing) {
            Ok(token) => say::result(&token),
            Err(mistake) => say::trouble(mistake, Exit::Failure),
        }
    }
}

impl Key {
    /// What the file holds.
    fn text(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.key_file else { return Ok(None) };
        let file = file.to_str().ok_or("its name is not UTF-8 text")?;
        secret_in_file(file).map(Some)
    }
}

impl Opens {
    fn claims(self) -> Map<String, Value> {
        let lists =
            [("namespaces", self.namespaces), ("rooms", self.rooms), ("events", self.events), ("roles", self.roles)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let mut claims: Map<_, _> = lists.map(|(name, list)| (name.to_owned(), list.into())).collect();
        if !self.info.is_empty() {
            let info: Map<_, _> = self.info.into_iter().map(|(name, text)| (name, text.into())).collect();
            claims.insert("info".to_owned(), info.into());
        }
        claims
    }
}
