//! The load: thousands of clients in one thread, on raw sockets.
//!
//! It looks at no more of a message than its first bytes and its mark, so that one core receives several times what a
//! server on another core can send. All clients of all servers under test share one poll: a server that is not being
//! measured still gets its pings answered.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

pub(crate) mod caller;
pub(crate) mod calling;
mod connection;
pub(crate) mod feed;
pub(crate) mod frame;
pub(crate) mod mark;
mod nats;
pub(crate) mod packet;
mod polling;
pub(crate) mod returning;
pub(crate) mod shape;
mod stream;
mod tally;
pub(crate) mod target;

use self::calling::Calling;
use self::connection::Connection;
pub(crate) use self::connection::{Heard, Role, Stage};
use self::shape::Shape;
use self::stream::Stream;
pub(crate) use self::tally::{Tally, histogram};
pub(crate) use self::target::Target;
use crate::{Result, clock};

/// Bytes read at once: more would leave the processor's cache.
const BUFFER: usize = 256 << 10;
/// Reads of one client before the others have their turn.
const TURNS: usize = 4;
/// Handshakes under way at once, unless it is to be otherwise.
pub(crate) const HANDSHAKES: usize = 200;
/// Clients that come back with one turn.
const RETURNS: usize = 32;
/// Tokens of one group.
const GROUP: usize = 1 << 24;
/// How long a handshake may go without any progress.
const PATIENCE: Duration = Duration::from_secs(15);

/// The number of a group.
pub(crate) type GroupId = usize;

/// All clients of all servers.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    groups: Vec<Group>,
    /// Clients that were not read to the end, for fairness.
    unread: Vec<(GroupId, usize)>,
    /// Clients that have gone and come back, in this order.
    returning: VecDeque<(GroupId, usize)>,
}

/// The clients of one server.
pub(crate) struct Group {
    pub(crate) target: Target,
    pub(crate) clients: Vec<Connection>,
    pub(crate) tally: Tally,
}

impl Group {
    /// Starts a round; see [`Tally::begin`].
    pub(crate) fn begin(&mut self, counting: (u64, u64), shape: Shape) {
        self.tally.begin(counting, shape);
        let clients = self.tally.clients;
        for (index, client) in self.clients.iter_mut().enumerate() {
            client.begin(shape.next(0, index as u64, clients));
            if client.role == Role::Counted {
                self.tally.advance(0, client.next);
            }
        }
    }

    /// What client `index` heard besides messages since the last time; it listens from now on.
    pub(crate) fn heard(&mut self, index: usize) -> Vec<Heard> {
        let Some(client) = self.clients.get_mut(index) else { return Vec::new() };
        client.heard.replace(Vec::new()).unwrap_or_default()
    }

    /// How many clients are in this stage.
    pub(crate) fn count(&self, stage: Stage) -> usize {
        self.clients.iter().filter(|client| client.stage == stage).count()
    }

    /// The first reason why a client that must receive everything is closed.
    pub(crate) fn casualty(&self) -> Option<String> {
        let counted = self.clients.iter().filter(|client| client.role == Role::Counted);
        let mut closed = counted.filter_map(|client| client.closed.as_ref());
        let (_, why) = closed.next()?;
        Some(format!("{} clients were closed: {why}", closed.count() + 1))
    }

    /// Gives client `index` another role. The counts change with the next [`Group::begin`].
    pub(crate) fn cast(&mut self, index: usize, role: Role) {
        if let Some(client) = self.clients.get_mut(index) {
            client.role = role;
        }
        self.tally.clients = self.clients.iter().filter(|client| client.role == Role::Counted).count() as u64;
    }
}

