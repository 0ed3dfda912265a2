//! What the contract tells of plugins that declare everything there is.

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

/// What is read of who connects.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Ticket {
    seat: u8,
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
        on.auth::<Ticket>();
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
    contract_with(&[])
}

fn contract_with(settings: &[(&str, &str)]) -> Contract {
    let entries = [Registration::of::<Walker>("walker.rs", 1), Registration::of::<Guest>("guest.rs", 1)];
    let registry = Registry::new(entries.to_vec()).unwrap();
    let loader = Loader::new(all_sections(registry.sections()));
    let loader = settings.iter().fold(loader, |loader, (key, value)| loader.flag(*key, *value, "a test"));
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
    assert!(declared.typescript().contains("       * At most 2 a second, 9 at once.\n"), "{}", declared.typescript());
    let set = contract_with(&[("limits.events", r#"[{ namespace = "/walk", event = "walk", per_s = 0, burst = 1 }]"#)]);
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

/// Where clients are asked who they are, each namespace is shown a token, whether it reads something else or not, and takes a
/// newer one later.
#[test]
fn what_everybody_shows_is_part_of_every_namespace() {
    let asks = [("auth.mode", "jwt"), ("auth.key", "0123456789abcdef0123456789abcdef")];
    let (open, asking) = (contract(), contract_with(&asks));
    for namespace in ["walk", "a_b"] {
        let auth = |contract: &Contract| {
            let document: Value = serde_json::from_str(&contract.asyncapi(Program::CARILLON)).unwrap();
            let found = document["channels"][namespace]["x-auth"].clone();
            (found, document["operations"][format!("{namespace}.receive.refresh_token")].clone())
        };
        let ((shown, refreshes), (_, never)) = (auth(&asking), auth(&open));
        assert!(shown.to_string().contains("components/schemas/ShownToken"), "{namespace}: {shown}");
        assert!(refreshes.is_object() && never.is_null(), "{namespace}: {refreshes} {never}");
    }
    let text = asking.typescript();
    for line in [
        "    auth: (ShownToken) & (Ticket);\n",
        "    auth: ShownToken;\n",
        "  token?: string | null;\n",
        "refresh_token: (...args: [payload: Refresh, ack: (answer: Ack<Refreshed>) => void]) => void;",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert_eq!(text.matches("refresh_token:").count(), 2, "{text}");
    assert!(!open.typescript().contains("oken"), "nobody is asked: {}", open.typescript());
}

/// Where clients come back, what they are sent may end with its offset; what they answer does not.
#[test]
fn offsets_are_told_where_there_are_any() {
    let kept = [("journal.namespaces", r#"["/walk", "/a/b"]"#), ("journal.recovery", r#"["/walk"]"#)];
    let text = contract_with(&kept).typescript();
    for line in [
        "picture: (...args: [payload: ArrayBuffer | Uint8Array, offset?: string | null]) => void;",
        "\"may I\": (...args: [payload: WalkerPlace, ack: (...args: [answer: boolean]) => void]) => void;",
        "place: (...args: [payload: GuestBookPlace]) => void;",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    let document: Value = serde_json::from_str(&contract_with(&kept).asyncapi(Program::CARILLON)).unwrap();
    let told = |channel: &str| {
        document["channels"][channel]["description"].as_str().is_some_and(|text| text.contains("offset"))
    };
    assert!(told("walk") && !told("a_b"), "{}", document["channels"]);
    assert!(!contract().typescript().contains("offset"), "nobody comes back by default");
}
