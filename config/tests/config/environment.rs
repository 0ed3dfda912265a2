//! Environment variables: names, types, and what is wrong with them.
use crate::sample::{Relay, Store, Written, env_problems, sections};
use carillon_config::{BusSettings, Loaded, Loader, LogSettings, Problems, ServerSettings, TransportName};
use std::ffi::OsString;

fn load(variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    Loader::new(sections()).env(variables.iter().copied()).load()
}

/// Text is taken as it is, lists may be separated by commas, the rest is written as in TOML.
#[test]
fn values_have_the_type_of_their_setting() {
    let loaded = load(&[
        ("CARILLON_SERVER__ORIGINS", "https://a.example, http://b.example:3000"),
        ("CARILLON_SERVER__TRANSPORTS", "[\"websocket\"]"),
        ("CARILLON_SERVER__MAX_CONNECTIONS", "1_000"),
        ("CARILLON_BUS__REQUIRED", "true"),
        ("CARILLON_LOG__LEVEL", "off"),
        ("CARILLON_PLUGINS__RELAY__LABEL", "12"),
        ("CARILLON_PLUGINS__RELAY__STORE", "latest"),
        ("CARILLON_PLUGINS__RELAY__TRACE", "0.5"),
        ("CARILLON_PLUGINS__RELAY__SPILL__FOLDER", "/tmp"),
        ("CARILLON_PLUGINS__RELAY__ALIASES__Cpu", "cluster:metrics"),
        ("CARILLON_PLUGINS__RELAY__ROWS", "[{ channel = \"c\", event = \"e\" }]"),
    ]);
    let loaded = loaded.unwrap();
    let server: ServerSettings = loaded.get("server");
    assert_eq!(server.origins, ["https://a.example", "http://b.example:3000"]);
    assert_eq!((server.transports, server.max_connections), (vec![TransportName::Websocket], 1000));
    assert!(loaded.get::<BusSettings>("bus").required);
    assert_eq!(loaded.get::<LogSettings>("log").level, "off");
    let relay: Relay = loaded.get("plugins.relay");
    assert_eq!((relay.label.as_deref(), relay.store, relay.trace), (Some("12"), Some(Store::Latest), 0.5));
    assert_eq!((relay.spill.folder.as_str(), relay.spill.max_bytes), ("/tmp", 1024));
    assert_eq!(relay.aliases["cpu"], "cluster:metrics");
    assert_eq!((relay.rows.len(), relay.rows[0].event.as_str()), (1, "e"));
}

/// No text is no entry, and a comma may end a list.
#[test]
fn empty_lists() {
    for (text, count) in [("", 0), ("https://a.example,", 1), ("[]", 0)] {
        let server: ServerSettings = load(&[("CARILLON_SERVER__ORIGINS", text)]).unwrap().get("server");
        assert_eq!(server.origins.len(), count, "{text:?}");
    }
}

/// Capitals do not matter, and a hyphen in a plugin's name is an underscore.
#[test]
fn names_are_found_whatever_their_spelling() {
    let loaded =
        load(&[("CARILLON_plugins__LOOSE_ONE__Number", "7"), ("CARILLON_PLUGINS__LOOSE_ONE__ENABLED", "false")])
            .unwrap();
    assert_eq!(loaded.get::<crate::sample::Loose>("plugins.loose-one").number, 7);
    assert!(!loaded.plugin_enabled("loose-one"));
}

/// A wrong value is reported with the variable that has it.
#[test]
fn wrong_values() {
    let variables = [
        ("CARILLON_SERVER__TRANSPORTS", "poling"),
        ("CARILLON_BUS__REQUIRED", "1\nx = 2"),
        ("CARILLON_WIRE__KEEPALIVE_S", ""),
    ];
    assert_eq!(
        env_problems(&variables),
        [
            "bus.required: expected true or false, found \"1\\nx = 2\" (the default is `CARILLON_BUS__REQUIRED=false`)",
            "server.transports[0]: expected one of `polling`, `websocket`, found \"poling\" (did you mean `polling`?)",
            "wire.keepalive_s: expected a whole number from 0 to 32_767, found \"\" (the default is `CARILLON_WIRE__KEEPALIVE_S=60`)",
        ]
    );
}

/// A variable that names no setting is refused, with the name that was probably meant.
#[test]
fn unknown_variables() {
    let rule = "variables are named CARILLON_SECTION__KEY; all others must not start with CARILLON_";
    for (name, problem) in [
        (
            "CARILLON_SERVER__LISEN",
            "server.lisen: no such setting (did you mean `CARILLON_SERVER__LISTEN`?)".to_owned(),
        ),
        (
            "CARILLON_SERVER_LISTEN",
            "server_listen: no such setting (did you mean `CARILLON_SERVER__LISTEN`?)".to_owned(),
        ),
        (
            "CARILLON_PLUGINS__ECO__ENABLED",
            "plugins.eco.enabled: no such setting (did you mean `CARILLON_PLUGINS__ECHO__ENABLED`?)".to_owned(),
        ),
        (
            "CARILLON_PLUGINS__NOPE__X",
            "plugins.nope.x: no such setting (plugins: `echo`, `loose_one`, `relay`)".to_owned(),
        ),
        ("CARILLON_", format!("\"\": no such setting ({rule})")),
        ("CARILLON_SERVER", format!("server: no such setting ({rule})")),
        (
            "CARILLON_SERVER__LISTEN__PORT",
            "server.listen.port: no such setting (did you mean `CARILLON_SERVER__LISTEN`?)".to_owned(),
        ),
    ] {
        assert_eq!(env_problems(&[(name, "1")]), [problem], "{name}");
    }
}

