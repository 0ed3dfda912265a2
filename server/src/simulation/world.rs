//! What has been done so far, and so what every client has to get: the judge of a schedule.
//!
//! A schedule runs on one thread, so that everything in it has one order, and there is one world for each thread.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;

use carillon_core::sink::Mode;
use carillon_core::{Ctx, Host};
use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// The namespaces there are.
pub(super) const NAMESPACES: [&str; 2] = ["/", "/n"];
/// The rooms there are in each of them.
pub(super) const ROOMS: [&str; 3] = ["a", "b", "c"];

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new(0, false));
}

/// Looks at the world or changes it. Nothing of the server may be called meanwhile: it could come back here.
pub(super) fn world<T>(look: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(look)
}

/// Says what happens, when somebody wants to know.
macro_rules! tell {
    ($($what:tt)*) => {
        if $crate::simulation::world::world(|world| world.told) {
            println!("{:.150}", format!($($what)*));
        }
    };
}
pub(super) use tell;

pub(super) struct World {
    /// What was published, for whomever, with its number.
    publishes: Vec<(u64, Of)>,
    pub(super) random: fastrand::Rng,
    /// Every step is printed.
    pub(super) told: bool,
    pub(super) hosts: [Option<Host>; 2],
    pub(super) tasks: TaskTracker,
    pub(super) members: Vec<Member>,
    /// Members by their public id.
    by_id: HashMap<String, usize>,
    /// The number of the next thing that is sent.
    next: u64,
    /// Published copies that must turn up in the ledger.
    pub(super) copies: u64,
    /// Things that clients got.
    pub(super) received: u64,
    /// Differs when anything of that differs, or its time.
    pub(super) digest: u64,
    began: Instant,
    /// The first broken promise.
    failure: Option<String>,
}

/// A client's time in one namespace, from its CONNECT to its end.
pub(super) struct Member {
    pub(super) namespace: usize,
    pub(super) id: String,
    pub(super) ctx: Option<Ctx>,
    pub(super) open: bool,
    rooms: BTreeSet<usize>,
    /// Published copies it got.
    pub(super) copies: u64,
    /// What it was sent and has not received, in order.
    expected: Vec<Sent>,
}

/// By whom something was published, where, and which event.
type Of = (usize, usize, Option<usize>);

/// One thing that was sent to one member.
struct Sent {
    number: u64,
    /// Whose plugin has sent it: what another does has no order with it.
    by: usize,
    mode: Mode,
    /// What is published; nothing else has one.
    event: Option<usize>,
    /// What [`Mode::Latest`] may replace.
    topic: Option<(usize, usize)>,
}

/// Whom a publish addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct To {
    pub(super) rooms: Vec<usize>,
    pub(super) except: Vec<usize>,
    pub(super) member: Option<usize>,
}

impl World {
    fn new(seed: u64, told: bool) -> Self {
        Self {
            publishes: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            told,
            hosts: [None, None],
            tasks: TaskTracker::new(),
            members: Vec::new(),
            by_id: HashMap::new(),
            next: 0,
            copies: 0,
            received: 0,
            digest: 0,
            began: Instant::now(),
            failure: None,
        }
    }

    /// A new world on this thread; what plugins have left in the old one stays.
    pub(super) fn begin(seed: u64, told: bool) {
        let old = world(|world| std::mem::replace(world, Self::new(seed, told)));
        world(|world| world.hosts = old.hosts.clone());
        // Outside, because what it held may come back here.
        drop(old);
    }

    pub(super) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    // --- Members -----------------------------------------------------------------------------------------------

    /// A client is let in; nothing is published to it yet.
    pub(super) fn admitted(&mut self, namespace: usize, id: &str) {
        self.by_id.insert(id.to_owned(), self.members.len());
        let rooms = BTreeSet::new();
        let (id, expected) = (id.to_owned(), Vec::new());
        self.members.push(Member { namespace, id, ctx: None, open: false, rooms, copies: 0, expected });
    }

    /// It can be sent to from now on; or not any more.
    pub(super) fn is_open(&mut self, id: &str, open: bool) {
        if let Some(member) = self.by_id.get(id) {
            self.members[*member].open = open;
        }
    }

    pub(super) fn by_id(&self, id: &str) -> usize {
        self.by_id[id]
    }

    pub(super) fn joins(&mut self, member: usize, room: usize) {
        if self.members[member].open {
            self.members[member].rooms.insert(room);
        }
    }

    pub(super) fn leaves(&mut self, member: usize, room: usize) {
        self.members[member].rooms.remove(&room);
    }

