//! `carillon probe`, as a health check runs it.

use std::net::{SocketAddr, TcpListener};

use crate::server::{Server, carillon, run};

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
    let (code, _, err) = run(&mut carillon(&["probe", "ready", "--url", "ftp://localhost"]));
    assert_eq!(code, Some(2), "{err}");
    assert_eq!(run(carillon(&["probe", "live"]).env("CARILLON_SERVER__LISTEN", "nowhere")).0, Some(78));
}
