//! Puts the settings together: flags over environment over file over aliases over defaults, and reports everything wrong at once.
use crate::loaded::{Loaded, Ready};
use crate::node::Node;
use crate::schema::Schema;
use crate::validate::Check;
use crate::{Alias, Problems, Section, alias, file, layers, secret};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where the settings come from. Later sources win: defaults, aliases, file, environment, flags.
///
/// ```
/// use carillon_config::{Loader, ServerSettings, house_sections};
///
/// let loaded = Loader::new(house_sections())
///     .env([("CARILLON_SERVER__WORKERS", "4")])
///     .flag("server.listen", "0.0.0.0:9000", "--listen")
///     .load()?;
/// let server: ServerSettings = loaded.get("server");
/// assert_eq!((server.workers, server.listen.port), (4, 9000));
/// # Ok::<(), carillon_config::Problems>(())
/// ```
#[derive(Debug, Clone)]
pub struct Loader {
    sections: Vec<Section>,
    aliases: Vec<Alias>,
    file: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    flags: Vec<Flag>,
}

/// A value from the command line.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) name: String,
}

impl Loader {
    /// Starts with the defaults of these sections; no others may be configured.
    pub fn new(sections: Vec<Section>) -> Self {
        Self { sections, aliases: Vec::new(), file: None, env: Vec::new(), flags: Vec::new() }
    }

    /// Lets the environment's variables of another program set what nothing else sets.
    #[must_use]
    pub fn aliases(mut self, aliases: impl IntoIterator<Item = Alias>) -> Self {
        self.aliases.extend(aliases);
        self
    }

    /// Reads this TOML file, which must exist.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Takes settings from these environment variables, normally all of `std::env::vars_os()`. Only those that start
    /// with `CARILLON_` matter, besides those of [`Loader::aliases`], and of them not those that Kubernetes sets for a service called `carillon`.
    #[must_use]
    pub fn env<K: Into<OsString>, V: Into<OsString>>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        self.env.extend(variables.into_iter().map(|(name, text)| (name.into(), text.into())));
        self
    }

    /// Sets one setting from a flag; `name` is the flag as the user types it.
    #[must_use]
    pub fn flag(mut self, path: impl Into<String>, text: impl Into<String>, name: impl Into<String>) -> Self {
        self.flags.push(Flag { path: path.into(), text: text.into(), name: name.into() });
        self
    }

    /// Reads, merges and checks everything.
    ///
    /// # Errors
    /// All problems of all sections, in the order in which a reader meets them.
    pub fn load(self) -> Result<Loaded, Problems> {
        let (loaded, problems) = self.examine();
        if problems.is_empty() { Ok(loaded) } else { Err(problems) }
    }

    /// Reads as [`Loader::load`] does, and puts the default in the place of everything that is wrong: whoever has to
    /// report the problems learns from the settings how.
    pub fn examine(self) -> (Loaded, Problems) {
        let mut problems = Problems::default();
        let mut slots: Vec<_> =
            self.sections.into_iter().filter_map(|section| Slot::new(section, &mut problems)).collect();
        let mistakes = alias::merge(&mut slots, &self.aliases, &self.env);
        if let Some(table) = self.file.and_then(|path| file::read(&path, &mut problems)) {
            layers::merge_file(&mut slots, table, &mut problems);
        }
        layers::merge_env(&mut slots, self.env, &mut problems);
        layers::merge_flags(&mut slots, &self.flags, &mut problems);
        alias::complain(&mut slots, mistakes, &mut problems);
        slots.iter_mut().for_each(|slot| secret::read_named(slot, &mut problems));
        let ready = slots.into_iter().map(|slot| slot.finish(&mut problems)).collect();
        problems.sort();
        (Loaded::new(ready), problems)
    }
}

/// One section while its settings are put together.
pub(crate) struct Slot {
    pub(crate) section: Section,
    pub(crate) schema: Schema,
    pub(crate) defaults: Node,
    /// The defaults with everything laid over them so far.
    pub(crate) tree: Node,
    /// A file that is named in it could not be read.
    pub(crate) lacks: bool,
}

impl Slot {
    fn new(section: Section, problems: &mut Problems) -> Option<Self> {
        match section.defaults() {
            Ok(defaults) => {
                Some(Self { schema: section.schema(), tree: defaults.clone(), defaults, section, lacks: false })
            }
            Err(message) => {
                problems
                    .add(section.path(), message)
                    .hint("this is a mistake in the program, not in the configuration");
                None
            }
        }
    }

    /// Checks the section.
    fn finish(mut self, problems: &mut Problems) -> Ready {
        let check = Check { section: &self.section, schema: &self.schema, defaults: &self.defaults, lacks: self.lacks };
        let own = check.run(&mut self.tree, problems);
        Ready { section: self.section, schema: self.schema, tree: self.tree, own }
    }
}
