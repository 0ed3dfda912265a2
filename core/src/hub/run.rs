//! A run: the publishes that one sweep takes, which of them each connection gets, and their frames.
//!
//! Publishes of one selection form a class. Each connection has a mask of the classes it is in, and a list of single
//! marks: publishes it gets beside them, or is left out of. Connections with equal masks share one buffer of frames.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::members::Selection;
use super::shard::{Publish, Space, Table};
use crate::packet::{Item, joined};
use crate::sink::{Mode, Part, Sink, Taken};

/// Classes of one run at most: as many as a mask has bits.
const CLASSES: usize = 64;
/// A selection with so few members needs no class: they are marked one by one.
const FEW: usize = 16;

/// A connection's place in a shard.
pub(super) type Slot = u32;

/// A publish that a connection gets beside those of its classes, or is left out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    slot: Slot,
    place: u32,
    left_out: bool,
}

/// See the module's documentation.
pub(super) struct Run {
    publishes: Vec<Arc<Publish>>,
    copies: Vec<(Item, Mode)>,
    /// The class of each publish; `None` where single members are marked.
    class_of: Vec<Option<u8>>,
    /// By slot.
    masks: Vec<u64>,
    /// Who gets anything, in order.
    touched: Vec<Slot>,
    /// In order.
    marks: Vec<Mark>,
    views: HashMap<u64, View>,
    /// Copies of each publish that were accepted, beside those counted by the views.
    accepted: Vec<u64>,
}

/// What the connections of one mask get.
#[derive(Default)]
struct View {
    places: Vec<u32>,
    frames: Vec<Bytes>,
    /// Where the frames of each place begin in the one piece they are laid in, and where the last one ends.
    ends: Vec<usize>,
    namespaces: Vec<u32>,
    plain: bool,
    /// Connections that accepted all of it.
    accepted: u64,
}

impl View {
    fn new(mask: u64, run: &[(Item, Mode)], class_of: &[Option<u8>], publishes: &[Arc<Publish>]) -> Self {
        let member = |class: &Option<u8>| class.is_some_and(|class| mask & (1 << class) != 0);
        let places: Vec<u32> = (0..run.len() as u32).filter(|place| member(&class_of[*place as usize])).collect();
        let items = places.iter().map(|place| &run[*place as usize].0);
        let frames = match &*places {
            [] => Vec::new(),
            [one] => run[*one as usize].0.frames().to_vec(),
            _ => vec![joined(items.clone())],
        };
        let lengths = items.map(Item::wire_len);
        let ends = std::iter::once(0).chain(lengths.scan(0, |end, len| {
            *end += len;
            Some(*end)
        }));
        Self {
            ends: ends.collect(),
            plain: places.iter().all(|place| run[*place as usize].1.is_all()),
            namespaces: one_of_each(&places, publishes),
            places,
            frames,
            accepted: 0,
        }
    }
}

/// A place for each namespace among `places`.
fn one_of_each(places: &[u32], publishes: &[Arc<Publish>]) -> Vec<u32> {
    let space = |place: u32| publishes[place as usize].space;
    let mut found: Vec<u32> = Vec::new();
    for place in places {
        // Neighbours are mostly of the namespace seen last.
        if !found.iter().rev().any(|known| space(*known) == space(*place)) {
            found.push(*place);
        }
    }
    found
}

impl Run {
    /// Takes publishes from the front of `waiting`, and finds out who gets which.
    pub(super) fn plan(waiting: &mut Vec<Arc<Publish>>, table: &Table) -> Self {
        let mut run = Self {
            publishes: Vec::new(),
            copies: Vec::new(),
            class_of: Vec::with_capacity(waiting.len()),
            masks: vec![0; table.slots()],
            touched: Vec::new(),
            marks: Vec::new(),
            views: HashMap::new(),
            accepted: Vec::new(),
        };
        let mut classes: Vec<(Space, Selection)> = Vec::new();
        for publish in waiting.iter() {
            if !run.add(publish, table, &mut classes) {
                break;
            }
        }
        run.publishes = waiting.drain(..run.class_of.len()).collect();
        run.copies = run.publishes.iter().map(|publish| (publish.item.clone(), publish.mode)).collect();
        run.accepted = vec![0; run.publishes.len()];
        run.touched.extend(run.marks.iter().filter(|mark| !mark.left_out).map(|mark| mark.slot));
        run.touched.sort_unstable();
        run.touched.dedup();
        run.marks.sort_unstable();
        run
    }

