//! `carillon check`: everything wrong with a configuration, without starting anything.

use carillon_config::{Loaded, Loader};
use carillon_core::registry::Registry;

use super::load_all;
use crate::exit::Exit;
use crate::say;

/// Says what is wrong, or that nothing is.
pub(super) fn run(registry: &Registry, loader: Loader, verbose: bool) -> Exit {
    let config = match load_all(registry, loader) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    // What concerns the plugins together, such as an event for a namespace nobody serves.
    match crate::check::check(registry, &config) {
        Ok(_) if verbose => say::result(&format!("{}\nthe configuration is valid", effective(&config))),
        Ok(_) => say::result("the configuration is valid"),
        Err(problems) => say::problems(&config, &problems),
    }
}

/// Every setting with its value and where that comes from, one a line.
pub(super) fn effective(config: &Loaded) -> String {
    let lines: Vec<_> = config.sources().map(|(key, value, source)| format!("{key} = {value} [{source}]")).collect();
    lines.join("\n")
}
