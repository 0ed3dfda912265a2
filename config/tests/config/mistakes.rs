//! Every kind of mistake in a section, and what the message says about it.
use crate::sample::problems;
use carillon_config::{Config, Loader, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole of one bad section: unknown keys, types, choices, limits, lists and tables, all in one run.
#[test]
fn one_section_with_everything() {
    let file = r#"
[plugins.relay]
enabld = true
retries = 300
trace = 2
store = "lates"
label = ""
token = 5
rows = [{ channel = "a" }, { channel = "b", event = "error", q = 1 }, { channel = "c", event = "error" }, 5]
spill = { folder = 5, maxbytes = 1 }
aliases = { "a.b" = 5 }
pause_ms = 9_999_999
"#;
    assert_eq!(
        problems(file),
        [
            "plugins.relay.enabld: unknown key (did you mean `enabled`?)",
            "plugins.relay.retries: expected a whole number from 0 to 255, found 300 (the default is `retries = 3`)",
            "plugins.relay.trace: must be from 0 to 1, found 2 (the default is `trace = 0.0`)",
            "plugins.relay.store: expected one of `latest`, `all`, found \"lates\" (did you mean `latest`?)",
            "plugins.relay.label: must not be empty, found \"\" (for example `label = \"text\"`)",
            "plugins.relay.token: expected text, found a value that is kept secret (the default is `token = \"s3cr3t\"`)",
            "plugins.relay.rows[0].event: this key is missing (for example `event = \"text\"`)",
            "plugins.relay.rows[1].event: `error` is the router's own event (NO HINT)",
            "plugins.relay.rows[1].q: unknown key (valid keys: `channel`, `event`, `namespaces`)",
            "plugins.relay.rows[2].event: `error` is the router's own event (NO HINT)",
            "plugins.relay.rows[3]: expected a table, found 5 (for example `rows = [{ channel = \"text\", event = \"text\" }]`)",
            "plugins.relay.spill.folder: expected text, found 5 (the default is `folder = \"/var/spool/a \\\"b\\\"\"`)",
            "plugins.relay.spill.maxbytes: unknown key (did you mean `max_bytes`?)",
            "plugins.relay.aliases.\"a.b\": expected text, found 5 (for example `\"a.b\" = \"text\"`)",
            "plugins.relay.pause_ms: must be below `silence_ms` (5000) (a tenth of it suits most)",
        ]
    );
}

/// Single values of the wrong type, each with the hint that helps most.
#[test]
fn wrong_types() {
    for (line, problem) in [
        (
            "server.workers = \"4\"",
            "server.workers: expected a whole number from 0 to 1024, found \"4\" (leave the quotes out: `workers = 4`)",
        ),
        (
            "server.listen = \"localhost\"",
            "server.listen: a port is missing: write an address or a name and a port, as in 127.0.0.1:8085, [::1]:8085 or localhost:8085, found \"localhost\" (the default is `listen = \"127.0.0.1:8085\"`)",
        ),
        (
            "server.max_connections = -1",
            "server.max_connections: expected a whole number from 1 to 10_000_000, found -1 (the default is `max_connections = 50_000`)",
        ),
        (
            "log.format = \"xml\"",
            "log.format: expected one of `human`, `json`, found \"xml\" (the default is `format = \"human\"`)",
        ),
        (
            "bus.required = \"true\"",
            "bus.required: expected true or false, found \"true\" (leave the quotes out: `required = true`)",
        ),
        (
            "server.origins = \"*\"",
            "server.origins: expected a list of texts, found \"*\" (the default is `origins = []`)",
        ),
        ("server.origins = [5]", "server.origins[0]: expected text, found 5 (for example `origins = [\"text\"]`)"),
        (
            "server.transports = []",
            "server.transports: must not be empty, found [] (the default is `transports = [\"polling\", \"websocket\"]`)",
        ),
        (
            "plugins.relay.silence_ms = 1.5",
            "plugins.relay.silence_ms: expected a whole number from 10 to 60_000, found 1.5 (the default is `silence_ms = 5000`)",
        ),
        (
            "plugins.relay.spill = 5",
            "plugins.relay.spill: expected a table, found 5 (the default is `spill = { folder = \"/var/spool/a \\\"b\\\"\", max_bytes = 1024 }`)",
        ),
        (
            "plugins.loose-one.number = 5_000_000_000",
            "plugins.loose-one.number: expected a whole number from 0 to 4_294_967_295, found 5_000_000_000 (the default is `number = 0`)",
        ),
    ] {
        assert_eq!(problems(line), [problem]);
    }
}

/// Keys, types and ranges are the schema's to judge: what a type would let pass, or tell in words of its own, makes no
/// difference, however deep it stands.
#[test]
fn the_schema_judges_before_the_type() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Inner {
        /// Refuses everything, in words nobody should see.
        #[serde(deserialize_with = "never")]
        depth: i16,
        /// Has to be there.
        name: String,
    }
    fn never<'de, D: serde::Deserializer<'de>>(_: D) -> Result<i16, D::Error> {
        Err(serde::de::Error::custom("unknown field `x`, expected `y`"))
    }
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Outer {
        /// Entries of a type that ignores keys it does not know.
        entries: Vec<Inner>,
    }
    let told = |text: &str| {
        let section = Section::of::<Outer>("outer", |_, _: &mut Problems| {});
        let file = crate::sample::Written::new(format!("[outer]\nentries = [{{ {text} }}]\n"));
        let problems = Loader::new(vec![section]).file(&file.0).load().unwrap_err();
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect::<Vec<_>>()
    };
    for (text, problem) in [
        ("depth = 1, name = \"a\", deph = 2", "outer.entries[0].deph: unknown key"),
        ("depth = 1", "outer.entries[0].name: this key is missing"),
        (
            "depth = 1.5, name = \"a\"",
            "outer.entries[0].depth: expected a whole number from -32_768 to 32_767, found 1.5",
        ),
        (
            "depth = 40_000, name = \"a\"",
            "outer.entries[0].depth: expected a whole number from -32_768 to 32_767, found 40_000",
        ),
        (
            "depth = true, name = 7",
            "outer.entries[0].depth: expected a whole number from -32_768 to 32_767, found true",
        ),
        ("depth = 1, name = \"a\"", "outer.entries[0].depth: unknown field `x`, expected `y`, found 1"),
    ] {
        let told = told(text);
        assert!(told.iter().any(|line| line == problem), "{text}: {told:?}");
    }
}

