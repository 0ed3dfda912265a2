//! The boot plan: every enabled plugin with its table, made and checked as a whole before any I/O.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use carillon_config::{BusSettings, EventLimitSettings, JournalSettings, LimitSettings, Loaded, Problems, hint};

use crate::bus;
use crate::identity::Authenticate;
use crate::lifecycle::BootError;
use crate::registry::{Description, Plan, Registration, Registry};
use crate::routes::mistake_in_event_name;
use crate::sink::Mode;

/// A plugin about to be started.
pub(crate) struct Planned {
    pub(crate) entry: Registration,
    pub(crate) plan: Box<dyn Plan>,
    /// Events sent to its namespace, by whichever plugin, and their modes.
    pub(crate) emits: Vec<(String, Mode)>,
    /// The role that its clients must have, if any.
    pub(crate) access: Option<Box<str>>,
}

/// What a boot will start, checked as a whole: the part of a boot that needs no I/O.
pub struct BootPlan {
    /// The enabled plugins, in the order of their start.
    pub(crate) plugins: Vec<Planned>,
    /// The namespaces of the disabled ones.
    pub(crate) disabled: HashSet<&'static str>,
    /// Who checks what clients show; without it nobody is asked.
    pub(crate) authenticate: Option<Arc<dyn Authenticate>>,
}

impl BootPlan {
    /// Plans as [`examine`](Self::examine) does, and refuses nothing else.
    ///
    /// # Errors
    /// Everything that could not work, one line each.
    pub fn new(registry: &Registry, config: &Loaded) -> Result<Self, BootError> {
        Self::examine(registry, config, |_, _| {}).map_err(|problems| BootError::Config(problems.to_string()))
    }

    /// Plans the boot of `registry`'s enabled plugins, without I/O: event tables, target namespaces, and whether a bus
    /// serves the URL's scheme. `refuse` tells what else cannot work with these plugins.
    ///
    /// # Errors
    /// Everything that could not work, with the place of each setting that is to blame.
    pub fn examine(
        registry: &Registry,
        config: &Loaded,
        refuse: impl FnOnce(&[Description], &mut Problems),
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let bus: BusSettings = config.get("bus");
        if let Err(error) = bus::check(&bus.url) {
            problems.add("bus.url", error.message().to_owned());
        }
        let mut plugins = Vec::new();
        let mut disabled = HashSet::new();
        for entry in registry.iter() {
            if !config.plugin_enabled(entry.name()) {
                disabled.insert(entry.namespace());
                continue;
            }
            let plan = entry.plan(config);
            check_events(entry, &*plan, &mut problems);
            plugins.push(Planned {
                entry: *entry,
                plan,
                emits: Vec::new(),
                access: config.plugin_access(entry.name()),
            });
        }
        check_namespaces(&plugins, &mut problems);
        check_paths(&plugins, &mut problems);
        check_limits(&plugins, &disabled, &config.get("limits"), &mut problems);
        check_journals(&plugins, &disabled, &config.get("journal"), &mut problems);
        share_emits(&mut plugins, &disabled, &mut problems);
        let plan = Self { plugins, disabled, authenticate: None };
        refuse(&plan.describe(), &mut problems);
        if problems.is_empty() { Ok(plan) } else { Err(config.locate(problems)) }
    }

    /// Has every client checked: at each CONNECT, and at each request for a plugin's HTTP route.
    #[must_use]
    pub fn authenticated_by(mut self, authenticate: Arc<dyn Authenticate>) -> Self {
        self.authenticate = Some(authenticate);
        self
    }

    /// The plugins that it starts.
    #[must_use]
    pub fn describe(&self) -> Vec<Description> {
        self.plugins.iter().map(|Planned { entry, plan, .. }| entry.described(&**plan)).collect()
    }
}

/// A namespace belongs to one enabled plugin; those that are disabled leave theirs free.
fn check_namespaces(planned: &[Planned], problems: &mut Problems) {
    let mut seen: HashMap<&str, &Registration> = HashMap::new();
    for Planned { entry, .. } in planned {
        if let Some(other) = seen.insert(entry.namespace(), entry) {
            problems.add(
                "",
                format!(
                    "two plugins serve {:?}: {} ({}) and {} ({}); switch one off (plugins.{}.enabled = false, or \
                     plugins.{}.enabled = false), or give it another NAMESPACE",
                    entry.namespace(),
                    other.name(),
                    other.origin(),
                    entry.name(),
                    entry.origin(),
                    other.name(),
                    entry.name(),
                ),
            );
        }
    }
}

fn check_events(entry: &Registration, plan: &dyn Plan, problems: &mut Problems) {
    let mut seen = HashMap::new();
    for event in &plan.outline().events {
        let place = event.at;
        if let Some(why) = mistake_in_event_name(&event.name) {
            problems.add("", format!("{}: event {:?} ({place}): {why}", entry.name(), event.name));
        }
        if let Some(other) = seen.insert(&event.name, place) {
            problems
                .add("", format!("{}: event {:?} is declared twice: {other} and {place}", entry.name(), event.name));
        }
    }
    let outline = plan.outline();
    let sent = outline.emits.iter().map(|emit| &emit.name).chain(outline.calls.iter().map(|call| &call.name));
    for name in sent {
        if let Some(why) = mistake_in_event_name(name) {
            problems.add("", format!("{}: sent event {name:?}: {why}", entry.name()));
        }
    }
}

