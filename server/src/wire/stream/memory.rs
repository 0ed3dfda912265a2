//! A socket without a kernel: what it takes, when, and in which pieces is up to the test that plays its client.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::ReadBuf;

/// Both ends of the connection: clones are the same one.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Mutex<State>>);

struct State {
    /// Decides into which pieces reads and writes are cut.
    random: fastrand::Rng,
    /// From the client, and whether it has closed its side.
    inbound: Vec<u8>,
    ended: bool,
    /// To the client: taken by the kernel, not read yet.
    outbound: Vec<u8>,
    /// How much more the kernel takes.
    room: usize,
    /// What the runtime believes: a write that is refused changes it, and the kernel's word that there is room again.
    writable: bool,
    /// Nothing follows towards the client; nothing goes either way.
    finished: bool,
    cut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Told of everything that leaves for the client.
    watch: Option<Watch>,
}

type Watch = Box<dyn Fn(&[u8]) + Send>;

impl Memory {
    /// A connection whose kernel holds `room` bytes for the client.
    pub(crate) fn new(room: usize, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: fastrand::Rng::with_seed(seed),
            inbound: Vec::new(),
            ended: false,
            outbound: Vec::new(),
            room,
            writable: true,
            finished: false,
            cut: false,
            reader: None,
            writer: None,
            watch: None,
        })))
    }

    /// Calls `watch` with everything that leaves for the client from here on, in the moment in which it does.
    pub(crate) fn when_written(&self, watch: impl Fn(&[u8]) + Send + 'static) {
        self.state().watch = Some(Box::new(watch));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- The server's end --------------------------------------------------------------------------------------

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.inbound.is_empty() && !state.ended && !state.cut {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let most = state.inbound.len().min(buf.remaining());
        let piece = state.piece(most);
        buf.put_slice(&state.inbound[..piece]);
        state.inbound.drain(..piece);
        Poll::Ready(Ok(()))
    }

    pub(super) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state();
        if !state.writable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        let written = state.write(&all);
        state.writable = !matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        written
    }

    pub(super) fn unread(&self) -> u64 {
        self.state().outbound.len() as u64
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.state().write(bytes)
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.writable {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Closes both directions, from either end.
    pub(crate) fn cut(&self) {
        let mut state = self.state();
        state.cut = true;
        state.wake();
    }

    pub(super) fn finish(&self) {
        let mut state = self.state();
        state.finished = true;
        state.wake();
    }

    // --- The client's end --------------------------------------------------------------------------------------

    /// The client sends.
    pub(crate) fn client_sends(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.inbound.extend_from_slice(bytes);
        state.reader.take().into_iter().for_each(Waker::wake);
    }

    /// The client closes its side.
    pub(crate) fn client_ends(&self) {
        let mut state = self.state();
        state.ended = true;
        state.wake();
    }

    /// The client reads up to `most` bytes, which makes room for as many; whether the server has closed its side.
    pub(crate) fn client_reads(&self, most: usize) -> (Vec<u8>, bool) {
        let mut state = self.state();
        let read = state.outbound.len().min(most);
        let bytes = state.outbound.drain(..read).collect();
        state.room += read;
        (bytes, state.cut || (state.finished && state.outbound.is_empty()))
    }

    /// The kernel holds so much more for the client.
    pub(crate) fn grow(&self, room: usize) {
        self.state().room += room;
    }

    /// The kernel says that there is room, if there is.
    pub(crate) fn tell(&self) {
        let mut state = self.state();
        if state.room > 0 {
            state.writable = true;
            state.writer.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl State {
    /// All of it, or less.
    fn piece(&mut self, most: usize) -> usize {
        if most > 1 && self.random.u8(..4) == 0 { self.random.usize(1..=most) } else { most }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cut || self.finished || self.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.piece(self.room.min(bytes.len()));
        self.watch.iter().for_each(|watch| watch(&bytes[..taken]));
        self.outbound.extend_from_slice(&bytes[..taken]);
        self.room -= taken;
        Ok(taken)
    }

    /// An end, of which both tasks hear.
    fn wake(&mut self) {
        self.writable = true;
        self.reader.take().into_iter().for_each(Waker::wake);
        self.writer.take().into_iter().for_each(Waker::wake);
    }
}