/// A key may hold any character; the hint is not confused by it.
#[test]
fn odd_keys() {
    assert_eq!(
        problems("drain.\"a`b`, expected `c\" = 1"),
        ["drain.\"a`b`, expected `c\": unknown key (valid keys: `deadline_ms`, `pre_delay_ms`, `window_ms`)"]
    );
}

/// The rules of the house's own sections.
#[test]
fn the_houses_rules() {
    for (line, path) in [
        ("server.origins = [\"example.org\"]", "server.origins[0]: "),
        ("server.origins = [\"*\", \"https://a.example\"]", "server.origins: "),
        ("server.transports = [\"polling\", \"polling\"]", "server.transports[1]: "),
        ("server.max_message_bytes = 1023", "server.max_message_bytes: must be from 1024 "),
        ("server.ping_timeout_ms = 600_000", "server.ping_timeout_ms: must be from "),
        ("server.max_connections = 0", "server.max_connections: must be from 1 "),
        ("router.queue_events = 0", "router.queue_events: must be from 1 "),
        ("router.plugin_threads = 0", "router.plugin_threads: must be from 1 "),
        ("router.handler_timeout_ms = 0", "router.handler_timeout_ms: must be from 1 "),
        ("wire.write_stall_ms = 0", "wire.write_stall_ms: must be from 1 "),
        ("drain.deadline_ms = 0", "drain.deadline_ms: must be from 1 "),
        ("bus.url = \"localhost\"", "bus.url: "),
        ("bus.url = \"://x\"", "bus.url: "),
        ("log.level = \"inof\"", "log.level: `inof` is not a log level"),
    ] {
        let found = problems(line);
        assert!(found.len() == 1 && found[0].starts_with(path) && !found[0].contains("NO HINT"), "{line}: {found:?}");
    }
}

/// A mistake that only follows from another is not told: a list is not empty because its one entry was wrong, and a
/// rule about a value that could not be read does not judge the default in its place.
#[test]
fn consequences_are_not_told() {
    assert_eq!(problems("server.transports = [\"x\"]").len(), 1);
    assert_eq!(problems("[plugins.relay]\npause_ms = \"x\"\nsilence_ms = 50\n").len(), 1);
}

