//! A run: the publishes that one sweep takes, which of them each connection gets, and their frames.
//!
//! Publishes of one selection form a class. Each connection has a mask of the classes it is in, and a list of single
//! marks: publishes it gets beside them, or is left out of. Connections with equal masks share one buffer of frames.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::Arc;

use bytes::Bytes;

use super::lane::Publish;
use super::members::Moment;
use super::selection::Selection;
use super::table::{Slot, Space, Table};
use super::view::{Mark, View, count};
use crate::packet::Item;
use crate::sink::{Mode, Part, Pushed, Sink, Taken};

/// Classes of one run at most: as many as a mask has bits.
const CLASSES: usize = 64;
/// A selection with so few members needs no class: they are marked one by one.
const FEW: usize = 16;
/// Members that are looked at for the classes of one run, at most, unless one class has more.
const LOOKS: usize = 32 << 10;
/// Bytes of shared buffers that a run keeps for connections to come.
const LAID_BYTES: usize = 4 << 20;

/// Publishes of one selection, whose members did not change between them.
struct Class {
    space: Space,
    version: u64,
    selection: Selection,
}

/// See the module's documentation.
pub(super) struct Run {
    publishes: Vec<Arc<Publish>>,
    copies: Vec<(Item, Mode)>,
    /// The place of each in the order of the shard, and whose members it addresses.
    order: Vec<Moment>,
    moments: Vec<Moment>,
    classes: Vec<Class>,
    looks: usize,
    /// The class of each publish; `None` where single members are marked.
    class_of: Vec<Option<u8>>,
    /// By slot.
    masks: Vec<u64>,
    /// Who gets anything.
    touched: Vec<Slot>,
    /// In order.
    marks: Vec<Mark>,
    views: Vec<View>,
    /// Where the view of each mask is, and of the last one looked for: neighbours mostly have the same.
    view_of: HashMap<u64, usize>,
    last: Option<(u64, usize)>,
    /// Bytes of the views.
    laid: usize,
    /// Copies of each publish that were accepted, beside those counted by the views.
    accepted: Vec<u64>,
}

/// Which part of a run a connection gets now.
pub(super) struct Wanted<'a> {
    /// What follows this in the order of the shard, and goes as far as that.
    pub(super) after: Moment,
    pub(super) upto: Moment,
    /// What was queued before that moment for that namespace is for a client that has left.
    pub(super) left: &'a [(Space, Moment)],
}

/// What became of a part of a run.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) taken: Taken,
    pub(super) copies: u64,
    pub(super) bytes: usize,
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.taken += other.taken;
        self.copies += other.copies;
        self.bytes += other.bytes;
    }
}

impl Run {
    /// A run over the places of a shard, without any publish.
    pub(super) fn new(slots: usize) -> Self {
        Self {
            publishes: Vec::new(),
            copies: Vec::new(),
            order: Vec::new(),
            moments: Vec::new(),
            classes: Vec::new(),
            looks: 0,
            class_of: Vec::new(),
            masks: vec![0; slots],
            touched: Vec::new(),
            marks: Vec::new(),
            views: Vec::new(),
            view_of: HashMap::new(),
            last: None,
            laid: 0,
            accepted: Vec::new(),
        }
    }

    /// How many publishes it has.
    pub(super) fn len(&self) -> usize {
        self.publishes.len()
    }

    /// Adds a publish that stands at `place`, for the members of `moment`; `false` when there is no class left for it.
    pub(super) fn add(
        &mut self,
        publish: &Arc<Publish>,
        place: Moment,
        (moment, version): (Moment, u64),
        table: &Table,
    ) -> bool {
        let Some(class) = self.class(publish, (moment, version), table) else { return false };
        self.class_of.push(class);
        self.publishes.push(Arc::clone(publish));
        self.copies.push((publish.item.clone(), publish.mode));
        self.order.push(place);
        self.moments.push(moment);
        self.accepted.push(0);
        true
    }

