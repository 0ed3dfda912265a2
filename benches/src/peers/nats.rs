//! NATS over WebSocket under test: no Socket.IO, and the nearest thing to a plain fan-out of messages by name.
//!
//! Nothing of ours runs inside it. The load publishes over a connection of its own, so that receiving the messages is part
//! of the server's processor time: one publish for as many deliveries as there are clients.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use super::{Options, PING_INTERVAL, child};
use crate::{Result, machine};

const PROGRAM: &str = "nats-server";
const TEMPLATE: &str = include_str!("../../peers/nats/nats.conf");

/// What is missing, and the command that installs it.
pub(super) fn missing() -> Option<String> {
    let absent = machine::find(PROGRAM).is_none();
    absent.then(|| format!("there is no `{PROGRAM}`: apt-get install --no-install-recommends nats-server"))
}

/// The server as a command: clients connect to `address`, the publisher to `inlet`.
pub(super) fn command(options: &Options, address: SocketAddr, inlet: SocketAddr) -> Result<Command> {
    let file = options.directory.join("nats.conf");
    fs::write(&file, config(address, inlet)).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = child::guarded(machine::find(PROGRAM).ok_or("it is not installed")?)?;
    command.arg("--config").arg(file).env("GOMAXPROCS", options.workers.to_string());
    Ok(command)
}

fn config(address: SocketAddr, inlet: SocketAddr) -> String {
    TEMPLATE
        .replace("@ADDRESS@", &address.to_string())
        .replace("@INLET@", &inlet.to_string())
        .replace("@PING_SECONDS@", &(PING_INTERVAL / 1000).to_string())
}

/// The version under test.
pub(super) fn version() -> String {
    let printed =
        machine::find(PROGRAM).and_then(|program| machine::output(&program.to_string_lossy(), &["--version"]));
    // nats-server: v2.9.10
    printed.as_deref().and_then(|line| Some(line.rsplit_once(" v")?.1)).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_filled_in() {
        let config = config(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        assert!(config.contains("\nlisten: \"127.0.0.1:2\"\n") && config.contains("  listen: \"127.0.0.1:1\"\n"));
        assert!(config.contains("ping_interval: \"25s\"") && !config.lines().skip(1).any(|line| line.contains('@')));
    }
}
