//! Why an application did not come up.

use std::fmt;

/// Why an application did not come up.
#[derive(Debug)]
pub enum BootError {
    /// The configuration asks for something impossible; each line names what.
    Config(String),
    /// Something failed at run time.
    Failed(String),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for BootError {}
