//! One run tells everything that is wrong, wherever it is wrong.
use crate::sample::{Written, sections};
use carillon_config::{Loader, Position, Problem, Source};

const FILE: &str = r#"
[server]
lisen = "0.0.0.0:8085"
ping_timeout_ms = 5

[log]
level = 3

[plugins.rely]
rows = []

[plugins.relay]
silence_ms = 50
pause_ms = 60
"#;

/// Two mistakes in one section, one wrong type, one unknown plugin, one cross-field error and one wrong environment
/// variable are six lines, each with its path, its hint and its place.
#[test]
fn six_mistakes_are_six_lines() {
    let file = Written::new(FILE);
    let problems =
        Loader::new(sections()).file(&file.0).env([("CARILLON_ROUTER__QUEUE_EVENTS", "many")]).load().unwrap_err();
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| {
            let Problem { path, message, hint, source } = problem;
            let place = match source {
                Source::File { path, at: Some(Position { line, column }) } if *path == file.0 => {
                    format!("{line}:{column}")
                }
                other => other.to_string(),
            };
            format!("{path} | {message} | {} | {place}", hint.as_deref().unwrap())
        })
        .collect();
    assert_eq!(
        lines,
        [
            "server.lisen | unknown key | did you mean `listen`? | 3:1",
            "server.ping_timeout_ms | must be from 10 to 599_999, found 5 | the default is `ping_timeout_ms = 20_000` | 4:1",
            "log.level | expected text, found 3 | the default is `level = \"info\"` | 7:1",
            "plugins.rely | there is no plugin `rely` | did you mean `relay`? | 9:10",
            "plugins.relay.pause_ms | must be below `silence_ms` (50) | a tenth of it suits most | 14:1",
            "router.queue_events | expected a whole number from 1 to 1_000_000, found \"many\" | \
         the default is `CARILLON_ROUTER__QUEUE_EVENTS=64` | environment variable CARILLON_ROUTER__QUEUE_EVENTS",
        ]
    );
    assert_eq!(problems.to_string().lines().count(), 6);
}

/// The printed line leads with the path and ends with a place that editors can open.
#[test]
fn a_line_reads_well() {
    let file = Written::new("[server]\nlisen = 1\n");
    let problems = Loader::new(sections()).file(&file.0).load().unwrap_err();
    assert_eq!(
        problems.to_string(),
        format!("server.lisen: unknown key (did you mean `listen`?) [{}:2:1]", file.0.display())
    );
}