/// Sections that do not exist, and settings outside of sections.
#[test]
fn unknown_sections() {
    for (file, problem) in [
        ("[sever]", "sever: there is no such section (did you mean `server`?)"),
        (
            "[nonsense]",
            "nonsense: there is no such section (sections: `server`, `admin`, `router`, `wire`, `drain`, `bus`, `cluster`, `log`, `auth`, `limits`, `journal`, `plugins`)",
        ),
        ("[relay]", "relay: there is no such section (plugins are configured under `[plugins.relay]`)"),
        ("listen = 1", "listen: there is no such section (did you mean `server.listen`?)"),
        ("server = 5", "server: expected a table (a section starts with `[server]`)"),
        ("plugins = 5", "plugins: expected a table (plugins are configured under `[plugins.<name>]`)"),
        (
            "[plugins.nonsense]",
            "plugins.nonsense: there is no plugin `nonsense` (plugins: `echo`, `relay`, `loose-one`)",
        ),
        ("plugins.relay = 5", "plugins.relay: expected a table (a section starts with `[plugins.relay]`)"),
    ] {
        assert_eq!(problems(file), [problem]);
    }
}

/// A flood of mistakes ends.
#[test]
fn mistakes_are_bounded() {
    let file: String = (0..5000).map(|index| format!("server.key{index} = {index}\n")).collect();
    let found = problems(&file);
    assert_eq!(found.len(), 101);
    assert!(found.iter().any(|line| line.starts_with("server: there are more than 100 mistakes")), "{found:?}");
}

/// The program's own mistakes end as problems too, not as a crash or an endless loop.
#[test]
fn mistakes_of_the_program() {
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    struct Unit;
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Taken {
        enabled: bool,
    }
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct BadDefault {
        #[schemars(range(max = 100))]
        number: u8,
    }
    impl Default for BadDefault {
        fn default() -> Self {
            Self { number: 101 }
        }
    }
    fn lines<T: Config>(path: &'static str) -> String {
        Loader::new(vec![Section::of::<T>(path, |_, _: &mut Problems| {})]).load().unwrap_err().to_string()
    }
    assert!(lines::<Unit>("unit").contains("struct with named fields"));
    assert!(lines::<Taken>("plugins.taken").contains("`enabled` is the loader's own key"));
    let told = lines::<BadDefault>("bad");
    assert!(told.starts_with("bad.number: its own Default is wrong: must be from 0 to 100, found 101 (mend"), "{told}");
    assert!(!told.contains("the default is"), "no hint to write what is refused: {told}");
    let flag = Loader::new(Vec::new()).flag("no.such", "1", "--flag").load().unwrap_err().to_string();
    assert!(flag.starts_with("no.such: no such setting"), "{flag}");
}

/// Whoever reports mistakes can still read every section that has defaults: also one with more mistakes than are told, that
/// only its type finds.
#[test]
fn what_is_examined_can_be_read() {
    #[derive(Debug, PartialEq, Clone, Copy, Serialize, Deserialize)]
    #[serde(try_from = "u16")]
    struct Even(u16);
    impl TryFrom<u16> for Even {
        type Error = &'static str;
        fn try_from(number: u16) -> Result<Self, Self::Error> {
            if number.is_multiple_of(2) { Ok(Self(number)) } else { Err("is odd") }
        }
    }
    #[derive(Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Numbers {
        #[schemars(with = "Vec<u16>")]
        list: Vec<Even>,
    }
    let sections = vec![Section::of::<Numbers>("numbers", |_, _: &mut Problems| {})];
    let many = |count: usize| format!("{:?}", vec![1; count]);
    for (count, told) in [(3, 3), (99, 99), (300, 101)] {
        let (loaded, problems) = Loader::new(sections.clone()).flag("numbers.list", many(count), "--flag").examine();
        assert_eq!(problems.len(), told, "{problems}");
        assert!(loaded.has("numbers"));
        assert_eq!(loaded.get::<Numbers>("numbers"), Numbers::default());
    }
}

/// A section whose defaults are of no use cannot be read, and that can be asked.
#[test]
fn what_has_no_defaults_is_not_there() {
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Taken {
        enabled: bool,
    }
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Unreadable {
        #[serde(deserialize_with = "refuse")]
        number: u8,
    }
    impl Default for Unreadable {
        fn default() -> Self {
            Self { number: 1 }
        }
    }
    fn refuse<'de, D: serde::Deserializer<'de>>(_: D) -> Result<u8, D::Error> {
        Err(serde::de::Error::custom("no number will do"))
    }
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    struct Whole {}
    fn of<T: Config>(path: &'static str) -> Section {
        Section::of::<T>(path, |_, _: &mut Problems| {})
    }
    let sections = vec![of::<Taken>("plugins.taken"), of::<Unreadable>("plugins.unreadable"), of::<Whole>("whole")];
    let (loaded, problems) = Loader::new(sections).examine();
    assert_eq!(problems.len(), 2, "{problems}");
    let has = |path| loaded.has(path);
    assert_eq!(["plugins.taken", "plugins.unreadable", "whole", "none"].map(has), [false, false, true, false]);
}