impl Load {
    /// No clients yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            groups: Vec::new(),
            unread: Vec::new(),
            returning: VecDeque::new(),
        })
    }

    /// Connects `count` clients, no more than `at_once` at the same time, and waits until all are in the namespace;
    /// `progress` is told how many are.
    pub(crate) fn connect(
        &mut self,
        target: Target,
        (count, at_once): (usize, usize),
        mut progress: impl FnMut(usize),
    ) -> Result<GroupId> {
        let id = self.groups.len();
        self.groups.push(Group { target, clients: Vec::with_capacity(count), tally: Tally::new(0) });
        let mut last = (0, clock::now());
        loop {
            let group = &mut self.groups[id];
            if let Some(why) = group.casualty() {
                return Err(format!("{}: {why}", group.target).into());
            }
            let ready = group.count(Stage::Ready);
            progress(ready);
            if ready == count {
                group.tally = Tally::new(count as u64);
                return Ok(id);
            }
            if ready > last.0 {
                last = (ready, clock::now());
            } else if clock::now() - last.1 > PATIENCE.as_nanos() as u64 {
                return Err(
                    format!("{}: {ready} of {count} clients are connected, and no more come", group.target).into()
                );
            }
            let (from, under_way) = (group.clients.len(), group.clients.len() - ready);
            for index in from..(from + at_once.saturating_sub(under_way)).min(count) {
                let client = self.open(id, index)?;
                self.groups[id].clients.push(client);
            }
            self.turn(Duration::from_millis(20))?;
        }
    }

    fn open(&mut self, id: GroupId, index: usize) -> Result<Connection> {
        let target = &self.groups[id].target;
        let address = target.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = target.source(index) {
            socket.bind(&source.into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(format!("{target}: {error}").into());
            }
            _ => {}
        }
        let mut client = Connection::new(Stream::new(TcpStream::from_std(socket.into()), target)?, index, target);
        let token = Token(id * GROUP + index);
        self.poll.registry().register(client.socket(), token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(client)
    }

    /// Drops these clients at once and without a word; they come back in the order of their numbers.
    pub(crate) fn drop_and_return(&mut self, id: GroupId, clients: Range<usize>) {
        for index in clients {
            self.groups[id].clients[index].close(clock::now(), "dropped");
            self.returning.push_back((id, index));
        }
    }

    /// How many clients have not even begun to come back.
    pub(crate) fn returning(&self) -> usize {
        self.returning.len()
    }

    /// The next ones of those who come back.
    fn come_back(&mut self) -> Result<()> {
        for _ in 0..RETURNS {
            let Some((id, index)) = self.returning.pop_front() else { return Ok(()) };
            let mut client = self.open(id, index)?;
            let clients = &mut self.groups[id].clients;
            client.role = clients[index].role;
            clients[index] = client;
        }
        Ok(())
    }

    /// A group of clients.
    pub(crate) fn group(&mut self, id: GroupId) -> &mut Group {
        &mut self.groups[id]
    }

    /// Sends a packet of client `index`.
    pub(crate) fn say(&mut self, id: GroupId, index: usize, text: &str) {
        if let Some(client) = self.groups[id].clients.get_mut(index) {
            client.say(text);
            client.flush(clock::now());
        }
    }

    /// Lets client `index` keep `calls` of these under way, from now on.
    pub(crate) fn call(&mut self, id: GroupId, index: usize, (calling, calls): (Calling, u64)) {
        if let Some(client) = self.groups[id].clients.get_mut(index) {
            client.begin_calling(calling, calls, clock::now());
        }
    }

    /// Waits up to `wait` for something to happen, and handles it.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<()> {
        self.come_back()?;
        let wait = if self.unread.is_empty() && self.returning.is_empty() { wait } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for (id, index) in std::mem::take(&mut self.unread) {
            self.read(id, index);
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.handle(event);
        }
        self.events = events;
        Ok(())
    }

    fn handle(&mut self, event: &Event) {
        let (id, index) = (event.token().0 / GROUP, event.token().0 % GROUP);
        let Some(client) = self.groups.get_mut(id).and_then(|group| group.clients.get_mut(index)) else { return };
        if event.is_writable() {
            client.flush(clock::now());
        }
        // A client that does not read is told by the kernel all the same.
        if client.role == Role::Deaf && (event.is_error() || event.is_read_closed()) {
            client.close(clock::now(), "closed by the server");
        } else if event.is_readable() || event.is_error() {
            self.read(id, index);
        }
    }

    fn read(&mut self, id: GroupId, index: usize) {
        let Group { target, clients, tally } = &mut self.groups[id];
        if clients[index].receive(&mut self.buffer, TURNS, (&target.dialect, tally), clock::now) {
            self.unread.push((id, index));
        }
    }

    /// Closes all clients of a group, and forgets them.
    pub(crate) fn hang_up(&mut self, id: GroupId) {
        self.returning.retain(|(group, _)| *group != id);
        for client in &mut self.groups[id].clients {
            client.close(clock::now(), "hung up");
        }
        self.unread.retain(|(group, _)| *group != id);
        self.groups[id].clients.clear();
        self.groups[id].tally = Tally::new(0);
    }
}
