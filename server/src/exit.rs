//! How the program ends, as a supervisor sees it.

use std::process::ExitCode;

/// The end of a command. What failed has been said already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, 0.
    Success,
    /// Something failed at run time, 1.
    Failure,
    /// The command line is wrong, 2.
    Usage,
    /// The configuration is wrong, 78 (`EX_CONFIG` of sysexits.h): starting again without a change cannot help.
    Config,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
