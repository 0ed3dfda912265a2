//! What clients and this server may send each other, namespace by namespace: the event table of all plugins put together,
//! which TypeScript's types and the AsyncAPI document are written from.

mod asyncapi;
mod definitions;
mod typescript;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use carillon_config::{Loaded, Rate};
use carillon_core::registry::{Description, Registry};
use serde_json::{Map, Value};

use self::definitions::Definitions;
use crate::program::Program;

/// Everything that is declared.
#[derive(Debug, Default)]
pub(crate) struct Contract {
    namespaces: BTreeMap<String, Namespace>,
    /// JSON schemas by their names; others refer to them as `#/definitions/<name>`.
    definitions: Map<String, Value>,
}

/// What is declared for one namespace, by whatever plugin.
#[derive(Debug, Default)]
struct Namespace {
    /// Events the server sends, by name. A plugin may send into the namespace of another, an event that this one sends too.
    sent: BTreeMap<String, Vec<Sent>>,
    /// Events clients send, by name.
    taken: BTreeMap<String, Taken>,
    /// What it says of events whose names are not declared: those it sends, those it takes.
    sent_any: Option<String>,
    taken_any: Option<String>,
    /// Schema of `auth`.
    auth: Option<Value>,
}

/// An event the server sends.
#[derive(Debug)]
struct Sent {
    doc: String,
    payload: Value,
    /// Schema of the answer it wants, if it wants one.
    answer: Option<Value>,
}

/// An event a client sends.
#[derive(Debug)]
struct Taken {
    doc: String,
    request: Value,
    response: Value,
    /// Whether the ack is `{ ok, data }`.
    envelope: bool,
    /// How often it may be sent, where it has a limit of its own.
    limit: Option<Rate>,
}

impl Taken {
    /// Its own limit, for people.
    fn limit_text(&self) -> Option<String> {
        self.limit.map(|limit| if limit.per_s == 0 { "Not limited.".to_owned() } else { format!("At most {limit}.") })
    }
}

impl Contract {
    /// That of the plugins which this configuration enables.
    pub(crate) fn new(registry: &Registry, config: &Loaded) -> Self {
        let enabled = registry.iter().filter(|entry| config.plugin_enabled(entry.name()));
        Self::of(&enabled.map(|entry| entry.describe(config)).collect::<Vec<_>>())
    }

    /// That of these plugins.
    pub(crate) fn of(plugins: &[Description]) -> Self {
        let definitions = Definitions::new(plugins);
        let mut contract = Self { definitions: definitions.all(), ..Self::default() };
        for plugin in plugins {
            let named = |schema: &Value| definitions.renamed(plugin.name, schema);
            let outline = &plugin.outline;
            let own = contract.namespaces.entry(plugin.namespace.to_owned()).or_default();
            own.taken_any.clone_from(&outline.any);
            own.sent_any.clone_from(&outline.emits_any);
            own.auth = outline.auth.as_ref().map(|auth| named(auth.as_value()));
            for event in &outline.events {
                let (request, response) = (named(event.request.as_value()), named(event.response.as_value()));
                let (doc, limit) = (event.doc.clone(), event.limit);
                let taken = Taken { doc, request, response, envelope: event.envelope, limit };
                own.taken.insert(event.name.clone(), taken);
            }
            for call in &outline.calls {
                let (payload, answer) = (named(call.request.as_value()), Some(named(call.response.as_value())));
                own.sent.entry(call.name.clone()).or_default().push(Sent { doc: call.doc.clone(), payload, answer });
            }
            for emit in &outline.emits {
                let namespace = emit.namespace.as_deref().unwrap_or(plugin.namespace);
                let events = &mut contract.namespaces.entry(namespace.to_owned()).or_default().sent;
                let sent = Sent { doc: emit.doc.clone(), payload: named(emit.payload.as_value()), answer: None };
                events.entry(emit.name.clone()).or_default().push(sent);
            }
        }
        contract
    }

    /// Types for TypeScript, to be used with socket.io-client.
    pub(crate) fn typescript(&self) -> String {
        typescript::write(self)
    }

    /// The AsyncAPI document.
    pub(crate) fn asyncapi(&self, program: Program) -> String {
        format!("{:#}\n", asyncapi::document(self, program))
    }
}

/// What the server says of itself: both documents as it hands them out, and the name that `/docs` has.
#[derive(Debug)]
pub(crate) struct Documents {
    /// The program's name.
    pub(crate) program: &'static str,
    pub(crate) typescript: Document,
    pub(crate) asyncapi: Document,
}

impl Documents {
    /// Writes them.
    pub(crate) fn new(contract: &Contract, program: Program) -> Self {
        Self {
            program: program.name,
            typescript: Document::new(contract.typescript()),
            asyncapi: Document::new(contract.asyncapi(program)),
        }
    }
}

/// A text, and the entity tag that tells it from another.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) text: Bytes,
    pub(crate) tag: String,
}

