//! A connection from outside: what is asked of the kernel for it, and the switch that closes it from anywhere.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use carillon_config::WireSettings;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::Stream;
use super::patience::Pace;
use crate::link::Link;

/// What is asked of the kernel and of the peer on every connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// How slow the client may be.
    pub(super) pace: Pace,
    /// Bytes the kernel may hold for the client.
    send_buffer: Option<usize>,
    user_timeout: Option<Duration>,
    keepalive: Option<Duration>,
}

impl Options {
    pub(crate) fn new(settings: &WireSettings) -> Self {
        let set = |time: Duration| (!time.is_zero()).then_some(time);
        Self {
            pace: Pace::new(settings),
            send_buffer: (settings.send_buffer_bytes > 0).then_some(settings.send_buffer_bytes),
            user_timeout: set(Duration::from_millis(settings.tcp_user_timeout_ms.into())),
            keepalive: set(Duration::from_secs(settings.keepalive_s.into())),
        }
    }

    /// Sets the socket options.
    pub(super) fn apply(self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
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
    /// The session that goes over this connection, once a WebSocket has been agreed on.
    link: Mutex<Weak<Link>>,
    /// Set with the link, before the 101 is written.
    framed: AtomicBool,
}

impl Handle {
    pub(super) fn new(peer: SocketAddr, stream: &Arc<Stream>) -> Self {
        Self(Arc::new(Shared {
            peer,
            stream: Arc::downgrade(stream),
            link: Mutex::default(),
            framed: AtomicBool::new(false),
        }))
    }

    /// Where the client connects from.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// The response about to be written is the 101 of this session: what follows are its frames.
    pub(crate) fn carry(&self, link: &Arc<Link>) {
        *self.0.link.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(link);
        self.0.framed.store(true, Ordering::Release);
    }

    /// The session that is carried now, if any.
    pub(super) fn carried(&self) -> Option<Arc<Link>> {
        if !self.0.framed.load(Ordering::Acquire) {
            return None;
        }
        self.0.link.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Closes the connection now: both directions at once, and unsent data is thrown away.
    ///
    /// The tasks that read and write see an end of stream and an error, and end by themselves.
    pub(crate) fn cut(&self) {
        if let Some(stream) = self.0.stream.upgrade() {
            stream.cut();
        }
    }

    /// The socket, for those that write to it. Does not keep it open.
    pub(crate) fn stream(&self) -> Weak<Stream> {
        Weak::clone(&self.0.stream)
    }

    /// Whether the connection still exists.
    pub(crate) fn is_open(&self) -> bool {
        self.0.stream.strong_count() > 0
    }

    /// Ends the stream towards the client after what the kernel holds for it; the client closes its side in answer.
    pub(crate) fn finish(&self) {
        if let Some(stream) = self.0.stream.upgrade() {
            // What keeps it from ending ends it.
            stream.finish().ok();
        }
    }
}
