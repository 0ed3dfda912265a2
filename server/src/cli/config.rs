//! `carillon config`: the configuration described, for people and for editors.

use carillon_config::all_sections;
use carillon_core::registry::Registry;
use clap::Subcommand;

use crate::exit::Exit;
use crate::{reference, say};

/// Which description.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum What {
    /// A configuration file with every setting at its default, and what it means
    Default,
    /// The JSON schema of configuration files, for editors
    Schema,
}

/// Prints it.
pub(super) fn run(registry: &Registry, what: What) -> Exit {
    let sections = all_sections(registry.sections());
    say::result(&match what {
        What::Default => reference::default_toml(&sections),
        What::Schema => reference::config_schema(&sections),
    })
}
