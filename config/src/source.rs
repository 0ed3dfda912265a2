//! Says where a setting's value comes from: the defaults, the file, the environment or a flag.
use std::fmt;
use std::path::PathBuf;

/// Where a value, or a problem, comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Built into the program: the `Default` of the section's type.
    Default,
    /// The configuration file.
    File {
        /// The file, as it was named to the loader.
        path: PathBuf,
        /// Where in the file; absent when the file as a whole is meant.
        at: Option<Position>,
    },
    /// An environment variable, by its full name.
    Env(String),
    /// An environment variable of another program, or several, that [mean](crate::Alias) one of our settings; their
    /// value may be written differently from ours.
    Alias(String),
    /// A command line flag, as the user types it (`--listen`).
    Flag(String),
}

/// A place in a text file, counted from 1, as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, counted in characters.
    pub column: usize,
}

impl Source {
    /// The key problems are sorted by: the file from top to bottom, then the environment, then flags.
    pub(crate) fn order(&self) -> (u8, Option<Position>, &str) {
        match self {
            Self::File { at, .. } => (0, *at, ""),
            Self::Env(variable) | Self::Alias(variable) => (1, None, variable),
            Self::Flag(flag) => (2, None, flag),
            Self::Default => (3, None, ""),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, at: None } => write!(f, "{}", path.display()),
            // The form editors and terminals turn into a link.
            Self::File { path, at: Some(at) } => {
                write!(f, "{}:{}:{}", path.display(), at.line, at.column)
            }
            Self::Env(variable) | Self::Alias(variable) => write!(f, "environment variable {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}
