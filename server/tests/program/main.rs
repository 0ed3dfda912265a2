//! The built program from outside: exit codes, what it says when it cannot start, and how it stops.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod probes;
mod server;
mod systemd;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

use self::server::{SOON, Server, carillon, run};

#[test]
fn questions_are_answered_and_mistakes_told_apart() {
    let (code, out, _) = run(&mut carillon(&["--version"]));
    assert_eq!((code, out.starts_with("carillon ")), (Some(0), true));
    for args in [&["sereve"][..], &[], &["serve", "--lisen", "x"], &["serve", "--log-format", "xml"], &["config"]] {
        let (code, out, err) = run(&mut carillon(args));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(!err.is_empty(), "{args:?}");
    }
    for args in [&["check"][..], &["plugins"], &["plugins", "--json"], &["config", "default"], &["config", "schema"]] {
        let (code, out, err) = run(&mut carillon(args));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
        assert!(out.ends_with('\n') && !out.ends_with("\n\n"), "{args:?}");
    }
}

#[test]
fn what_config_prints_is_a_valid_configuration() {
    let file = std::env::temp_dir().join(format!("carillon-{}.toml", std::process::id()));
    std::fs::write(&file, run(&mut carillon(&["config", "default"])).1).unwrap();
    let (code, _, err) = run(carillon(&["check", "--config"]).arg(&file));
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = run(carillon(&["check"]).env("CARILLON_CONFIG", &file));
    assert_eq!(code, Some(0), "{err}");
    std::fs::remove_file(&file).unwrap();
    let (code, _, err) = run(carillon(&["check"]).env("CARILLON_CONFIG", &file));
    assert_eq!((code, err.lines().count()), (Some(78), 1), "{err}");
}

