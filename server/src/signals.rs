//! The signals the server listens to: SIGTERM, SIGINT and SIGQUIT stop it, the second one at once; SIGHUP makes it read
//! its files again. SIGPIPE is ignored from the start by every Rust program.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// All of them, caught from now on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caught {
    /// To stop; the signal's name.
    Stop(&'static str),
    /// To read the configuration again.
    Reload,
}

impl Signals {
    /// Starts catching.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves at the next signal.
    pub(crate) async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Caught::Stop("SIGINT"),
            _ = self.quit.recv() => Caught::Stop("SIGQUIT"),
            _ = self.hangup.recv() => Caught::Reload,
        }
    }

    /// Resolves at the next signal that asks to stop, to its name. Nothing is read again meanwhile.
    pub(crate) async fn stop(&mut self) -> &'static str {
        loop {
            match self.next().await {
                Caught::Stop(name) => return name,
                Caught::Reload => tracing::info!("SIGHUP: the server is stopping, nothing is read again"),
            }
        }
    }
}
