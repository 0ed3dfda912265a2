//! The built program from outside: exit codes, what it says when it cannot start, and how it stops.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn carillon(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carillon"));
    command.args(args).stdin(Stdio::null()).current_dir(std::env::temp_dir());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARILLON_")) {
        command.env_remove(name);
    }
    command.env("CARILLON_DRAIN__WINDOW_MS", "0");
    // Whoever runs the tests may be a service itself.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A server on a free port; killed when the test ends before it has stopped.
struct Server {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command.args(["--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut server = Self { child, address: ([0, 0, 0, 0], 0).into(), lines };
        let line = server.says("listening on http://");
        let at = line.find("http://").unwrap() + "http://".len();
        let end =
            line[at..].find(|c: char| !c.is_ascii_digit() && !".:".contains(c)).map_or(line.len(), |end| at + end);
        server.address = line[at..end].parse().unwrap();
        server
    }

    /// The next line that contains `text`.
    fn says(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(SOON).unwrap_or_else(|_| panic!("it never said {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn exit(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// One request on a connection of its own.
    fn ask(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(format!("{head}\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

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
    for (url, why) in [("redis:///", "names no host"), ("redis://127.0.0.1:1/0x", "the database is a number")] {
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

/// `probe` as a health check runs it: its exit code, standard output and standard error.
fn probe(address: SocketAddr, args: &[&str]) -> (Option<i32>, String, String) {
    run(carillon(&["probe"]).args(args).args(["--url", &format!("http://{address}")]))
}

#[test]
fn a_probe_tells_by_its_exit_code_and_in_one_line() {
    let server = Server::start(
        carillon(&["serve"]).env("CARILLON_DRAIN__PRE_DELAY_MS", "60000").env("CARILLON_DRAIN__DEADLINE_MS", "100000"),
    );
    assert_eq!(probe(server.address, &["ready"]), (Some(0), "ready\n".to_owned(), String::new()));
    assert_eq!(probe(server.address, &["live"]), (Some(0), "live\n".to_owned(), String::new()));
    // Without a URL the settings say where the server is.
    let listen = format!("0.0.0.0:{}", server.address.port());
    assert_eq!(run(carillon(&["probe", "ready"]).env("CARILLON_SERVER__LISTEN", listen)).0, Some(0));
    server.signal("-TERM");
    server.says("SIGTERM");
    while server.ask("GET /readyz HTTP/1.1").starts_with("HTTP/1.1 200 ") {}
    let (code, out, err) = probe(server.address, &["ready"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{err}");
    assert!(err.contains("draining"), "{err}");
    assert_eq!(probe(server.address, &["live"]).0, Some(0), "it is alive while it drains");
}

#[test]
fn a_probe_gives_up_in_time_and_says_why() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let (code, _, err) = probe(address, &["live", "--timeout", "100"]);
    assert_eq!((code, err), (Some(1), format!("carillon: {address}: no answer within 100 ms\n")));
    drop(silent);
    let (code, _, err) = probe(address, &["live"]);
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.contains("cannot be asked"), "{err}");
    let (code, _, err) = run(&mut carillon(&["probe", "ready", "--url", "https://localhost"]));
    assert_eq!(code, Some(2), "{err}");
    assert_eq!(run(carillon(&["probe", "live"]).env("CARILLON_SERVER__LISTEN", "nowhere")).0, Some(78));
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

/// A socket as systemd has one for each service, and the environment that a service gets.
struct Supervisor {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Supervisor {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("carillon-{test}-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self { socket, path }
    }

    /// The next thing it is told.
    fn told(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap();
        std::str::from_utf8(&buffer[..length]).unwrap().trim_end().to_owned()
    }

    /// What it is told next that is not that the server is alive.
    fn news(&self) -> String {
        std::iter::repeat_with(|| self.told()).find(|news| news != "WATCHDOG=1").unwrap()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

#[test]
fn systemd_is_told_that_the_server_is_ready_alive_and_stopping() {
    let supervisor = Supervisor::new("watched");
    let server = Server::start(
        carillon(&["serve"])
            .env("NOTIFY_SOCKET", &supervisor.path)
            .env("WATCHDOG_USEC", "100000")
            .env("CARILLON_DRAIN__PRE_DELAY_MS", "60000")
            .env("CARILLON_DRAIN__DEADLINE_MS", "100000"),
    );
    assert_eq!(supervisor.told(), "READY=1");
    assert_eq!((supervisor.told(), supervisor.told()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    server.signal("-TERM");
    assert_eq!(supervisor.news(), "STOPPING=1");
    assert_eq!(supervisor.told(), "WATCHDOG=1", "it is alive while it drains");
    server.signal("-TERM");
    assert_eq!(server.exit(), Some(1));
}

#[test]
fn without_a_watchdog_systemd_is_told_of_start_and_stop_only() {
    let supervisor = Supervisor::new("unwatched");
    let server = Server::start(carillon(&["serve"]).env("NOTIFY_SOCKET", &supervisor.path));
    assert_eq!(supervisor.told(), "READY=1");
    server.signal("-TERM");
    assert_eq!(supervisor.told(), "STOPPING=1");
    assert_eq!(server.exit(), Some(0));
}

#[test]
fn a_server_that_does_not_start_is_never_called_ready() {
    let supervisor = Supervisor::new("failed");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = carillon(&["serve", "--listen", &address]);
    assert_eq!(run(command.env("NOTIFY_SOCKET", &supervisor.path)).0, Some(1));
    supervisor.socket.set_nonblocking(true).unwrap();
    assert!(supervisor.socket.recv(&mut [0; 64]).is_err(), "it was told something");
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
