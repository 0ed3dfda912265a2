//! `carillon check`: everything wrong with a configuration, without starting anything.

use carillon_config::Loader;
use carillon_core::registry::Registry;

use super::load;
use crate::exit::Exit;
use crate::say;

/// Says what is wrong, or that nothing is.
pub(super) fn run(registry: &Registry, loader: Loader) -> Exit {
    let config = match load(loader) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    // What concerns the plugins together, such as an event for a namespace nobody serves.
    match crate::check::check(registry, &config) {
        Ok(()) => say::result("the configuration is valid"),
        Err(error) => {
            say::lines(error);
            Exit::Config
        }
    }
}
