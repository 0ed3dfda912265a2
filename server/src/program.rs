//! Which program this is: its name and version, as `--version`, the log and `build_info` tell them.

use std::process::ExitCode;

use crate::cli;

/// The revision of Carillon's own code that this program is built from; see `build.rs`.
pub(crate) const REVISION: &str = env!("BUILD_REVISION");

/// A program that is a Carillon server. [`main!`](crate::main!) makes it of the crate it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Program {
    /// Carillon itself.
    pub const CARILLON: Self = Self { name: "carillon", version: env!("CARGO_PKG_VERSION") };

    /// Reads the command line, does what it says, and returns the exit code: see [`main`](crate::main()).
    #[must_use]
    pub fn main(self) -> ExitCode {
        cli::run(self, std::env::args_os()).into()
    }
}

/// The whole `main` of a binary of your own: as [`main`](crate::main()), and `--version`, the log and `build_info` tell
/// the name and version of the crate this line stands in.
#[macro_export]
macro_rules! main {
    () => {
        $crate::Program { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") }.main()
    };
}
