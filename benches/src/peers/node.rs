//! Node's own Socket.IO under test: the reference, from npm, set up as its documentation advises for throughput.

use std::net::SocketAddr;
use std::process::Command;

use super::{folder, npm, pings};
use crate::machine;

/// What is missing, and the command that installs it.
pub(super) fn missing() -> Option<String> {
    if machine::output("node", &["--version"]).is_none() {
        return Some("there is no `node`: install Node.js 20 or newer".to_owned());
    }
    npm::missing("node", &["socket.io"])
}

/// The server as a command.
pub(super) fn command(address: SocketAddr) -> Command {
    let mut command = Command::new("node");
    command.arg("server.mjs").current_dir(folder("node")).env("NODE_ENV", "production");
    command.arg(address.port().to_string()).args(pings());
    command
}

/// The versions under test.
pub(super) fn version() -> String {
    format!(
        "{} (Node {}, ws {})",
        npm::version("node", "socket.io"),
        machine::output("node", &["--version"]).unwrap_or_else(|| "unknown".to_owned()),
        npm::version("node", "ws"),
    )
}
