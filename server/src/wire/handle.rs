//! A connection from outside: what is asked of the kernel for it, and the switch that closes it from anywhere.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use carillon_config::WireSettings;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpSocket;

use super::Stream;

/// What is asked of the kernel for every connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Bytes the kernel may hold for the client.
    send_buffer: Option<usize>,
    user_timeout: Option<Duration>,
    keepalive: Option<Duration>,
}

impl Options {
    pub(crate) fn new(settings: &WireSettings) -> Self {
        let set = |time: Duration| (!time.is_zero()).then_some(time);
        Self {
            send_buffer: (settings.send_buffer_bytes > 0).then_some(settings.send_buffer_bytes),
            user_timeout: set(Duration::from_millis(settings.tcp_user_timeout_ms.into())),
            keepalive: set(Duration::from_secs(settings.keepalive_s.into())),
        }
    }

    /// Sets the options of a socket that listens: those it accepts have them from their first moment.
    pub(crate) fn apply(self, listener: &TcpSocket) -> io::Result<()> {
        let socket = SockRef::from(listener);
        socket.set_tcp_nodelay(true)?;
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(time) = self.keepalive {
            let probes = TcpKeepalive::new().with_time(time).with_interval((time / 4).max(Duration::from_secs(1)));
            socket.set_tcp_keepalive(&probes)?;
        }
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(self.user_timeout)?;
        Ok(())
    }
}

/// The connection as the rest of the server knows it. Cheap to clone; does not keep the socket open.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Shared>);

struct Shared {
    peer: SocketAddr,
    stream: Weak<Stream>,
    secure: bool,
    /// The client did not read, and was cut off for that.
    slow: AtomicBool,
    keeps_answer: AtomicBool,
}

impl Handle {
    pub(super) fn new(peer: SocketAddr, stream: &Arc<Stream>) -> Self {
        Self(Arc::new(Shared {
            peer,
            stream: Arc::downgrade(stream),
            secure: stream.is_secure(),
            slow: AtomicBool::new(false),
            keeps_answer: AtomicBool::new(false),
        }))
    }

    /// Where the client connects from.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Whether it is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.0.secure
    }

    /// Closes the connection now: both directions at once, and unsent data is thrown away.
    ///
    /// The tasks that read and write see an end of stream and an error, and end by themselves.
    pub(crate) fn cut(&self) {
        if let Some(stream) = self.0.stream.upgrade() {
            stream.cut();
        }
    }

    /// The same, because the client does not read.
    pub(super) fn cut_as_slow(&self) {
        self.0.slow.store(true, Ordering::Release);
        self.cut();
    }

    /// Whether the client was cut off because it did not read.
    pub(crate) fn is_slow(&self) -> bool {
        self.0.slow.load(Ordering::Acquire)
    }

    /// What is written from here on is kept for whoever takes the socket out of the wire: it leaves with what that one has to
    /// say, which costs one write less.
    pub(crate) fn keep_answer(&self) {
        self.0.keeps_answer.store(true, Ordering::Release);
    }

    pub(super) fn keeps_answer(&self) -> bool {
        self.0.keeps_answer.load(Ordering::Acquire)
    }

    /// Whether the connection still exists.
    pub(crate) fn is_open(&self) -> bool {
        self.0.stream.strong_count() > 0
    }
}