    /// Marks the members of one publish, or finds its class; `None` when the run can have no further class.
    fn class(&mut self, publish: &Publish, (moment, version): (Moment, u64), table: &Table) -> Option<Option<u8>> {
        let members = table.members(publish.space);
        let place = self.publishes.len() as u32;
        let selection = &publish.selection;
        if members.at_most(selection, FEW) {
            for slot in members.slots(selection, moment) {
                self.touched.push(slot);
                self.marks.push(Mark { slot, place, left_out: false });
            }
            return Some(None);
        }
        // One client or another is left out: all such publishes are of one class, and the one is marked.
        let single = selection.except.iter().all(|name| !members.is_room(name));
        let same = |class: &Class| {
            (class.space, class.version) == (publish.space, version)
                && class.selection.to == selection.to
                && class.selection.clients == selection.clients
                && class.selection.offsets == selection.offsets
                && (if single { class.selection.except.is_empty() } else { class.selection.except == selection.except })
        };
        let class = match self.classes.iter().rposition(same) {
            Some(class) => class,
            None => {
                let looks = self.looks + members.len();
                if self.classes.len() == CLASSES || (looks > LOOKS && !self.classes.is_empty()) {
                    return None;
                }
                self.looks = looks;
                let except = if single { Vec::new() } else { selection.except.clone() };
                let selection = Selection { except, ..selection.clone() };
                for slot in members.slots(&selection, moment) {
                    let mask = &mut self.masks[slot as usize];
                    if *mask == 0 {
                        self.touched.push(slot);
                    }
                    *mask |= 1 << self.classes.len();
                }
                self.classes.push(Class { space: publish.space, version, selection });
                self.classes.len() - 1
            }
        };
        if single {
            let left_out = selection.except.iter().filter_map(|id| members.slot_of(id, moment));
            self.marks.extend(left_out.map(|slot| Mark { slot, place, left_out: true }));
        }
        Some(Some(class as u8))
    }

    /// The run is complete: who gets anything.
    pub(super) fn close(&mut self) -> Vec<Slot> {
        self.marks.sort_unstable();
        std::mem::take(&mut self.touched)
    }

    /// Pushes its part to the connection at `slot`.
    pub(super) fn push(&mut self, slot: Slot, sink: &dyn Sink, wanted: &Wanted<'_>) -> Sent {
        let place = |moment: Moment| self.order.partition_point(|place| *place <= moment) as u32;
        let range = place(wanted.after)..place(wanted.upto);
        let mask = self.masks[slot as usize];
        if range.is_empty() {
            return Sent::default();
        }
        let view = self.lay(mask);
        let (copies, publishes) = (&self.copies, &self.publishes);
        let view = &mut self.views[view];
        let from = self.marks.partition_point(|mark| mark.slot < slot);
        let marks = &self.marks[from..];
        let marks = &marks[..marks.iter().take_while(|mark| mark.slot == slot).count()];
        let whole = marks.is_empty() && range.len() == copies.len() && wanted.left.is_empty();
        let (special, mut closed) = (!whole)
            .then(|| {
                let left = |place: usize| {
                    wanted
                        .left
                        .iter()
                        .any(|(space, until)| *space == publishes[place].space && self.moments[place] < *until)
                };
                view.with(marks, range, left, (copies, publishes))
            })
            .unzip();
        let seen = special.as_ref().unwrap_or(view);
        let closed = closed.take().unwrap_or(0);
        let mut sent = Sent { taken: Taken::all(closed, Pushed::Closed), copies: closed as u64, bytes: 0 };
        if seen.places.is_empty() {
            return sent;
        }
        let part = Part {
            run: copies,
            places: &seen.places,
            slices: &seen.frames,
            namespaces: &seen.namespaces,
            plain: seen.plain,
        };
        let taken = sink.push(&part);
        sent.bytes = seen.frames.iter().map(Bytes::len).sum();
        sent.copies += part.len() as u64;
        if whole && taken.accepted() == part.len() as u64 {
            view.accepted += 1;
        } else {
            count(&mut self.accepted, &part, &taken);
        }
        sent.taken += taken;
        sent
    }

    /// Where the view of a mask is; lays the frames of its publishes, unless they are laid.
    fn lay(&mut self, mask: u64) -> usize {
        if let Some((_, place)) = self.last.filter(|(of, _)| *of == mask) {
            return place;
        }
        let place = self.view_of.get(&mask).copied().unwrap_or_else(|| {
            if self.laid > LAID_BYTES {
                self.sum_up();
            }
            let view = View::new(mask, &self.copies, &self.class_of, &self.publishes);
            self.laid += view.frames.iter().map(Bytes::len).sum::<usize>();
            self.views.push(view);
            self.view_of.insert(mask, self.views.len() - 1);
            self.views.len() - 1
        });
        self.last = Some((mask, place));
        place
    }

    /// The namespace of each publish.
    pub(super) fn spaces(&self) -> impl Iterator<Item = Space> {
        self.publishes.iter().map(|publish| publish.space)
    }

    /// Forgets the views.
    fn sum_up(&mut self) {
        self.view_of.clear();
        self.last = None;
        for view in self.views.drain(..) {
            view.places.iter().for_each(|place| self.accepted[*place as usize] += view.accepted);
        }
        self.laid = 0;
    }

    /// The publishes, and how many copies of each were accepted.
    pub(super) fn end(mut self) -> impl Iterator<Item = (Arc<Publish>, u64)> {
        self.sum_up();
        self.publishes.into_iter().zip(self.accepted)
    }
}