    /// Marks the members of one publish; `false` when the run has no class left for it.
    fn add(&mut self, publish: &Publish, table: &Table, classes: &mut Vec<(Space, Selection)>) -> bool {
        let members = table.members(publish.space);
        let place = self.class_of.len() as u32;
        let selection = &publish.selection;
        if members.at_most(selection, FEW) {
            let slots = members.slots(selection);
            self.marks.extend(slots.map(|slot| Mark { slot, place, left_out: false }));
            self.class_of.push(None);
            return true;
        }
        // One client or another is left out: all such publishes are of one class, and the one is marked.
        let single = selection.except.iter().all(|name| !members.is_room(name));
        let same = |(space, known): &(Space, Selection)| {
            *space == publish.space
                && known.to == selection.to
                && known.clients == selection.clients
                && (if single { known.except.is_empty() } else { known.except == selection.except })
        };
        let class = match classes.iter().rposition(same) {
            Some(class) => class,
            None if classes.len() == CLASSES => return false,
            None => {
                let except = if single { Vec::new() } else { selection.except.clone() };
                let class = Selection { to: selection.to.clone(), clients: selection.clients.clone(), except };
                for slot in members.slots(&class) {
                    let mask = &mut self.masks[slot as usize];
                    if *mask == 0 {
                        self.touched.push(slot);
                    }
                    *mask |= 1 << classes.len();
                }
                classes.push((publish.space, class));
                classes.len() - 1
            }
        };
        if single {
            let left_out = selection.except.iter().filter_map(|id| members.slot_of(id));
            self.marks.extend(left_out.map(|slot| Mark { slot, place, left_out: true }));
        }
        self.class_of.push(Some(class as u8));
        true
    }

    /// Who gets anything.
    pub(super) fn touched(&self) -> &[Slot] {
        &self.touched
    }

    /// Pushes its part to the connection at `slot`.
    pub(super) fn push(&mut self, slot: Slot, sink: &dyn Sink) -> (Taken, u64, usize) {
        let mask = self.masks[slot as usize];
        let (copies, class_of, publishes) = (&self.copies, &self.class_of, &self.publishes);
        let view = self.views.entry(mask).or_insert_with(|| View::new(mask, copies, class_of, publishes));
        let from = self.marks.partition_point(|mark| mark.slot < slot);
        let marks = &self.marks[from..];
        let marks = &marks[..marks.iter().take_while(|mark| mark.slot == slot).count()];
        let special;
        let seen = if marks.is_empty() {
            &*view
        } else {
            special = view.with(marks, copies, publishes);
            &special
        };
        if seen.places.is_empty() {
            return (Taken::default(), 0, 0);
        }
        let part = Part {
            run: copies,
            places: &seen.places,
            slices: &seen.frames,
            namespaces: &seen.namespaces,
            plain: seen.plain,
        };
        let taken = sink.push(&part);
        let bytes = seen.frames.iter().map(Bytes::len).sum();
        let expected = part.len() as u64;
        if taken.accepted() == expected && marks.is_empty() {
            view.accepted += 1;
        } else {
            count(&mut self.accepted, &part, &taken);
        }
        (taken, expected, bytes)
    }

    /// The publishes, and how many copies of each were accepted.
    pub(super) fn end(mut self) -> impl Iterator<Item = (Arc<Publish>, u64)> {
        for view in self.views.values() {
            view.places.iter().for_each(|place| self.accepted[*place as usize] += view.accepted);
        }
        self.publishes.into_iter().zip(self.accepted)
    }
}

/// Which copies of a part were accepted: what was refused are the volatile ones, or the last ones.
fn count(accepted: &mut [u64], part: &Part<'_>, taken: &Taken) {
    let mut left = taken.accepted();
    let mut volatile = taken.volatile;
    for place in part.places {
        if volatile > 0 && part.run[*place as usize].1 == Mode::Volatile {
            volatile -= 1;
        } else if left > 0 {
            left -= 1;
            accepted[*place as usize] += 1;
        }
    }
}

impl View {
    /// This view for a connection with marks of its own: in slices of the shared buffer, and frames beside it.
    fn with(&self, marks: &[Mark], run: &[(Item, Mode)], publishes: &[Arc<Publish>]) -> Self {
        let mut special = Self { plain: true, ..Self::default() };
        let mut mine = self.places.iter().enumerate().peekable();
        // Neighbours in the shared buffer that have not been taken over yet.
        let mut slice: Option<(usize, usize)> = None;
        for mark in marks {
            while let Some((at, place)) = mine.next_if(|(_, place)| **place < mark.place) {
                special.places.push(*place);
                slice = Some((slice.map_or(at, |(from, _)| from), at + 1));
            }
            self.cut(&mut slice, &mut special.frames);
            if mark.left_out {
                mine.next_if(|(_, place)| **place == mark.place);
            } else {
                special.places.push(mark.place);
                special.frames.extend_from_slice(run[mark.place as usize].0.frames());
            }
        }
        for (at, place) in mine {
            special.places.push(*place);
            slice = Some((slice.map_or(at, |(from, _)| from), at + 1));
        }
        self.cut(&mut slice, &mut special.frames);
        special.plain = special.places.iter().all(|place| run[*place as usize].1.is_all());
        special.namespaces = one_of_each(&special.places, publishes);
        special
    }

    fn cut(&self, slice: &mut Option<(usize, usize)>, frames: &mut Vec<Bytes>) {
        let Some((from, to)) = slice.take() else { return };
        match &*self.frames {
            [whole] => frames.push(whole.slice(self.ends[from]..self.ends[to])),
            // The frames of a single item with attachments.
            several => frames.extend_from_slice(several),
        }
    }
}
