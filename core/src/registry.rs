//! Which plugins there are: found at link time, checked at boot, and a plain value in between.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use carillon_config::{JournalSettings, LimitSettings, Loaded, Section};
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::error::Result;
use crate::host::Host;
use crate::journal::{LateHost, declare};
use crate::module::{Module, Typed};
use crate::plugin::Plugin;
use crate::routes::{Outline, Routes, Table};

/// One plugin as `plugin!` submits it: names, its place in the source, and how to make it.
#[derive(Clone, Copy)]
pub struct Registration {
    name: &'static str,
    namespace: &'static str,
    file: &'static str,
    line: u32,
    package: &'static str,
    section: fn() -> Section,
    plan: fn(&Loaded) -> Box<dyn Plan>,
}

impl Registration {
    /// The registration of `P`, submitted at `file:line`.
    #[must_use]
    pub const fn of<P: Plugin>(file: &'static str, line: u32) -> Self {
        Self {
            name: P::NAME,
            namespace: P::NAMESPACE,
            file,
            line,
            package: "",
            section: section_of::<P>,
            plan: plan_of::<P>,
        }
    }

    /// The same, of the crate `package`.
    #[must_use]
    pub const fn package(mut self, package: &'static str) -> Self {
        self.package = package;
        self
    }

    /// The plugin's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The namespace it serves.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// The crate it comes from; empty when it was not registered by `plugin!`.
    #[must_use]
    pub fn package_name(&self) -> &'static str {
        self.package
    }

    /// Where it is registered, `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Its place, and its crate if it has one.
    pub(crate) fn origin(&self) -> String {
        match self.package {
            "" => self.place(),
            package => format!("{} of the crate {package}", self.place()),
        }
    }

    /// Its configuration section.
    #[must_use]
    pub fn section(&self) -> Section {
        (self.section)()
    }

    /// What it does under a configuration.
    #[must_use]
    pub fn describe(&self, config: &Loaded) -> Description {
        self.described(&*self.plan(config))
    }

    pub(crate) fn described(&self, plan: &dyn Plan) -> Description {
        let outline = plan.outline().clone();
        Description { name: self.name, namespace: self.namespace, place: self.place(), package: self.package, outline }
    }

    pub(crate) fn plan(&self, config: &Loaded) -> Box<dyn Plan> {
        (self.plan)(config)
    }
}

inventory::collect!(Registration);

/// A plugin described for people and tools.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// The namespace it serves.
    pub namespace: &'static str,
    /// Where it is registered, `file:line`.
    pub place: String,
    /// The crate it comes from.
    #[serde(rename = "crate")]
    pub package: &'static str,
    /// Events and routes.
    #[serde(flatten)]
    pub outline: Outline,
}

/// A plugin with its configuration read and its table frozen, before any I/O.
pub(crate) trait Plan: Send {
    fn outline(&self) -> &Outline;
    fn init(self: Box<Self>, host: Host) -> BoxFuture<'static, Result<Arc<dyn Module>>>;
}

struct TypedPlan<P: Plugin> {
    config: P::Config,
    table: Table<P>,
    /// Told to routes that need it, once there is one.
    host: LateHost,
}

impl<P: Plugin> Plan for TypedPlan<P> {
    fn outline(&self) -> &Outline {
        &self.table.outline
    }

    fn init(self: Box<Self>, host: Host) -> BoxFuture<'static, Result<Arc<dyn Module>>> {
        let Self { config, table, host: told } = *self;
        Box::pin(async move {
            told.set(host.clone()).ok();
            let plugin = Arc::new(P::init(config, host).await?);
            Ok(Arc::new(Typed { plugin, table }) as Arc<dyn Module>)
        })
    }
}

fn section_of<P: Plugin>() -> Section {
    Section::of::<P::Config>(section_path(P::NAME), P::check)
}

fn section_path(name: &str) -> String {
    format!("plugins.{name}")
}

