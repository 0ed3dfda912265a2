//! Socket.IO on Bun's own engine under test: Bun too comes from npm, locked, and is not installed anywhere else.

use std::net::SocketAddr;
use std::process::Command;

use super::{child, folder, npm, pings};
use crate::{Result, machine};

fn program() -> std::path::PathBuf {
    folder("bun").join("node_modules/.bin/bun")
}

/// What is missing, and the command that installs it.
pub(super) fn missing() -> Option<String> {
    if let Some(missing) = npm::missing("bun", &["socket.io", "@socket.io/bun-engine", "bun"]) {
        return Some(missing);
    }
    // Its install script fetches the program where npm is not allowed to.
    let runs = machine::output(&program().to_string_lossy(), &["--version"]).is_some();
    (!runs).then(|| {
        let folder = folder("bun");
        format!("bun does not run on this machine: npm rebuild bun --prefix {}", folder.display())
    })
}

/// The server as a command.
pub(super) fn command(address: SocketAddr) -> Result<Command> {
    let mut command = child::guarded(program())?;
    command.arg("server.mjs").current_dir(folder("bun")).env("NODE_ENV", "production");
    command.arg(address.port().to_string()).args(pings());
    Ok(command)
}

/// The versions under test.
pub(super) fn version() -> String {
    format!(
        "{} (@socket.io/bun-engine {}, socket.io {})",
        npm::version("bun", "bun"),
        npm::version("bun", "@socket.io/bun-engine"),
        npm::version("bun", "socket.io"),
    )
}
