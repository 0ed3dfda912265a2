//! Asks one exporter once: a plain HTTP request on a connection of its own, read as it arrives.

use std::fmt;

use bytes::Bytes;
use carillon_core::prelude::*;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::exposition::{CpuTime, Exposition};
use super::targets::Target;
use crate::cluster::Metrics;

/// The largest answer that is read, in bytes; a large machine's takes a few hundred thousand.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why there are no metrics.
#[derive(Debug)]
pub(super) enum Failure {
    /// The node did not answer in time.
    Late,
    /// The node cannot be reached, or broke off.
    Away(String),
    /// Something answers, but no node_exporter.
    Odd(String),
}

impl Failure {
    /// The label it is counted under.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Late => "timeout",
            Self::Away(_) => "unreachable",
            Self::Odd(_) => "unreadable",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("no answer in time"),
            Self::Away(why) | Self::Odd(why) => f.write_str(why),
        }
    }
}

/// What `target` measures, CPU use counted since `earlier`.
pub(super) async fn scrape(
    target: &Target,
    limit: Duration,
    earlier: Option<CpuTime>,
) -> Result<(Metrics, CpuTime), Failure> {
    timeout(limit, ask(target)).await.map_err(|_| Failure::Late)??.finish(earlier).ok_or_else(|| {
        let Target { host, port, .. } = target;
        Failure::Odd(format!("what answers at {host} on port {port} is no node_exporter"))
    })
}

async fn ask(target: &Target) -> Result<Exposition, Failure> {
    let away = |error: &dyn fmt::Display| Failure::Away(error.to_string());
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(|error| away(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| away(&error))?;
    let answer = async {
        // Once dropped, the connection has nothing left to wait for and is closed.
        let mut response = sender.send_request(request(target)?).await.map_err(|error| away(&error))?;
        drop(sender);
        if response.status() != hyper::StatusCode::OK {
            return Err(Failure::Odd(format!("it answered with status {}", response.status())));
        }
        let (mut said, mut length) = (Exposition::default(), 0);
        while let Some(frame) = response.frame().await {
            let frame = frame.map_err(|error| away(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            length += data.len();
            if length > MAX_ANSWER {
                return Err(Failure::Odd(format!("its answer is longer than {MAX_ANSWER} bytes")));
            }
            said.feed(data);
        }
        Ok(said)
    };
    // The connection is driven here, beside the question, so that nothing of it outlives the answer.
    tokio::pin!(answer);
    tokio::select! {
        said = &mut answer => said,
        // What it has read is there for the answer to end with, and so is the reason when it broke.
        _ = connection => answer.await,
    }
}

fn request(target: &Target) -> Result<Request<Empty<Bytes>>, Failure> {
    let Target { host, port, .. } = target;
    let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    Request::get("/metrics")
        .header(HOST, host)
        .header(ACCEPT, "text/plain")
        .header(USER_AGENT, concat!("carillon/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| Failure::Odd(error.to_string()))
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What a small exporter says: one CPU, half busy.
    pub(crate) const SAID: &str = "node_cpu_seconds_total{mode=\"idle\"} 1\nnode_cpu_seconds_total{mode=\"user\"} 1\n\
        node_memory_MemTotal_bytes 4\nnode_memory_MemAvailable_bytes 1\n";

    /// A listener, and a node there.
    pub(crate) async fn listener() -> (TcpListener, Target) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, Target::parse(&format!("127.0.0.1:{port}"), 1).unwrap())
    }

    /// Reads a request, answers with these bytes and closes.
    async fn answer(listener: &TcpListener, response: &[u8]) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        // The other side may have seen enough before all is written.
        stream.write_all(response).await.ok();
        stream.shutdown().await.ok();
        String::from_utf8_lossy(&request[..length]).into_owned()
    }

    async fn scraped(response: &str) -> Result<(Metrics, CpuTime), Failure> {
        let (listener, target) = listener().await;
        let (scraped, request) =
            tokio::join!(scrape(&target, Duration::from_secs(5), None), answer(&listener, response.as_bytes()));
        assert!(request.starts_with("GET /metrics HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: {}\r\n", target.name)), "{request}");
        scraped
    }

    /// An answer of known length, in chunks, and one that ends with the connection.
    #[tokio::test]
    async fn answers() {
        let length = SAID.len();
        for response in [
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{SAID}"),
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{SAID}\r\n0\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n\r\n{SAID}"),
        ] {
            let (metrics, _) = scraped(&response).await.unwrap();
            assert_eq!((metrics.cpu_usage, metrics.memory_usage), (50.0, 75.0), "{response}");
        }
    }

    /// What is no answer is told apart, and what is cut off is none.
    #[tokio::test]
    async fn failures() {
        for (response, label) in [
            ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_owned(), "unreadable"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned(), "unreadable"),
            (format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{SAID}"), "unreachable"),
            ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "unreachable"),
            (String::new(), "unreachable"),
            (format!("HTTP/1.1 200 OK\r\n\r\n{}", "#".repeat(MAX_ANSWER + 1)), "unreadable"),
        ] {
            let failure = scraped(&response).await.unwrap_err();
            assert_eq!(failure.label(), label, "{failure}");
        }
        let (listener, target) = listener().await;
        let silent = scrape(&target, Duration::from_millis(20), None).await.unwrap_err();
        assert_eq!(silent.label(), "timeout");
        drop(listener);
        assert_eq!(scrape(&target, Duration::from_secs(5), None).await.unwrap_err().label(), "unreachable");
    }
}
