//! What one connection gets of a run: the places of its publishes, and their frames in slices of a shared buffer.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::lane::Publish;
use super::table::Slot;
use crate::packet::{Item, joined};
use crate::sink::{Mode, Part, Taken};

/// A publish that a connection gets beside those of its classes, or is left out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) slot: Slot,
    pub(super) place: u32,
    pub(super) left_out: bool,
}

/// What the connections of one mask get.
#[derive(Default)]
pub(super) struct View {
    pub(super) places: Vec<u32>,
    pub(super) frames: Vec<Bytes>,
    /// Where the frames of each place begin in the one piece they are laid in, and where the last one ends.
    ends: Vec<usize>,
    pub(super) namespaces: Vec<u32>,
    pub(super) plain: bool,
    /// Connections that accepted all of it.
    pub(super) accepted: u64,
}

impl View {
    pub(super) fn new(mask: u64, run: &[(Item, Mode)], class_of: &[Option<u8>], publishes: &[Arc<Publish>]) -> Self {
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

impl View {
    /// This view for a connection that gets less, or more: in slices of the shared buffer, and frames beside it; and the
    /// number of copies that are for a client that has left.
    pub(super) fn with(
        &self,
        marks: &[Mark],
        range: Range<u32>,
        left: impl Fn(usize) -> bool,
        (run, publishes): (&[(Item, Mode)], &[Arc<Publish>]),
    ) -> (Self, usize) {
        let (mut special, mut closed) = (Self::default(), 0);
        let mut shared = self.places.iter().copied().enumerate().peekable();
        let mut marks = marks.iter().peekable();
        // Neighbours in the shared buffer that have not been taken over yet.
        let mut slice: Option<Range<usize>> = None;
        while let Some(place) =
            shared.peek().map(|(_, place)| *place).into_iter().chain(marks.peek().map(|mark| mark.place)).min()
        {
            let at = shared.next_if(|(_, other)| *other == place).map(|(at, _)| at);
            let mut wanted = range.contains(&place);
            while let Some(mark) = marks.next_if(|mark| mark.place == place) {
                wanted &= !mark.left_out;
            }
            let for_nobody = wanted && left(place as usize);
            closed += usize::from(for_nobody);
            if !wanted || for_nobody {
                self.cut(&mut slice, &mut special.frames);
                continue;
            }
            special.places.push(place);
            match at {
                Some(at) => slice = Some(slice.map_or(at, |slice| slice.start)..at + 1),
                None => {
                    self.cut(&mut slice, &mut special.frames);
                    special.frames.extend_from_slice(run[place as usize].0.frames());
                }
            }
        }
        self.cut(&mut slice, &mut special.frames);
        special.plain = special.places.iter().all(|place| run[*place as usize].1.is_all());
        special.namespaces = one_of_each(&special.places, publishes);
        (special, closed)
    }

    fn cut(&self, slice: &mut Option<Range<usize>>, frames: &mut Vec<Bytes>) {
        let Some(slice) = slice.take() else { return };
        match &*self.frames {
            [whole] => frames.push(whole.slice(self.ends[slice.start]..self.ends[slice.end])),
            // The frames of a single item with attachments.
            several => frames.extend_from_slice(several),
        }
    }
}

/// Which copies of a part were accepted: what was refused are the volatile ones, or the last ones.
pub(super) fn count(accepted: &mut [u64], part: &Part<'_>, taken: &Taken) {
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
