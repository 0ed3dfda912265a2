//! One HTTP request over a connection of its own: what a probe asks a server, and this server an issuer of keys.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Asks, and has the answer taken by `take`. The caller keeps the time.
///
/// # Errors
/// What the connection says, or `take`.
pub(crate) async fn exchange<T, F: Future<Output = Result<T, String>>>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
    take: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let answer = async { take(sender.send_request(request).await.map_err(|error| error.to_string())?).await };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // What the connection has read is there for the answer, and so is the reason when it broke.
        _ = connection => answer.await,
    }
}
