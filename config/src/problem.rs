//! Collects everything wrong with a configuration, so that one run tells all of it.
use crate::Source;
use crate::path::Path;
use std::fmt;

/// One thing wrong with the configuration, written for the person who has to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, as in `server.listen`; empty when the file as a whole is meant.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// Where the wrong value comes from.
    pub source: Source,
}

impl Problem {
    /// Adds what to write instead.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        // What no setting says comes from nowhere.
        if self.path.is_empty() && self.source == Source::Default { Ok(()) } else { write!(f, " [{}]", self.source) }
    }
}

/// All the problems found. A section's `check` adds to it, with paths relative to its section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem with the setting at `path`, which is relative to the section: `"listen"`, `"rows[2].event"`, or
    /// `""` for the section itself. The loader completes the path and says where the value comes from.
    ///
    /// ```
    /// # let mut problems = carillon_config::Problems::default();
    /// problems.add("window_ms", "must be below `deadline_ms`").hint("5000 suits most");
    /// ```
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) -> &mut Problem {
        self.push(Problem { path: path.into(), message: message.into(), hint: None, source: Source::Default })
    }

    /// Adds a complete problem, and lends it for a hint.
    pub(crate) fn push(&mut self, problem: Problem) -> &mut Problem {
        let at = self.0.len();
        self.0.push(problem);
        &mut self.0[at]
    }

    /// True when nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many problems there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The problems, in the order a reader meets them: the file from top to bottom, the environment, the flags.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Adds those of `others` that concern nothing which a problem here concerns already: of what is known to be wrong one
    /// of them is enough. In reading order again.
    pub fn merge(&mut self, others: Self) {
        let told: Vec<Path> = self.0.iter().map(|problem| Path::parse(&problem.path)).collect();
        let within = |one: &Path, other: &Path| one.0.starts_with(&other.0);
        let is_new = |problem: &Problem| {
            let path = Path::parse(&problem.path);
            path.0.is_empty() || !told.iter().any(|told| within(&path, told) || within(told, &path))
        };
        self.0.extend(others.0.into_iter().filter(is_new));
        self.sort();
    }

    /// Keeps those problems for which this is true.
    pub fn retain(&mut self, keep: impl FnMut(&Problem) -> bool) {
        self.0.retain(keep);
    }

    /// Puts the problems in reading order; those of one place stay in the order they were found.
    pub(crate) fn sort(&mut self) {
        self.0.sort_by(|a, b| a.source.order().cmp(&b.source.order()));
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One line for each problem: `path: message (hint) [source]`.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