/// Other programs' variables are no concern, nor those Kubernetes sets for a service called `carillon`.
#[test]
fn foreign_variables_are_left_alone() {
    let variables = [
        ("PATH", "/bin"),
        ("carillon_x", "1"),
        ("CARILLON", "1"),
        ("CARILLON_SERVICE_HOST", "10.0.0.1"),
        ("CARILLON_PORT_8085_TCP", "tcp://10.0.0.1:8085"),
    ];
    assert_eq!(env_problems(&variables), [""; 0]);
}

/// Two spellings of one setting leave open which is meant.
#[test]
fn a_setting_named_twice() {
    let problems = env_problems(&[("CARILLON_SERVER__WORKERS", "1"), ("CARILLON_server__workers", "2")]);
    assert_eq!(problems, ["server.workers: is also set by CARILLON_SERVER__WORKERS (unset one of the two)"]);
}

/// Bytes that are not UTF-8 are refused in a variable of ours, and ignored in any other.
#[cfg(unix)]
#[test]
fn values_that_are_not_utf8() {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = || OsString::from_vec(vec![0xff, 0xfe]);
    let variables =
        [(OsString::from("CARILLON_BUS__URL"), bytes()), (OsString::from("OTHER"), bytes()), (bytes(), bytes())];
    let problems = Loader::new(sections()).env(variables).load().unwrap_err();
    assert_eq!(
        problems.to_string(),
        "bus.url: the value is not UTF-8 text (set it to UTF-8 text, or unset it) [environment variable CARILLON_BUS__URL]"
    );
}

/// Any setting can be in a file that a variable names; a secret's file can be named in the configuration as well.
#[test]
fn values_in_files() {
    let file = Written::new("t0p\n");
    let name = file.0.to_str().unwrap();
    let token = |loaded: &Loaded| loaded.get::<Relay>("plugins.relay").token;
    for variable in ["CARILLON_PLUGINS__RELAY__TOKEN__FILE", "CARILLON_PLUGINS__RELAY__TOKEN_FILE"] {
        let loaded = load(&[(variable, name)]).unwrap();
        assert_eq!(token(&loaded), "t0p");
        let (_, shown, source) = loaded.sources().find(|(key, ..)| key == "plugins.relay.token").unwrap();
        assert_eq!((shown.as_str(), source.to_string()), ("\"***\"", format!("environment variable {variable}")));
        assert!(loaded.sources().all(|(key, ..)| key != "plugins.relay.token_file"));
    }
    let workers = Written::new("7\n");
    let loaded = load(&[("CARILLON_SERVER__WORKERS__FILE", workers.0.to_str().unwrap())]).unwrap();
    assert_eq!(loaded.get::<ServerSettings>("server").workers, 7);

    let config = Written::new(format!("[plugins.relay]\ntoken_file = \"{name}\"\n"));
    let loader = || Loader::new(sections()).file(&config.0);
    assert_eq!(token(&loader().load().unwrap()), "t0p");
    // The environment counts more than the file, here as everywhere.
    assert_eq!(token(&loader().env([("CARILLON_PLUGINS__RELAY__TOKEN", "other")]).load().unwrap()), "other");
}

/// What is wrong with such a file is told beside the name it was given under, and no secret is repeated.
#[test]
fn mistakes_about_files() {
    let absent = "/nonexistent/secret";
    for (variables, problem) in [
        (
            &[("CARILLON_SERVER__WORKERS__FILE", absent)][..],
            "server.workers: cannot read /nonexistent/secret: No such file or directory (os error 2) \
             (name a file that the user who runs the server can read)",
        ),
        (
            &[("CARILLON_PLUGINS__RELAY__TOKEN_FILE", absent)],
            "plugins.relay.token_file: cannot read /nonexistent/secret: No such file or directory (os error 2) \
             (the user who runs the server must be able to read it)",
        ),
        (
            &[("CARILLON_PLUGINS__RELAY__TOKEN", "a"), ("CARILLON_PLUGINS__RELAY__TOKEN__FILE", absent)],
            "plugins.relay.token: is also set by CARILLON_PLUGINS__RELAY__TOKEN (unset one of the two)",
        ),
        (
            &[("CARILLON_PLUGINS__RELAY__TOKEN", "a"), ("CARILLON_PLUGINS__RELAY__TOKEN_FILE", absent)],
            "plugins.relay.token_file: `token` is set as well (leave one of the two out)",
        ),
        (
            &[("CARILLON_SERVER__LISEN__FILE", absent)],
            "server.lisen.file: no such setting (did you mean `CARILLON_SERVER__LISTEN`?)",
        ),
    ] {
        assert_eq!(env_problems(variables), [problem]);
    }
}
