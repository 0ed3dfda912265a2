//! Node's own Socket.IO under test: the reference, from npm, set up as its documentation advises for throughput.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{PING_INTERVAL, PING_TIMEOUT};
use crate::machine;

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "peers", "node"].iter().collect()
}

/// What is missing, and the command that installs it.
pub(crate) fn missing() -> Option<String> {
    if machine::output("node", &["--version"]).is_none() {
        return Some("there is no `node`: install Node.js 20 or newer".to_owned());
    }
    let installed = folder().join("node_modules/socket.io/package.json").exists();
    (!installed).then(|| format!("socket.io is not installed: npm ci --prefix {}", folder().display()))
}

/// The server as a command.
pub(crate) fn command(address: SocketAddr) -> Command {
    let mut command = Command::new("node");
    command.arg("server.mjs").current_dir(folder()).env("NODE_ENV", "production");
    command.args([address.port(), PING_INTERVAL as u16, PING_TIMEOUT as u16].map(|number| number.to_string()));
    command
}

/// The versions under test.
pub(crate) fn version() -> String {
    let of = |package: &str| {
        let text = std::fs::read_to_string(folder().join(format!("node_modules/{package}/package.json"))).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(json["version"].as_str()?.to_owned())
    };
    let unknown = || "unknown".to_owned();
    format!(
        "{} (Node {}, ws {})",
        of("socket.io").unwrap_or_else(unknown),
        machine::output("node", &["--version"]).unwrap_or_else(unknown),
        of("ws").unwrap_or_else(unknown),
    )
}