impl Document {
    fn new(text: String) -> Self {
        // The same in every process, so that a client knows the text of a server that was started again.
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { tag: format!("\"{:016x}\"", hasher.finish()), text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use carillon_config::{Loader, all_sections};
    use carillon_core::Code;
    use carillon_core::prelude::*;
    use carillon_core::registry::Registration;
    use serde_json::json;

    use super::*;

    mod other {
        use carillon_core::prelude::*;

        /// Called as another plugin's type, and different.
        #[derive(Serialize, Deserialize, JsonSchema)]
        pub(super) struct Place {
            pub(super) name: String,
        }
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Place {
        x: i32,
        /// How high, where that is known.
        #[serde(rename = "how-high")]
        height: Option<f64>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Walk {
        to: Place,
    }

    struct Walker;
    impl Plugin for Walker {
        const NAME: &'static str = "walker";
        const NAMESPACE: &'static str = "/walk";
        type Config = NoConfig;

        async fn init(_: NoConfig, _: Host) -> Result<Self> {
            Ok(Self)
        }

        fn routes(on: &mut Routes<Self>, _: &NoConfig) {
            on.event("walk", "Goes there. */ Really.", async |_, _, walk: Walk| Ok(walk.to.height)).limit(2, 9);
            on.event("move", "Two arguments.", async |_, _, _: Args<(String, u32)>| Ok(()));
            on.event("plain", "Without the envelope.", async |_, _, (): ()| Ok(Plain(1_u32)));
            on.calls::<Place, bool>("may I", "Asks a client.");
            on.any::<(), _, _>("Whatever else.", async |_, _, _| Ok(()));
        }
    }

    struct Guest;
    impl Plugin for Guest {
        const NAME: &'static str = "guest-book";
        const NAMESPACE: &'static str = "/a/b";
        type Config = NoConfig;

        async fn init(_: NoConfig, _: Host) -> Result<Self> {
            Ok(Self)
        }

        fn routes(on: &mut Routes<Self>, _: &NoConfig) {
            on.emits::<other::Place>("place", "A place.");
            on.emits_to::<Attachment>("/walk", "picture", "A picture.");
        }
    }

    fn contract() -> Contract {
        contract_with("[]")
    }

    fn contract_with(limits: &str) -> Contract {
        let entries = [Registration::of::<Walker>("walker.rs", 1), Registration::of::<Guest>("guest.rs", 1)];
        let registry = Registry::new(entries.to_vec()).unwrap();
        let loader = Loader::new(all_sections(registry.sections())).flag("limits.events", limits, "a test");
        Contract::new(&registry, &loader.load().unwrap())
    }

    #[test]
    fn every_form_of_arguments_has_its_type() {
        let text = contract().typescript();
        for line in [
            "walk: (...args: [payload: WalkerWalk, ack: (answer: Ack<number | null>) => void]) => void;",
            "move: (...args: [payload1: string, payload2: number, ack: (answer: Ack<null>) => void]) => void;",
            "plain: (...args: [ack: (...args: [answer: number] | [refused: Refused]) => void]) => void;",
            "\"may I\": (...args: [payload: WalkerPlace, ack: (...args: [answer: boolean]) => void]) => void;",
            "picture: (...args: [payload: ArrayBuffer | Uint8Array]) => void;",
            "[event: string]: (...args: any[]) => void;",
            "\"how-high\"?: number | null;",
            " * Goes there. * / Really.",
        ] {
            assert!(text.contains(line), "{line} is missing:\n{text}");
        }
    }

    /// What an event may be sent at most stands with it: as its plugin says, unless the settings do.
    #[test]
    fn the_limit_of_an_event_is_told() {
        let limit = |contract: &Contract| {
            let document: Value = serde_json::from_str(&contract.asyncapi(Program::CARILLON)).unwrap();
            document["operations"]["walk.receive.walk"]["x-limit"].clone()
        };
        let declared = contract();
        assert_eq!(limit(&declared), json!({ "per_s": 2, "burst": 9 }));
        assert!(
            declared.typescript().contains("       * At most 2 a second, 9 at once.\n"),
            "{}",
            declared.typescript()
        );
        let set = contract_with(r#"[{ namespace = "/walk", event = "walk", per_s = 0, burst = 1 }]"#);
        assert_eq!(limit(&set), json!({ "per_s": 0, "burst": 1 }));
        assert!(set.typescript().contains("       * Not limited.\n"), "{}", set.typescript());
    }

    /// A failure is described with every field and every code that a client may be sent.
    #[test]
    fn a_failure_is_described_whole() {
        let text = contract().typescript();
        let document: Value = serde_json::from_str(&contract().asyncapi(Program::CARILLON)).unwrap();
        let failure = &document["components"]["schemas"]["carillon.failure"]["properties"];
        assert_eq!(failure["retry_after_ms"]["type"], "integer");
        assert_eq!(failure["code"]["enum"].as_array().map(Vec::len), Some(Code::ALL.len()));
        assert!(text.contains("  retry_after_ms?: number;\n"), "{text}");
        for code in Code::ALL {
            assert!(text.contains(&format!("  | \"{}\"", code.as_str())), "{code:?}: {text}");
        }
    }

    /// Also what refers to such a type is another type in each plugin; the plugin's name becomes part of an identifier.
    #[test]
    fn types_that_are_called_alike_and_are_not_alike_are_told_apart() {
        let text = contract().typescript();
        for line in ["place: (...args: [payload: GuestBookPlace]) => void;", "  to: WalkerPlace;"] {
            assert!(text.contains(line), "{line} is missing:\n{text}");
        }
        assert!(!text.contains("type Place"), "{text}");
        assert!(text.contains("export type ErrorEvent = {"), "what is alike has one name:\n{text}");
    }

    /// Every reference of the AsyncAPI document leads somewhere, and every call has its reply.
    #[test]
    fn the_asyncapi_document_is_whole() {
        let text = contract().asyncapi(Program::CARILLON);
        let document: Value = serde_json::from_str(&text).unwrap();
        let mut references = HashSet::new();
        collect(&document, &mut references);
        assert!(references.len() > 10, "{references:?}");
        for reference in references {
            let place = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
        }
        let operations = &document["operations"];
        assert_eq!(operations["walk.receive.walk"]["action"], "receive");
        assert_eq!(operations["walk.send.may_I"]["reply"]["messages"][0]["$ref"], "#/channels/walk/messages/may_I.ack");
        assert_eq!(document["channels"]["a_b"]["address"], "/a/b");
    }

    fn collect(value: &Value, found: &mut HashSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| collect(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
}
