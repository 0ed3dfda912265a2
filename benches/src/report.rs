//! What becomes of figures: a table for people, JSON with every raw round for programs, a bar while they are made.

pub(crate) mod document;
pub(crate) mod progress;
pub(crate) mod stats;
pub(crate) mod table;
