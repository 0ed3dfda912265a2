//! `carillon plugins`: what is linked in, and what it does under the configuration at hand.

use std::collections::BTreeMap;
use std::fmt::Write;

use carillon_config::{Loader, Setting};
use carillon_core::registry::{Description, Registry};
use carillon_core::routes::{EmitOutline, EventOutline};
use carillon_core::sink::Mode;
use serde_json::{Map, Value};

use super::load;
use crate::exit::Exit;
use crate::{reference, say};

/// Prints the list.
pub(super) fn run(registry: &Registry, loader: Loader, json: bool) -> Exit {
    let config = match load(loader) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let plugins: Vec<(Description, Vec<Setting>)> =
        registry.iter().map(|entry| (entry.describe(&config), entry.section().settings())).collect();
    if json {
        let list: Value = plugins.iter().map(|(plugin, settings)| reference::plugin(plugin, settings)).collect();
        return say::result(&format!("{list:#}"));
    }
    let enabled = || plugins.iter().map(|(plugin, _)| plugin).filter(|plugin| config.plugin_enabled(plugin.name));
    let parts: Vec<String> = plugins
        .iter()
        .map(|(plugin, settings)| {
            let is_on = config.plugin_enabled(plugin.name);
            let others = enabled().filter(|other| is_on && other.name != plugin.name).collect::<Vec<_>>();
            describe(is_on, plugin, settings, &others)
        })
        .collect();
    say::result(&format!("{}\n{}", parts.join("\n"), crates(registry)))
}

/// The crates plugins were found in, and how many each has: one that is missing was named nowhere (`use its_name as _;`).
fn crates(registry: &Registry) -> String {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in registry.iter() {
        *found.entry(entry.package_name()).or_default() += 1;
    }
    let list: Vec<String> = found.iter().map(|(name, plugins)| format!("{name} ({plugins})")).collect();
    format!("found in: {}", list.join(", "))
}

/// One plugin for people. `others` may send events into its namespace.
fn describe(is_on: bool, plugin: &Description, settings: &[Setting], others: &[&Description]) -> String {
    let mut text = String::new();
    let off = if is_on { "" } else { "  (disabled)" };
    let mut rows = Vec::new();
    let outline = &plugin.outline;
    rows.extend(outline.handshake.iter().map(|doc| ("decides", "(handshakes)".to_owned(), doc.clone())));
    rows.extend(
        outline.auth.iter().map(|auth| ("reads", "auth".to_owned(), auth_text(auth.as_value(), &outline.definitions))),
    );
    let events = outline.events.iter().chain(&outline.built_in);
    rows.extend(events.map(|event| ("takes", event.name.clone() + &limit(event), event.doc.clone())));
    rows.extend(outline.any.iter().map(|doc| ("takes", "(any other)".to_owned(), doc.clone())));
    rows.extend(outline.emits.iter().map(|emit| {
        let name = match &emit.namespace {
            Some(namespace) => format!("{} to {namespace}", emit.name),
            None => emit.name.clone(),
        };
        ("sends", name + mode(emit), emit.doc.clone())
    }));
    for other in others {
        let here = other.outline.emits.iter().filter(|emit| emit.namespace.as_deref() == Some(plugin.namespace));
        rows.extend(
            here.map(|emit| ("gets", format!("{} from {}{}", emit.name, other.name, mode(emit)), emit.doc.clone())),
        );
    }
    rows.extend(outline.emits_any.iter().map(|doc| ("sends", "(any other)".to_owned(), doc.clone())));
    rows.extend(outline.calls.iter().map(|call| ("asks", call.name.clone(), call.doc.clone())));
    rows.extend(outline.http.iter().map(|get| ("GET", get.path.clone(), get.doc.clone())));
    rows.extend(settings.iter().map(|setting| {
        let default = setting.default.as_deref().unwrap_or("unset");
        ("setting", setting.key.clone(), format!("{} = {default}", setting.accepts))
    }));
    let width = rows.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or(0);
    // Writing to a String cannot fail.
    writeln!(text, "{}  {}{off}  {}", plugin.name, plugin.namespace, plugin.place).ok();
    for (kind, name, doc) in rows {
        writeln!(text, "  {kind:<8} {name:<width$}  {}", doc.lines().next().unwrap_or_default()).ok();
    }
    text
}

/// How often an event may be sent, where it has a limit of its own.
fn limit(event: &EventOutline) -> String {
    event.limit.map(|limit| format!(" ({limit})")).unwrap_or_default()
}

/// The rule for slow clients, where there is one.
fn mode(emit: &EmitOutline) -> &'static str {
    match emit.mode {
        Mode::All => "",
        Mode::Latest => " (latest)",
        Mode::Volatile => " (volatile)",
    }
}