#[test]
fn every_mistake_of_a_configuration_is_one_line() {
    let mut command = carillon(&["serve", "--listen", "nowhere", "--bus", "memory"]);
    let (code, _, err) = run(command.env("CARILLON_LOG__FORMAT", "xml").env("CARILLON_SERVER__WORKRES", "2"));
    assert_eq!((code, err.lines().count()), (Some(78), 4), "{err}");
    for part in ["--listen", "--bus", "CARILLON_LOG__FORMAT", "CARILLON_SERVER__WORKERS"] {
        assert!(err.contains(part), "{part} is missing: {err}");
    }
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let (code, _, err) = run(&mut carillon(&["serve", "--listen", &address]));
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.contains(&address) && err.contains("in use") && err.contains("--listen"), "{err}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = carillon(&["config", "schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_signal_stops_it_and_open_connections_do_not_hold_it_up() {
    for signal in ["-TERM", "-INT"] {
        let server = Server::start(&mut carillon(&["serve"]));
        assert!(server.ask("GET /readyz HTTP/1.1").starts_with("HTTP/1.1 200 "));
        let session = server.ask("GET /socket.io/?EIO=4&transport=polling HTTP/1.1");
        assert!(session.contains("\"maxPayload\":1000000"), "{session}");
        let _silent = TcpStream::connect(server.address).unwrap();
        server.signal(signal);
        server.says("the server has stopped");
        assert_eq!(server.exit(), Some(0), "{signal}");
    }
}

#[test]
fn it_is_alive_and_not_ready_while_it_drains_and_a_second_signal_ends_it() {
    let server = Server::start(
        carillon(&["serve"]).env("CARILLON_DRAIN__PRE_DELAY_MS", "60000").env("CARILLON_DRAIN__DEADLINE_MS", "100000"),
    );
    server.signal("-TERM");
    server.says("SIGTERM");
    while !server.ask("GET /readyz HTTP/1.1").starts_with("HTTP/1.1 503 ") {}
    assert!(server.ask("GET /livez HTTP/1.1").starts_with("HTTP/1.1 200 "));
    server.signal("-TERM");
    server.says("ended at once");
    assert_eq!(server.exit(), Some(1));
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    // One address may have all of them here: this is about the limit of all.
    let limits = [("CARILLON_SERVER__MAX_CONNECTIONS", "2"), ("CARILLON_SERVER__MAX_CONNECTIONS_PER_IP", "10")];
    let server = Server::start(carillon(&["serve"]).envs(limits));
    let _taken: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let mut refused = TcpStream::connect(server.address).unwrap();
    refused.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = String::new();
    refused.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("{\"detail\":\"Too many connections\"}"),
        "{answer}"
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    drop(_taken);
    while !server.ask("GET /livez HTTP/1.1").starts_with("HTTP/1.1 200 ") {}
    let metrics = server.ask("GET /metrics HTTP/1.1");
    assert!(metrics.contains("carillon_connections_refused_total{reason=\"too_many_connections\"}"), "{metrics}");
}

#[test]
fn every_log_line_is_json_where_that_is_asked_for() {
    let server = Server::start(&mut carillon(&["serve", "--log-format", "json", "-v"]));
    server.signal("-TERM");
    let last = loop {
        let line = server.lines.recv_timeout(SOON).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        if value["message"] == "the server has stopped" {
            break value;
        }
    };
    assert_eq!(last["level"], "INFO");
    assert_eq!(server.exit(), Some(0));
}

#[test]
fn check_refuses_the_buses_that_serve_would_refuse() {
    for (url, why) in [
        ("redis:///", "names no host"),
        ("redis://127.0.0.1:1/0x", "the database is a number"),
        ("redis+sentinel://127.0.0.1:1/0", "redis+sentinel://host,host/db/master"),
        ("redis+cluster://127.0.0.1:1,/0", "a host that is empty"),
    ] {
        for command in ["check", "serve"] {
            let (code, _, said) = run(carillon(&[command]).env("CARILLON_BUS__URL", url));
            assert_eq!(code, Some(78), "{command} {url}: {said}");
            assert!(said.contains(why), "{command} {url}: {said}");
        }
    }
}

#[test]
fn the_list_of_plugins_ends_with_the_crates_they_were_found_in() {
    let (code, said, _) = run(&mut carillon(&["plugins"]));
    assert_eq!(code, Some(0));
    let last = said.trim_end().lines().last().unwrap();
    assert!(last.starts_with("found in: carillon-plugins ("), "{last}");
}

#[test]
fn the_program_tells_its_name_and_version() {
    let (code, said, _) = run(&mut carillon(&["--version"]));
    assert_eq!((code, said.trim_end()), (Some(0), concat!("carillon ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn shells_get_completions_that_they_understand() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, text, err) = run(&mut carillon(&["completions", shell]));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{shell}");
        for word in ["probe", "--log-format", "schema"] {
            assert!(text.contains(word.trim_start_matches('-')), "{shell} does not know {word}");
        }
    }
    // bash is asked itself, as it asks when the tab key is pressed after `carillon probe re`.
    let asked = "source /dev/stdin; COMP_WORDS=(carillon probe re); COMP_CWORD=2; \
                 _carillon carillon re probe; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    let bash = bash.args(["--norc", "-c", asked]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = bash.spawn().unwrap();
    let script = run(&mut carillon(&["completions", "bash"])).1;
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    assert_eq!((said.status.code(), String::from_utf8(said.stdout).unwrap().trim()), (Some(0), "ready"));
    assert_eq!(run(&mut carillon(&["completions", "tcsh"])).0, Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let pages = [("CARILLON", &[][..], "plugins"), ("CARILLON-SERVE", &["serve"][..], "server.listen")];
    for (title, path, text) in pages.into_iter().chain([("CARILLON-PROBE-READY", &["probe", "ready"][..], "timeout")]) {
        let (code, page, err) = run(carillon(&["man"]).args(path));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{path:?}");
        assert!(page.contains(&format!(".TH {title} 1")) && page.contains(text), "{path:?}: {page}");
    }
    let (code, _, err) = run(&mut carillon(&["man", "probe", "nothing"]));
    assert_eq!((code, err.as_str()), (Some(2), "carillon: carillon probe has no command \"nothing\"\n"));
}

/// A server that would let others in without asking them does not start, and says what to set; one that may, does.
#[test]
fn a_server_that_is_open_to_all_is_meant_to_be() {
    for command in ["check", "serve"] {
        let (code, _, err) = run(carillon(&[command]).env("CARILLON_SERVER__LISTEN", "0.0.0.0:0"));
        assert_eq!(code, Some(78), "{err}");
        assert!(err.contains("server.listen: ") && err.contains("auth.allow_open = true"), "{err}");
    }
    let settings = [("CARILLON_SERVER__LISTEN", "0.0.0.0:0"), ("CARILLON_AUTH__ALLOW_OPEN", "true")];
    assert_eq!(run(carillon(&["check"]).envs(settings)).0, Some(0));
}
