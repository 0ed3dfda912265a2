//! `carillon check`: everything wrong with a configuration, without starting anything.

use carillon_config::Loader;
use carillon_core::lifecycle;
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
    // What concerns several plugins at once, such as an event for a namespace nobody serves.
    match lifecycle::check(registry, &config) {
        Ok(()) => say::result("the configuration is valid"),
        Err(error) => {
            say::lines(error);
            Exit::Config
        }
    }
}
