//! Carillon under test: this very program as `carillon serve`, with the bench plugin linked in and all others switched off.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use carillon_benches::OUT_OF_REACH;
use carillon_core::registry::Registry;

use super::Options;
use crate::Result;
use crate::load::shape::NAMESPACES;

mod endless;
pub(super) mod guarded;
mod plugin;

/// The name of the bench plugin.
pub(crate) const PLUGIN: &str = "bench";

/// The most that a limit of one address may be.
const MOST: &str = "10000000";

/// `serve`, as Carillon's own command line understands it.
pub(crate) fn command(options: &Options, address: SocketAddr, program: PathBuf) -> Result<Command> {
    // An older build does not know every setting.
    let is_this = std::env::current_exe().is_ok_and(|this| this == program);
    let mut command = Command::new(program);
    // No carillon.toml of the place the tool was called from.
    command.arg("serve").current_dir(&options.directory);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARILLON_") {
            command.env_remove(name);
        }
    }
    let mut set = |key: &str, value: &str| {
        command.env(format!("CARILLON_{}", key.to_uppercase().replace('.', "__").replace('-', "_")), value);
    };
    set("server.listen", &address.to_string());
    set("server.workers", &options.workers.to_string());
    set("log.level", "warn");
    if is_this {
        // All clients are on this machine, which is one address.
        for limit in ["max_connections_per_ip", "max_sessions_per_ip", "new_sessions_per_ip_per_s"] {
            set(&format!("server.{limit}"), MOST);
        }
        for (limit, value) in OUT_OF_REACH {
            set(limit, value);
        }
    }
    for plugin in Registry::linked()?.iter() {
        let name = plugin.name();
        if !name.starts_with(PLUGIN)
            && !options.settings.iter().any(|(key, _)| key.starts_with(&format!("plugins.{name}.")))
        {
            set(&format!("plugins.{name}.enabled"), "false");
        }
    }
    for (key, value) in &options.settings {
        set(key, value);
    }
    Ok(command)
}

/// What keeps everything that is published in the bench plugin's namespaces, for clients that come back.
pub(crate) fn kept() -> impl Iterator<Item = (String, String)> {
    let names = serde_json::to_string(&NAMESPACES).unwrap_or_default();
    let room =
        [("max_events", 10_000_000_u64), ("max_bytes", 4 << 30), ("max_age_s", 3_600), ("max_disconnection_s", 3_600)];
    let room = room.map(|(key, value)| (key, value.to_string()));
    let all = [("namespaces", names.clone()), ("recovery", names)].into_iter().chain(room);
    all.map(|(key, value)| (format!("journal.{key}"), value))
}

/// The version under test.
pub(crate) fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