/// Reads the plugin's settings and has it declare what it does; then come those of the house that change a namespace: the event
/// `history`, what the router itself adds, and limits of single events.
fn plan_of<P: Plugin>(loaded: &Loaded) -> Box<dyn Plan> {
    let config: P::Config = loaded.get(&section_path(P::NAME));
    let mut routes = Routes::new();
    P::routes(&mut routes, &config);
    let (journal, host): (JournalSettings, LateHost) = (loaded.get("journal"), LateHost::default());
    if journal.history.iter().any(|name| name == P::NAMESPACE) {
        declare(&mut routes, P::NAMESPACE, Arc::clone(&host));
    }
    routes.describe_built_in(P::NAMESPACE, loaded);
    let mut table = routes.freeze();
    let limits: LimitSettings = loaded.get("limits");
    for event in &mut table.outline.events {
        event.limit = limits.own(P::NAMESPACE, &event.name).or(event.limit);
    }
    Box::new(TypedPlan { config, table, host })
}

/// The plugins of an application, sorted by name and free of conflicts.
#[derive(Clone)]
pub struct Registry {
    entries: Vec<Registration>,
}

impl Registry {
    /// Every plugin linked into this binary.
    ///
    /// # Errors
    /// When there is none (the crate that holds them is not named anywhere), or two conflict.
    pub fn linked() -> Result<Self, RegistryError> {
        Self::new(inventory::iter::<Registration>.into_iter().copied().collect())
    }

    /// Just `P`: for tests and embedders.
    #[must_use]
    #[track_caller]
    pub fn of<P: Plugin>() -> Self {
        let at = Location::caller();
        Self { entries: vec![Registration::of::<P>(at.file(), at.line())] }
    }

    /// These plugins and `P`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn and<P: Plugin>(self) -> Result<Self, RegistryError> {
        let at = Location::caller();
        Self::new(self.entries.into_iter().chain([Registration::of::<P>(at.file(), at.line())]).collect())
    }

    /// These plugins.
    ///
    /// # Errors
    /// When the list is empty, a name or namespace is malformed, or two plugins share a name. Which plugin serves a
    /// namespace is a question of configuration, and the boot's to check.
    pub fn new(mut entries: Vec<Registration>) -> Result<Self, RegistryError> {
        entries.sort_by_key(|entry| entry.name);
        if entries.is_empty() {
            return Err(RegistryError(vec![
                "no plugin is linked into this binary; name their crate once, as in `use carillon_plugins as _;`"
                    .to_owned(),
            ]));
        }
        let mut problems = Vec::new();
        let mut names: HashMap<&str, Registration> = HashMap::new();
        for entry in &entries {
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
            if entry.name.is_empty() || !entry.name.chars().all(word) {
                problems.push(format!("plugin name {:?} ({}): use a-z, 0-9, _ and -", entry.name, entry.place()));
            }
            let printable = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '"' | '\\' | '?');
            if !entry.namespace.starts_with('/') || !entry.namespace.chars().all(printable) {
                problems.push(format!(
                    "namespace {:?} ({}): it begins with / and has no space, comma, quote, backslash or question mark",
                    entry.namespace,
                    entry.place()
                ));
            }
            if let Some(other) = names.insert(entry.name, *entry) {
                problems.push(format!(
                    "two plugins are named {:?}: {} and {}; give one of them another name: it is a section of the \
                     configuration, and one that is disabled (plugins.{}.enabled = false) frees its namespace only",
                    entry.name,
                    other.origin(),
                    entry.origin(),
                    entry.name,
                ));
            }
        }
        if problems.is_empty() { Ok(Self { entries }) } else { Err(RegistryError(problems)) }
    }

    /// The plugins, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Registration> {
        self.entries.iter()
    }

    /// Their configuration sections.
    #[must_use]
    pub fn sections(&self) -> Vec<Section> {
        self.entries.iter().map(Registration::section).collect()
    }
}

/// Why plugins cannot run together: a mistake in the binary, not in its configuration.
#[derive(Debug)]
pub struct RegistryError(Vec<String>);

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for RegistryError {}

/// Registers a plugin at link time: `plugin!(Echo);` at the end of its file. Nothing runs before `main`.
#[macro_export]
macro_rules! plugin {
    ($plugin:ty) => {
        impl $crate::__private::RegisteredOnce for $plugin {}
        $crate::__private::inventory::submit! { $crate::registry::Registration::of::<$plugin>(file!(), line!()).package(env!("CARGO_PKG_NAME")) }
    };
}