fn check_paths(planned: &[Planned], problems: &mut Problems) {
    let mut seen = HashMap::new();
    for Planned { entry, plan, .. } in planned {
        for get in &plan.outline().http {
            if !get.path.starts_with('/') {
                problems.add("", format!("{}: route {:?} ({}): a path begins with /", entry.name(), get.path, get.at));
            }
            if let Some(part) = get.path.split('/').find(|part| !is_segment(part)) {
                problems.add(
                    "",
                    format!(
                        "{}: route {:?} ({}): {part:?} is neither a plain segment nor a whole {{name}}",
                        entry.name(),
                        get.path,
                        get.at
                    ),
                );
            }
            for name in &get.lacking {
                problems.add(
                    "",
                    format!(
                        "{}: route {:?} ({}): its request type has no field {name:?}",
                        entry.name(),
                        get.path,
                        get.at
                    ),
                );
            }
            // Parameters match whatever their name, so `/a/{x}` and `/a/{y}` are one route.
            let shape: Vec<&str> =
                get.path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
            if let Some(other) = seen.insert(shape, get.at) {
                problems.add("", format!("route {:?} is declared twice: {other} and {}", get.path, get.at));
            }
        }
    }
}

/// Whether `part` is plain text or one `{name}`.
fn is_segment(part: &str) -> bool {
    let braces = |c| c == '{' || c == '}';
    let name = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    name.map_or(!part.contains(braces), |name| !name.is_empty() && !name.starts_with('*') && !name.contains(braces))
}

/// What is limited is there, or it would not be limited; what belongs to a disabled plugin need not be.
fn check_limits(
    planned: &[Planned],
    disabled: &HashSet<&'static str>,
    limits: &LimitSettings,
    problems: &mut Problems,
) {
    for (index, EventLimitSettings { namespace, event, .. }) in limits.events.iter().enumerate() {
        let found = planned.iter().find(|planned| planned.entry.namespace() == namespace);
        let known: Vec<&str> = match found {
            Some(Planned { plan, .. }) => plan.outline().events.iter().map(|event| &*event.name).collect(),
            None if disabled.contains(&**namespace) => continue,
            None => planned.iter().map(|planned| planned.entry.namespace()).collect(),
        };
        let place = format!("limits.events[{index}]");
        if found.is_none() {
            nobody_serves(problems, format!("{place}.namespace"), namespace, &known);
        } else if !known.contains(&&**event) {
            let message = format!("{namespace} has no event {event:?}");
            problems.add(format!("{place}.event"), message).hint(hint(event, "there are", &known));
        }
    }
}

fn nobody_serves(problems: &mut Problems, place: String, namespace: &str, known: &[&str]) {
    problems.add(place, format!("no plugin serves {namespace:?}")).hint(hint(namespace, "there are", known));
}

/// What is to be kept is published somewhere, and kept; what belongs to a disabled plugin need not be.
fn check_journals(
    planned: &[Planned],
    disabled: &HashSet<&'static str>,
    journal: &JournalSettings,
    problems: &mut Problems,
) {
    let known: Vec<&str> = planned.iter().map(|planned| planned.entry.namespace()).collect();
    for (at, name) in journal.namespaces.iter().enumerate() {
        if !known.contains(&&**name) && !disabled.contains(&**name) {
            nobody_serves(problems, format!("journal.namespaces[{at}]"), name, &known);
        }
    }
    for Planned { entry, plan, .. } in planned {
        for emit in plan.outline().emits.iter().filter(|emit| emit.kept) {
            let namespace = emit.namespace.as_deref().unwrap_or(entry.namespace());
            if !disabled.contains(namespace) && !journal.namespaces.iter().any(|kept| kept == namespace) {
                let message = format!("event {:?} is to be kept, and nothing is kept of {namespace:?}", emit.name);
                problems.add(format!("plugins.{}", entry.name()), message).hint("add it to `journal.namespaces`");
            }
        }
    }
}

/// Tells every namespace which events are sent to it.
fn share_emits(planned: &mut [Planned], disabled: &HashSet<&'static str>, problems: &mut Problems) {
    let index: HashMap<&str, usize> = planned.iter().enumerate().map(|(at, p)| (p.entry.namespace(), at)).collect();
    let mut found: Vec<(usize, (String, Mode))> = Vec::new();
    for (own, Planned { entry, plan, .. }) in planned.iter().enumerate() {
        found.extend(plan.outline().calls.iter().map(|call| (own, (call.name.clone(), Mode::All))));
        for emit in &plan.outline().emits {
            let target = match emit.namespace.as_deref() {
                None => Some(own),
                Some(name) => index.get(name).copied(),
            };
            match (target, emit.namespace.as_deref()) {
                (Some(at), _) => found.push((at, (emit.name.clone(), emit.mode))),
                (None, Some(name)) if disabled.contains(name) => {
                    tracing::info!(
                        plugin = entry.name(),
                        namespace = name,
                        event = emit.name,
                        "not sent: the namespace is disabled"
                    );
                }
                (None, name) => {
                    let mut known: Vec<&str> = index.keys().copied().collect();
                    known.sort_unstable();
                    let name = name.unwrap_or_default();
                    let message = format!("event {:?} goes to namespace {name:?}, which no plugin serves", emit.name);
                    problems.add(format!("plugins.{}", entry.name()), message).hint(hint(name, "there are", &known));
                }
            }
        }
    }
    for (at, emit) in found {
        planned[at].emits.push(emit);
    }
}
