//! A server under test as a child process: started on its cores, waited for until it listens, stopped when dropped.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::carillon::guarded::Access;
use crate::{Result, clock, machine};

/// How long a server may take to listen.
const START: u64 = 20_000_000_000;
/// How long a server may take to stop when asked to.
const STOP: u64 = 3_000_000_000;

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where messages are published to, in a server that has no publisher inside.
    pub(crate) inlet: SocketAddr,
    /// What clients need to get in.
    pub(crate) access: Access,
    log: PathBuf,
}

impl Server {
    /// A loopback address nobody listens on.
    pub(crate) fn free_address() -> Result<SocketAddr> {
        Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
    }

    /// Starts `command` on `cores` and waits until it listens on both addresses, of which the second is for messages. What it
    /// prints goes to `log`; this thread returns to `own` cores.
    pub(crate) fn start(
        mut command: Command,
        [address, inlet]: [SocketAddr; 2],
        (cores, own): (&[usize], &[usize]),
        log: &Path,
    ) -> Result<Self> {
        let output = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        // Its standard input stays open as long as this process lives: a server may watch it.
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        machine::pin(cores)?;
        let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()));
        machine::pin(own)?;
        let mut server = Self { child: child?, address, inlet, access: Access::default(), log: log.to_owned() };
        let deadline = clock::now() + START;
        while [address, inlet].iter().any(|address| TcpStream::connect(address).is_err()) {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("ended with {status}: {}", server.last_words()).into());
            }
            if clock::now() > deadline {
                return Err(format!("does not listen: {}", server.last_words()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end.
    pub(crate) fn stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Fails when it has ended already.
            kill_process(pid, signal).ok();
        }
    }

    /// What it printed last.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The hidden first argument that makes this program become another one; see [`guarded`].
pub(crate) const BECOME: &str = "become";

/// A program that ends when this process does, however that ends, without any help of its own.
pub(crate) fn guarded(program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(BECOME).arg(program);
    Ok(command)
}

/// Becomes the program of [`guarded`]. The process keeps its number and is told when its parent ends; it is asked rather
/// than killed, since it may have processes of its own to end.
pub(crate) fn become_other(mut args: impl Iterator<Item = OsString>) -> Result<()> {
    let program = args.next().ok_or("no program is named")?;
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    let error = Command::new(&program).args(args).exec();
    Err(format!("{}: {error}", program.display()).into())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let deadline = clock::now() + STOP;
        while clock::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
