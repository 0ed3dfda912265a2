//! The file itself: missing, unreadable, not text, not TOML.
use crate::sample::{Written, load, problems, sections};
use carillon_config::{Loader, ServerSettings};

fn line(content: impl AsRef<[u8]>) -> String {
    let file = Written::new(content);
    let problems = Loader::new(sections()).file(&file.0).load().unwrap_err().to_string();
    problems.replace(&file.0.display().to_string(), "F")
}

/// A file that cannot be read is one clear line, and is never taken for an empty one.
#[test]
fn unreadable() {
    let problems = Loader::new(sections()).file("/nowhere/carillon.toml").load().unwrap_err().to_string();
    assert!(problems.starts_with("cannot read the configuration file: No such file"), "{problems}");
    assert!(problems.ends_with("[/nowhere/carillon.toml]"), "{problems}");
    let problems = Loader::new(sections()).file("/").load().unwrap_err();
    assert_eq!(problems.len(), 1, "{problems}");
}

/// A device without end does not hang the server.
#[cfg(target_os = "linux")]
#[test]
fn endless() {
    let problems = Loader::new(sections()).file("/dev/zero").load().unwrap_err().to_string();
    assert!(problems.starts_with("the configuration file is larger than"), "{problems}");
}

/// Other encodings are named as what they are, with the place of the first wrong byte.
#[test]
fn not_utf8() {
    assert_eq!(
        line(b"[server]\nlisten = \"\xe9\"\n"),
        "the configuration file is not UTF-8 text (save it as UTF-8) [F:2:11]"
    );
}

/// A syntax error names line and column; the file's settings are then not judged, the environment's are.
#[test]
fn invalid_toml() {
    let text = line("[server]\nlisten = 127.0.0.1:80\n[nonsense]\n");
    assert!(text.starts_with("invalid TOML: ") && text.ends_with("[F:2:15]"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let text = line("[server]\nworkers = 1\nworkers = 2\n");
    assert!(text.contains("duplicate key") && text.ends_with("[F:3:1]"), "{text}");
    let file = Written::new("[server\n");
    let problems = Loader::new(sections()).file(&file.0).env([("CARILLON_SERVER__WORKERS", "x")]).load().unwrap_err();
    assert_eq!(problems.len(), 2, "{problems}");
}

/// Columns count characters, and a mark at the start of the file (BOM) or Windows line ends are no mistake.
#[test]
fn other_editors() {
    assert!(line("bus = { url = \"é\", ur = 1 }\n").contains("[F:1:20]"));
    let loaded = load("\u{feff}[server]\r\nworkers = 3\r\n").unwrap();
    assert_eq!(loaded.get::<ServerSettings>("server").workers, 3);
}

/// Numbers that TOML can write but no setting can hold are one mistake each.
#[test]
fn impossible_numbers() {
    let file = "[server]\nworkers = 99999999999999999999\nping_timeout_ms = nan\n[plugins.relay]\ntrace = inf\nretries = 0xff\n";
    let wrong = "the number is too large, or not a number (write an ordinary number)";
    assert_eq!(
        problems(file),
        ["server.workers", "server.ping_timeout_ms", "plugins.relay.trace"].map(|path| format!("{path}: {wrong}"))
    );
}

/// An empty file changes nothing.
#[test]
fn empty() {
    assert!(load("").is_ok());
}

/// Whatever is done to a file, the answer is settings or problems: no crash, no hang, no empty message.
#[test]
fn damaged_files() {
    let sound = carillon_config::default_toml(&sections());
    let pieces = ["\"", "[", "]", "=", "{", "}", "\n", "5", "-1", "'", ",", "#", "é", "plugins.", "[[x]]\n", "true"];
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut refused = 0;
    for _ in 0..300 {
        let mut text: Vec<char> = sound.chars().collect();
        for _ in 0..=random(4) {
            let at = random(text.len());
            let until = (at + random(8)).min(text.len());
            text.splice(at..until, pieces[random(pieces.len())].chars());
        }
        if let Err(problems) = load(&text.into_iter().collect::<String>()) {
            refused += 1;
            assert!(problems.iter().all(|problem| !problem.message.is_empty()), "{problems}");
        }
    }
    assert!((30..300).contains(&refused), "{refused} of 300 were refused");
}
