//! Several items that leave together, for whoever drives a sink without the hub.

use bytes::Bytes;

use super::{Item, joined};
use crate::sink::{Mode, Part};

/// A run of items that all go to the same receivers: what each connection gets in one write.
#[derive(Debug)]
pub struct Batch {
    run: Vec<(Item, Mode)>,
    places: Vec<u32>,
    frames: Vec<Bytes>,
}

impl Batch {
    /// Joins the frames of `items`; those of a single item are shared as they are.
    #[must_use]
    pub fn new(items: Vec<Item>) -> Self {
        let run: Vec<(Item, Mode)> = items.into_iter().map(|item| (item, Mode::All)).collect();
        let frames = match &*run {
            [(one, _)] => one.frames().to_vec(),
            several => vec![joined(several.iter().map(|(item, _)| item))],
        };
        Self { places: (0..run.len() as u32).collect(), run, frames }
    }

    /// All of it, as one connection's part.
    #[must_use]
    pub fn part(&self) -> Part<'_> {
        Part {
            run: &self.run,
            places: &self.places,
            slices: &self.frames,
            namespaces: self.places.get(..1).unwrap_or_default(),
            plain: true,
        }
    }

    /// The frames of all items, in as few pieces as possible.
    #[must_use]
    pub fn frames(&self) -> &[Bytes] {
        &self.frames
    }
}
