//! What systemd is told by a service.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use crate::server::{SOON, Server, carillon, run};

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
