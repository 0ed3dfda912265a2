//! nchan on nginx under test: no Socket.IO, each message a WebSocket frame of its own.
//!
//! Nothing of ours runs inside it. The load publishes with HTTP requests over a connection of its own, so that receiving
//! them is part of the server's processor time: one request for as many deliveries as there are clients.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Options, PING_INTERVAL, child};
use crate::{Result, machine};

const PROGRAM: &str = "nginx";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const PACKAGE: &str = "libnginx-mod-nchan";
const TEMPLATE: &str = include_str!("../../peers/nchan/nginx.conf");

/// What is missing, and the command that installs it.
pub(super) fn missing() -> Option<String> {
    let absent = machine::find(PROGRAM).is_none() || !Path::new(MODULE).exists();
    absent.then(|| format!("there is no nginx with nchan: apt-get install --no-install-recommends {PROGRAM} {PACKAGE}"))
}

/// The server as a command. Everything it writes is below `options.directory`.
pub(super) fn command(options: &Options, address: SocketAddr) -> Result<Command> {
    let prefix = options.directory.join("nchan");
    let file = prefix.join("nginx.conf");
    fs::create_dir_all(&prefix)
        .and_then(|()| fs::write(&file, config(options.workers, address)))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = child::guarded(machine::find(PROGRAM).ok_or("it is not installed")?)?;
    command.arg("-e").arg("stderr").arg("-p").arg(prefix).arg("-c").arg(file);
    Ok(command)
}

fn config(workers: usize, address: SocketAddr) -> String {
    TEMPLATE
        .replace("@MODULE@", MODULE)
        .replace("@WORKERS@", &workers.to_string())
        .replace("@ADDRESS@", &address.to_string())
        .replace("@PING_SECONDS@", &(PING_INTERVAL / 1000).to_string())
}

/// The versions under test, as Debian numbers them: neither tells its own without being asked in its own way.
pub(super) fn version() -> String {
    let of = |package: &str| {
        let printed = machine::output("dpkg-query", &["--show", "--showformat=${Version}", package]);
        printed.as_deref().map_or_else(|| "unknown".to_owned(), upstream)
    };
    format!("{} (nginx {})", of(PACKAGE), of("nginx-common"))
}

/// `1:1.3.6+dfsg-2` is 1.3.6.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['-', '+', '~']).next().unwrap_or(version).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_filled_in() {
        let config = config(2, ([127, 0, 0, 1], 80).into());
        assert!(config.contains("worker_processes 2;") && config.contains("listen 127.0.0.1:80 backlog"));
        assert!(!config.lines().skip(1).any(|line| line.contains('@')), "{config}");
    }

    #[test]
    fn versions_of_debian() {
        assert_eq!(upstream("1:1.3.6+dfsg-2"), "1.3.6");
        assert_eq!(upstream("1.22.1-9+deb12u11"), "1.22.1");
    }
}
