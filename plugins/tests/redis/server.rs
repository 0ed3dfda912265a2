//! A redis-server of one test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::client::Client;
use crate::harness::eventually;

/// A redis-server on a port and a socket of its own, killed with the test.
pub(crate) struct Server {
    pub(crate) port: u16,
    dir: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// One that runs, with these arguments beside the usual.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut server = Self::planned();
        server.run(arguments).await;
        server
    }

    /// One that does not run yet; its port is chosen.
    pub(crate) fn planned() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Short, for a socket's path may have 107 bytes.
        let dir = std::env::temp_dir().join(format!("carillon-redis-{}-{port}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Self { port, dir, child: None }
    }

    /// Starts it, empty, and waits until it answers.
    pub(crate) async fn run(&mut self, arguments: &[&str]) {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--port", &self.port.to_string(), "--unixsocket", &self.socket()])
            .arg("--dir")
            .arg(&self.dir)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(child.expect("redis-server is missing: apt-get install -y redis-server"));
        let port = self.port;
        eventually(Duration::from_secs(10), "redis-server answers", async || Client::answers(port).await).await;
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id();
        let status = Command::new("sh").args(["-c", &format!("kill -{signal} {id}")]).status().unwrap();
        assert!(status.success());
    }

    /// An independent client.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.port).await
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn socket(&self) -> String {
        self.dir.join("redis.sock").display().to_string()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        drop(std::fs::remove_dir_all(&self.dir));
    }
}
