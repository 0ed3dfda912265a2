//! One question to a running server over HTTP or HTTPS, `/livez` or `/readyz`, and its answer in one line.

mod handshake;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use carillon_config::ListenAddress;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exchange::exchange;
use crate::once::once;

/// More than any answer of Carillon's, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// Where HTTP and HTTPS are when no port is named.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether it answers.
    Live,
    /// Whether it can do its job.
    Ready,
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// It speaks TLS.
    secure: bool,
}

/// What is read of the answer of `/readyz`.
#[derive(Deserialize)]
struct Answer {
    status: String,
    components: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
struct Component {
    ready: bool,
    detail: String,
}

impl Target {
    /// The server a URL names.
    ///
    /// # Errors
    /// When it names none.
    pub(crate) fn of(url: &Uri) -> Result<Self, String> {
        let host = url.host().ok_or_else(|| format!("{url} names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if secure { HTTPS_PORT } else { HTTP_PORT });
        Ok(Self { host, port, secure })
    }

    /// The server with this setting, on this machine, without TLS; `key` names it.
    ///
    /// # Errors
    /// When the setting does not tell its port.
    pub(crate) fn listening(key: &str, listen: &ListenAddress) -> Result<Self, String> {
        if listen.port == 0 {
            return Err(format!("{key} names no port: say where the server is with --url"));
        }
        // A server that listens on every address is asked on the one that never leaves this machine.
        let host = match listen.host.parse() {
            Ok(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            Ok(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
            _ => listen.host.clone(),
        };
        Ok(Self { host, port: listen.port, secure: false })
    }

    /// The same with TLS.
    pub(crate) fn secure(self) -> Self {
        Self { secure: true, ..self }
    }

    fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Asks, within `limit`.
///
/// # Errors
/// One line for a person: why the answer is no, or why there is none.
pub(crate) fn ask(question: Question, target: &Target, limit: Duration) -> Result<String, String> {
    let place = target.authority();
    match once(async { timeout(limit, answer(question, target)).await })? {
        Ok(Ok((status, body))) => judge(question, status, &body).map_err(|why| format!("{place}: {why}")),
        Ok(Err(why)) => Err(format!("{place} cannot be asked: {why}")),
        Err(_) => Err(format!("{place}: no answer within {} ms", limit.as_millis())),
    }
}

async fn answer(question: Question, target: &Target) -> Result<(StatusCode, Bytes), String> {
    let text = |error: &dyn Display| error.to_string();
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(|error| text(&error))?;
    if target.secure {
        let stream = handshake::shake(&target.host, stream).await.map_err(|error| text(&error))?;
        return talk(question, target, stream).await;
    }
    talk(question, target, stream).await
}

/// Asks over a connection.
async fn talk(
    question: Question,
    target: &Target,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<(StatusCode, Bytes), String> {
    let text = |error: &dyn Display| error.to_string();
    let path = match question {
        Question::Live => "/livez",
        Question::Ready => "/readyz",
    };
    let request = Request::get(path)
        .header(HOST, target.authority())
        .header(USER_AGENT, concat!("carillon-probe/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| text(&error))?;
    exchange(stream, request, async |answer| {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| text(&error))?;
        Ok((head.status, body.to_bytes()))
    })
    .await
}

/// The answer in one line; an error where it is no.
fn judge(question: Question, status: StatusCode, body: &[u8]) -> Result<String, String> {
    let yes = status == StatusCode::OK;
    if question == Question::Live {
        return if yes { Ok("live".to_owned()) } else { Err(format!("not live, it answered {status}")) };
    }
    let line = match serde_json::from_slice::<Answer>(body) {
        Ok(Answer { status, components }) => {
            let away = components.iter().filter(|(_, component)| !component.ready);
            let away: Vec<_> = away.map(|(name, component)| format!("{name} ({})", component.detail)).collect();
            // Details come over the network: one line stays one line.
            let line = if away.is_empty() { status } else { format!("{status}: {}", away.join(", ")) };
            line.replace(char::is_control, " ")
        }
        Err(_) if yes => return Err("what answers there is no Carillon".to_owned()),
        Err(_) => format!("not ready, it answered {status}"),
    };
    if yes { Ok(line) } else { Err(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(text: &str) -> Result<String, String> {
        Target::listening("server.listen", &text.parse().unwrap()).map(|target| target.authority())
    }

    #[test]
    fn the_server_of_this_machine_is_asked_where_it_listens() {
        assert_eq!(listening("0.0.0.0:80").unwrap(), "127.0.0.1:80");
        assert_eq!(listening("[::]:81").unwrap(), "[::1]:81");
        assert_eq!(listening("192.0.2.1:82").unwrap(), "192.0.2.1:82");
        assert_eq!(listening("localhost:83").unwrap(), "localhost:83");
        assert!(listening("127.0.0.1:0").unwrap_err().contains("--url"));
    }

    #[test]
    fn a_url_names_the_port_or_means_that_of_its_scheme() {
        let of = |url: &'static str| Target::of(&Uri::from_static(url)).unwrap().authority();
        assert_eq!(of("http://[::1]:8085/"), "[::1]:8085");
        assert_eq!(of("http://carillon"), "carillon:80");
        assert_eq!(of("https://carillon"), "carillon:443");
    }

    #[test]
    fn the_answer_is_one_line_that_names_what_is_away() {
        let body = br#"{"status":"degraded","components":{"bus":{"ready":false,"detail":"lost\nit"},
            "echo":{"ready":true,"detail":"running"}}}"#;
        let said = |question, status, body: &[u8]| judge(question, status, body);
        assert_eq!(said(Question::Ready, StatusCode::OK, body).unwrap(), "degraded: bus (lost it)");
        assert_eq!(
            said(Question::Ready, StatusCode::SERVICE_UNAVAILABLE, body).unwrap_err(),
            "degraded: bus (lost it)"
        );
        let stopping = said(Question::Ready, StatusCode::SERVICE_UNAVAILABLE, b"{}").unwrap_err();
        assert!(stopping.contains("503"), "{stopping}");
        assert!(said(Question::Ready, StatusCode::OK, b"<html>").is_err(), "another server's page");
        assert!(said(Question::Live, StatusCode::NOT_FOUND, b"").is_err());
        assert_eq!(said(Question::Live, StatusCode::OK, b"").unwrap(), "live");
    }
}