/// What clients send as `auth`: its fields, those that may be missing with a question mark, and what it is for.
fn auth_text(schema: &Value, definitions: &Map<String, Value>) -> String {
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().map(|part| auth_text(part, definitions)).collect::<Vec<_>>().join("  ");
    }
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/definitions/"));
    let schema = name.and_then(|name| definitions.get(name)).unwrap_or(schema);
    let is_required = |field: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == field));
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields: Vec<String> =
        fields.map(|(field, _)| if is_required(field) { field.clone() } else { format!("{field}?") }).collect();
    let doc = schema["description"].as_str().and_then(|doc| doc.lines().next());
    let parts = [(!fields.is_empty()).then(|| format!("{{ {} }}", fields.join(", "))), doc.map(str::to_owned)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use carillon_core::prelude::*;

    use super::*;

    /// Who lets in.
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only described")]
    struct Ticket {
        seat: u8,
        row: Option<u8>,
    }

    struct Board;
    impl Plugin for Board {
        const NAME: &'static str = "board";
        const NAMESPACE: &'static str = "/board";
        type Config = NoConfig;
        async fn init(_: NoConfig, _: Host) -> Result<Self> {
            Ok(Self)
        }
        fn routes(on: &mut Routes<Self>, _: &NoConfig) {
            on.auth::<Ticket>();
            on.event("clap", "Is heard.", async |_, _, _: Ignored| Ok(())).limit(1, 5);
        }
    }

    struct Inbox;
    impl Plugin for Inbox {
        const NAME: &'static str = "inbox";
        const NAMESPACE: &'static str = "/inbox";
        type Config = NoConfig;
        async fn init(_: NoConfig, _: Host) -> Result<Self> {
            Ok(Self)
        }
        fn routes(on: &mut Routes<Self>, _: &NoConfig) {
            on.emits_to::<String>("/board", "uploaded", "When a file has come.").latest();
        }
    }

    #[test]
    fn a_plugin_shows_its_auth_and_what_others_send_there() {
        let registry = Registry::of::<Board>().and::<Inbox>().unwrap();
        let config = Loader::new(carillon_config::all_sections(registry.sections())).load().unwrap();
        let all: Vec<Description> = registry.iter().map(|entry| entry.describe(&config)).collect();
        let (board, inbox) = (&all[0], &all[1]);
        let text = describe(true, board, &[], &[inbox]);
        let words = |line: &str| text.lines().any(|one| one.split_whitespace().collect::<Vec<_>>().join(" ") == line);
        assert!(words("reads auth { row?, seat } Who lets in."), "{text}");
        assert!(words("takes clap (1 a second, 5 at once) Is heard."), "{text}");
        assert!(words("gets uploaded from inbox (latest) When a file has come."), "{text}");
        assert!(!describe(true, inbox, &[], &[board]).contains("gets"), "what it sends elsewhere it does not get");
        assert!(!describe(false, board, &[], &[]).contains("gets"), "nobody sends to who is off");
    }

    /// Where everybody is asked who they are, that stands beside what the plugin reads.
    #[test]
    fn a_token_is_shown_to_every_plugin_of_a_server_that_asks() {
        let registry = Registry::of::<Board>();
        let loader = Loader::new(carillon_config::all_sections(registry.sections()))
            .flag("auth.mode", "jwt", "a test")
            .flag("auth.key", "0123456789abcdef0123456789abcdef", "a test");
        let board = registry.iter().next().unwrap().describe(&loader.load().unwrap());
        let text = describe(true, &board, &[], &[]);
        for part in [
            "{ token? }  What clients show where the server asks who they are.  { row?, seat }  Who lets in.",
            "takes    refresh_token",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }

    /// What is told of an event is what a server with these settings does.
    #[test]
    fn limits_are_those_of_the_settings() {
        let registry = Registry::of::<Board>();
        let told = |limits: &str| {
            let loader = Loader::new(carillon_config::all_sections(registry.sections()));
            let config = loader.flag("limits.events", limits, "a test").load().unwrap();
            let board = registry.iter().next().unwrap().describe(&config);
            (describe(true, &board, &[], &[]), reference::plugin(&board, &[])["events"][0]["limit"].clone())
        };
        for (limits, shown, json) in [
            ("[]", "(1 a second, 5 at once)", serde_json::json!({ "per_s": 1, "burst": 5 })),
            (
                r#"[{ namespace = "/board", event = "clap", per_s = 3, burst = 7 }]"#,
                "(3 a second, 7 at once)",
                serde_json::json!({ "per_s": 3, "burst": 7 }),
            ),
            (
                r#"[{ namespace = "/board", event = "clap", per_s = 0, burst = 1 }]"#,
                "(not limited)",
                serde_json::json!({ "per_s": 0, "burst": 1 }),
            ),
        ] {
            let (text, found) = told(limits);
            assert!(text.contains(&format!("clap {shown}")), "{shown}: {text}");
            assert_eq!(found, json);
        }
    }
}