    // --- Sending -----------------------------------------------------------------------------------------------

    /// Something is sent to one member.
    pub(super) fn sent(&mut self, member: usize) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.members[member].open {
            let by = self.members[member].namespace;
            let sent = Sent { number, by, mode: Mode::All, event: None, topic: None };
            self.members[member].expected.push(sent);
        }
        number
    }

    /// Something is published by the plugin of one namespace to another, or the same.
    pub(super) fn published(
        &mut self,
        (by, namespace): (usize, usize),
        to: &To,
        (mode, event): (Mode, usize),
        attachments: usize,
    ) -> u64 {
        let number = self.next;
        self.next += 1;
        self.publishes.push((number, (by, namespace, Some(event))));
        for (index, member) in self.members.iter_mut().enumerate() {
            let everybody = to.rooms.is_empty() && to.member.is_none();
            let named = to.member == Some(index) || to.rooms.iter().any(|room| member.rooms.contains(room));
            let left_out = to.except.iter().any(|room| member.rooms.contains(room));
            if member.open && member.namespace == namespace && (everybody || named) && !left_out {
                self.copies += 1;
                // Several frames are replaced only in the hub, by what has as many.
                let topic = (mode == Mode::Latest).then_some((event, attachments));
                member.expected.push(Sent { number, by, mode, event: Some(event), topic });
            }
        }
        number
    }

    /// A publish was refused: nobody gets it.
    pub(super) fn refused(&mut self, number: u64) {
        for member in &mut self.members {
            let before = member.expected.len();
            member.expected.retain(|sent| sent.number != number);
            self.copies -= (before - member.expected.len()) as u64;
        }
    }

    // --- Receiving ---------------------------------------------------------------------------------------------

    /// A member received `number`: everything that its publisher has sent before has come, or may be missing.
    pub(super) fn receives(&mut self, member: usize, number: u64) {
        self.received += 1;
        let mut hash = DefaultHasher::new();
        (self.digest, member, number, self.began.elapsed()).hash(&mut hash);
        self.digest = hash.finish();
        let Member { namespace, expected, copies, .. } = &mut self.members[member];
        let Some(at) = expected.iter().position(|sent| sent.number == number) else {
            return self
                .fail(format!("member {member} got {number}, which it must not get, or not again, or not so late"));
        };
        let Sent { event, topic, by, .. } = expected[at];
        *copies += u64::from(event.is_some());
        // One that is replaced by another behind a publish of its event, to whomever, need not come.
        let (publishes, namespace) = (&self.publishes, *namespace);
        let yields = |older: &Sent, later: &[Sent]| {
            let newer = later.iter().rfind(|newer| newer.by == older.by && newer.topic == older.topic);
            let of_event = (older.by, namespace, older.event);
            let stands_before = |newer: &Sent| {
                publishes
                    .iter()
                    .any(|(number, of)| (older.number + 1..newer.number).contains(number) && *of == of_event)
            };
            older.topic.is_some() && newer.is_some_and(stands_before)
        };
        // The latest stands where the first of those was that it has replaced.
        let place = match topic {
            Some(_) => expected.iter().position(|sent| sent.topic == topic).unwrap_or(at),
            None => at,
        };
        let due = |(at, sent): &(usize, &Sent)| {
            sent.by == by && sent.mode != Mode::Volatile && !yields(sent, &expected[at + 1..])
        };
        let missing = expected[..place].iter().enumerate().find(due).map(|(_, sent)| sent.number);
        let mut index = 0;
        expected.retain(|sent| {
            let replaced = index < at && topic.is_some() && sent.topic == topic;
            let gone = (index < place && sent.by == by) || index == at || replaced;
            index += 1;
            !gone
        });
        if let Some(missing) = missing {
            self.fail(format!("member {member} got {number} without, or before, {missing}"));
        }
    }

    /// The first thing a member that has everything still lacks.
    pub(super) fn lacks(&self, member: usize) -> Option<u64> {
        let expected = &self.members[member].expected;
        expected.iter().find(|sent| sent.mode != Mode::Volatile).map(|sent| sent.number)
    }
}

/// Starts a task whose panic breaks a promise, and which must have ended when the schedule has.
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    let tasks = world(|world| world.tasks.clone());
    tasks.spawn(async move {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            world(|world| world.fail("a task panicked".to_owned()));
        }
    });
}

/// Where the world ends: what it holds must not outlive its schedule.
pub(super) fn forget_members() {
    let contexts: Vec<Option<Ctx>> = world(|world| world.members.iter_mut().map(|member| member.ctx.take()).collect());
    drop(contexts);
}
