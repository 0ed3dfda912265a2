//! python-socketio on uvicorn under test, in an environment of its own below the target folder.
//!
//! One process whatever `--workers` says: several would need Redis between them to know each other's clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{child, folder, pings};
use crate::{Result, machine};

/// What has to be there, and is asked for its version.
const PACKAGES: [&str; 4] = ["python-socketio", "uvicorn", "uvloop", "wsproto"];

/// Where `make bench-peers` puts it: the executable is `target/<profile>/carillon-benches`.
fn environment() -> PathBuf {
    let executable = std::env::current_exe().unwrap_or_default();
    executable.ancestors().nth(2).unwrap_or(&executable).join("peers/python")
}

fn python() -> PathBuf {
    environment().join("bin/python")
}

/// The versions of [`PACKAGES`] and of Python itself.
fn versions() -> Option<Vec<String>> {
    let names = PACKAGES.map(|name| format!("version({name:?})")).join(", ");
    let code =
        format!("import platform; from importlib.metadata import version; print({names}, platform.python_version())");
    let printed = machine::output(&python().to_string_lossy(), &["-c", &code])?;
    Some(printed.split(' ').map(str::to_owned).collect())
}

/// What is missing, and the command that installs it.
pub(super) fn missing() -> Option<String> {
    let (environment, folder) = (environment(), folder("python"));
    versions().is_none().then(|| {
        format!(
            "python-socketio is not installed: python3 -m venv {0} && {0}/bin/pip install --requirement {1}/requirements.txt",
            environment.display(),
            folder.display()
        )
    })
}

/// The server as a command.
pub(super) fn command(address: SocketAddr) -> Result<Command> {
    let mut command = child::guarded(python())?;
    command.arg(folder("python").join("server.py"));
    command.args([address.ip().to_string(), address.port().to_string()]).args(pings());
    Ok(command)
}

/// The versions under test.
pub(super) fn version() -> String {
    match versions().as_deref() {
        Some([socketio, uvicorn, uvloop, wsproto, python]) => {
            format!("{socketio} (uvicorn {uvicorn}, uvloop {uvloop}, wsproto {wsproto}, Python {python})")
        }
        _ => "unknown".to_owned(),
    }
}
