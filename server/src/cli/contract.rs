//! `carillon types` and `carillon asyncapi`: what clients may send and get, for programs that are to be written.

use carillon_config::Loader;
use carillon_core::registry::Registry;
use clap::ValueEnum;

use super::load;
use crate::contract::Contract;
use crate::exit::Exit;
use crate::program::Program;
use crate::say;

/// What the types are written in.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Language {
    /// TypeScript, for socket.io-client
    Ts,
}

/// Prints the types.
pub(super) fn types(registry: &Registry, loader: Loader, language: Language) -> Exit {
    match (load(loader), language) {
        (Ok(config), Language::Ts) => say::result(&Contract::new(registry, &config).typescript()),
        (Err(exit), _) => exit,
    }
}

/// Prints the AsyncAPI document.
pub(super) fn asyncapi(registry: &Registry, loader: Loader, program: Program) -> Exit {
    match load(loader) {
        Ok(config) => say::result(&Contract::new(registry, &config).asyncapi(program)),
        Err(exit) => exit,
    }
}
