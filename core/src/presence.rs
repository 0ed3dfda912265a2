//! How many clients are in the rooms of a namespace, on all Carillons: kept as they come and go, told to those who are in
//! them, and to the other nodes.
//!
//! What this node has is counted by the hub; here stands what the others have said, and what is still to be told. Each
//! room that changes is told of once in an interval, with what holds then.

mod others;
mod teller;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carillon_config::ClusterSettings;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub(crate) use self::others::Counts;
use self::others::Others;
pub(crate) use self::teller::Teller;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::routes::PresenceOutline;

/// What the members of a room are told: how many they are, on all Carillons. See
/// [`Routes::presence`](crate::routes::Routes::presence).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomCount {
    /// The room.
    pub room: String,
    /// How many clients are in it.
    pub count: usize,
}

/// What all namespaces of an application share.
pub(crate) struct Presences {
    every: Duration,
    most: usize,
    rooms: IntGaugeVec,
    left_out: IntCounterVec,
}

/// See the module's documentation.
pub(crate) struct Presence {
    /// Which rooms, and the event that tells of them. The first that fits counts.
    rules: Box<[PresenceOutline]>,
    every: Duration,
    most: usize,
    state: Mutex<State>,
    /// There is something to tell.
    news: Notify,
    gauge: IntGauge,
    left_out: IntCounter,
}

#[derive(Default)]
struct State {
    rooms: HashMap<Arc<str>, Room>,
    /// Rooms that have changed, each once.
    changed: Vec<Arc<str>>,
    others: Others,
    /// How often this node has told the others of a change.
    version: u64,
    /// The others are to be told everything.
    whole: bool,
}

/// A room that somebody is in, here or elsewhere.
#[derive(Default)]
struct Room {
    /// How many are in it here, as the others were told.
    own: usize,
    /// How many are in it elsewhere.
    others: usize,
    /// What its members were told last.
    told: usize,
    /// It is one of those that have changed.
    changed: bool,
    /// Somebody has come here who was told nothing yet.
    came: bool,
}

/// What is to be told now.
#[derive(Default)]
struct News {
    /// To members here: the event, the room, and how many there are.
    here: Vec<(String, RoomCount)>,
    /// To the other nodes.
    others: Option<Counts>,
}

impl Presences {
    pub(crate) fn new(settings: &ClusterSettings, metrics: &Metrics) -> Result<Self> {
        let help = "Rooms that are counted on all Carillons, of namespaces that declare a presence.";
        let rooms = metrics.gauge("presence_rooms", help, &["namespace"])?;
        let help = "Joins to rooms, and rooms of other Carillons, that were not counted: cluster.presence_rooms are.";
        let left_out = metrics.counter("presence_left_out_total", help, &["namespace"])?;
        let every = Duration::from_millis(settings.presence_interval_ms);
        Ok(Self { every, most: settings.presence_rooms, rooms, left_out })
    }

    /// The presence of a namespace, if it declares any.
    pub(crate) fn of(&self, namespace: &str, rules: &[PresenceOutline]) -> Option<Presence> {
        (!rules.is_empty()).then(|| Presence {
            rules: rules.into(),
            every: self.every,
            most: self.most,
            state: Mutex::default(),
            news: Notify::new(),
            gauge: self.rooms.with_label_values(&[namespace]),
            left_out: self.left_out.with_label_values(&[namespace]),
        })
    }
}

impl Presence {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, room: &str) -> Option<&str> {
        self.rules.iter().find(|rule| room.starts_with(&*rule.rooms)).map(|rule| &*rule.event)
    }

    /// How many other nodes' clients are in a room; nothing is known of one that is not counted.
    pub(crate) fn elsewhere(&self, room: &str) -> Option<usize> {
        self.event(room)?;
        let state = self.state();
        Some(state.rooms.get(room).map_or_else(|| state.others.count(room), |room| room.others))
    }

    /// A client has come into a room.
    pub(crate) fn joined(&self, room: &Arc<str>) {
        self.changes(room, true);
    }

    /// A client has gone out of one.
    pub(crate) fn left(&self, room: &Arc<str>) {
        self.changes(room, false);
    }

    fn changes(&self, name: &Arc<str>, came: bool) {
        if self.event(name).is_none() {
            return;
        }
        let mut state = self.state();
        if !state.rooms.contains_key(name) && !self.count_from_now(&mut state, name) {
            return;
        }
        if let Some(room) = state.rooms.get_mut(name) {
            room.came |= came;
        }
        state.note(name);
        // Once is enough: whoever is told takes all that there is.
        if state.changed.len() == 1 {
            self.news.notify_one();
        }
    }

    /// Counts a room, if there is a place for it.
    fn count_from_now(&self, state: &mut State, name: &Arc<str>) -> bool {
        let fits = state.rooms.len() < self.most;
        if fits {
            let room = Room { others: state.others.count(name), ..Room::default() };
            state.rooms.insert(Arc::clone(name), room);
            self.gauge.set(state.rooms.len() as i64);
        } else {
            self.left_out.inc();
        }
        fits
    }

    /// Takes what is to be told, in which `own` says how many are in a room here. With `beat` the other nodes are told at
    /// least how far this one has got.
    fn news(&self, own: impl Fn(&str) -> usize, beat: bool) -> News {
        // Whoever comes or goes meanwhile changes the room again.
        let (changed, whole) = self.state().take_changed();
        let counted: Vec<_> = changed.into_iter().map(|name| (own(&name), name)).collect();
        let mut state = self.state();
        let (mut news, mut delta) = (News::default(), BTreeMap::new());
        for (now, name) in counted {
            let Some(room) = state.rooms.get_mut(&name) else { continue };
            if std::mem::replace(&mut room.own, now) != now {
                delta.insert((*name).to_owned(), now);
            }
            let count = now + room.others;
            let came = std::mem::take(&mut room.came);
            if now > 0
                && (came || room.told != count)
                && let Some(event) = self.event(&name)
            {
                news.here.push((event.to_owned(), RoomCount { room: (*name).to_owned(), count }));
            }
            room.told = count;
            if count == 0 && !room.changed {
                state.rooms.remove(&name);
            }
        }
        self.gauge.set(state.rooms.len() as i64);
        news.others = state.say(delta, whole, beat);
        news
    }
}

impl State {
    /// The rooms that have changed until now, and whether all are to be told.
    fn take_changed(&mut self) -> (Vec<Arc<str>>, bool) {
        let changed = std::mem::take(&mut self.changed);
        for name in &changed {
            if let Some(room) = self.rooms.get_mut(name) {
                room.changed = false;
            }
        }
        (changed, std::mem::take(&mut self.whole))
    }

    /// A room of these has changed.
    fn note(&mut self, name: &Arc<str>) {
        if let Some(room) = self.rooms.get_mut(name)
            && !std::mem::replace(&mut room.changed, true)
        {
            self.changed.push(Arc::clone(name));
        }
    }

    /// What the other nodes are told, if they are told anything.
    fn say(&mut self, delta: BTreeMap<String, usize>, whole: bool, beat: bool) -> Option<Counts> {
        let before = self.version;
        self.version += u64::from(!delta.is_empty());
        // Who has never said anything has nothing to say.
        let speaks = self.version > 0 && (whole || beat || !delta.is_empty());
        let own =
            || self.rooms.iter().filter(|(_, room)| room.own > 0).map(|(name, room)| ((**name).to_owned(), room.own));
        let (after, rooms) = if whole { (0, own().collect()) } else { (before, delta) };
        speaks.then_some(Counts { namespace: String::new(), after, version: self.version, rooms })
    }
}
