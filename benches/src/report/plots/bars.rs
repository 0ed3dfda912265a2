//! One bar, or three marks, for each server: who is fastest, by how much, and where the floor is.

use plotters::prelude::*;

use super::canvas::{Area, BLUE, FAINT, GREY, INK, PLAIN, Scale, Side, TITLE, WIDTH, label, path, put, short, write};
use crate::Result;
use crate::report::stats::Figure;
use crate::report::story::{CARILLON, is_floor};
use crate::report::table::number;

const LEFT: i32 = 140;
const RIGHT: i32 = 560;
const TITLE_HEIGHT: i32 = 40;
/// The label of a line across all bars.
const LABEL: i32 = 17;
const ROW: i32 = 28;
const BOTTOM: i32 = 48;
/// Half of a bar.
const HALF: i32 = 9;
/// A character is about so wide; what stands behind the text is hidden so far.
const CHARACTER: i32 = 8;
/// From this ratio of the greatest to the least on, bars grow with the logarithm.
const DECADES: f64 = 8.0;

/// Bars side by side.
pub(super) struct Bars {
    pub(super) title: String,
    /// What is shown, with its unit and what is better.
    pub(super) axis: String,
    /// The unit behind each figure.
    pub(super) unit: &'static str,
    pub(super) rows: Vec<Row>,
    /// Lines across all bars, with what they mean.
    pub(super) lines: Vec<(String, Figure)>,
}

/// One server's.
pub(super) struct Row {
    pub(super) name: String,
    /// One figure is a bar with whiskers, several are marks.
    pub(super) figures: Vec<Figure>,
}

impl Bars {
    /// Pixels from top to bottom.
    pub(super) fn height(&self) -> i32 {
        self.head() + self.rows.len() as i32 * ROW + BOTTOM
    }

    fn head(&self) -> i32 {
        TITLE_HEIGHT + self.lines.len() as i32 * LABEL
    }

    /// Draws it `y` pixels from the top: what carries text comes last.
    pub(super) fn draw(&self, area: &Area<'_>, y: i32) -> Result<()> {
        let (top, bottom) = (y + self.head(), y + self.height() - BOTTOM);
        let all = || {
            let lines = self.lines.iter().map(|(_, figure)| figure);
            self.rows.iter().flat_map(|row| &row.figures).chain(lines).map(|figure| figure.median)
        };
        let least = all().fold(f64::INFINITY, f64::min);
        let log = all().fold(0.0, f64::max) > DECADES * least;
        let ends = self.rows.iter().flat_map(|row| &row.figures).map(|figure| figure.max);
        let scale = Scale::over(all().chain(ends), log, (LEFT, RIGHT));
        write(area, &self.title, (16, y + 22), Side::Right, TITLE)?;
        for tick in scale.ticks() {
            let x = scale.at(tick);
            path(area, vec![(x, top), (x, bottom)], (FAINT, 1))?;
            write(area, &short(tick), (x, bottom + 12), Side::Middle, PLAIN)?;
        }
        let axis = if log { format!("{}; logarithmic", self.axis) } else { self.axis.clone() };
        write(area, &axis, ((LEFT + RIGHT) / 2, bottom + 32), Side::Middle, PLAIN)?;
        let middle = |nth: usize| top + nth as i32 * ROW + ROW / 2;
        for (nth, row) in self.rows.iter().enumerate() {
            row.draw(area, &scale, middle(nth))?;
        }
        let mut lines: Vec<_> =
            self.lines.iter().map(|(what, figure)| (scale.at(figure.median), what, figure)).collect();
        lines.sort_by_key(|(x, ..)| *x);
        let height = |nth: usize| y + TITLE_HEIGHT + nth as i32 * LABEL + 3;
        for (nth, (x, ..)) in lines.iter().enumerate() {
            path(area, vec![(*x, height(nth) + HALF), (*x, bottom)], (INK, 2))?;
        }
        for (nth, (x, what, figure)) in lines.iter().enumerate() {
            let text = format!("{what}: {}", label(**figure, self.unit));
            let (side, start) =
                if *x > LEFT + (RIGHT - LEFT) * 3 / 5 { (Side::Left, x + 2 - width(&text)) } else { (Side::Right, *x) };
            clear(area, (start, height(nth)), &text)?;
            write(area, &text, (x + if start == *x { -1 } else { 1 }, height(nth)), side, PLAIN.bold(true))?;
        }
        for (nth, row) in self.rows.iter().enumerate() {
            let (text, at) = (self.label(row), (row.end(&scale) + 8, middle(nth)));
            let at = (at.0.min(WIDTH - width(&text)), at.1);
            clear(area, at, &text)?;
            write(area, &text, at, Side::Right, PLAIN.bold(row.name == CARILLON))?;
        }
        Ok(())
    }

    /// What stands beside a row: its figures, and how it compares.
    fn label(&self, row: &Row) -> String {
        let [bar] = &row.figures[..] else {
            let figures: Vec<String> = row.figures.iter().map(|figure| label(*figure, "").trim().to_owned()).collect();
            return format!("{} {}", figures.join(" / "), self.unit);
        };
        let own = self.rows.iter().find(|row| row.name == CARILLON).and_then(|row| row.figures.first());
        let text = label(*bar, self.unit);
        match own {
            Some(own) if row.name != CARILLON => format!("{text} = {} x Carillon", number(bar.median / own.median)),
            _ => text,
        }
    }
}

impl Row {
    fn draw(&self, area: &Area<'_>, scale: &Scale, middle: i32) -> Result<()> {
        let is_ours = self.name == CARILLON;
        let colour = match &*self.name {
            CARILLON => BLUE,
            name if is_floor(name) => INK,
            _ => GREY,
        };
        write(area, &self.name, (LEFT - 8, middle), Side::Left, PLAIN.bold(is_ours))?;
        if let [bar] = &self.figures[..] {
            let (least, end) = (scale.at(bar.min), scale.at(bar.max));
            put(area, Rectangle::new([(LEFT, middle - HALF), (scale.at(bar.median), middle + HALF)], colour.filled()))?;
            path(area, vec![(least, middle), (end, middle)], (INK, 1))?;
            for x in [least, end] {
                path(area, vec![(x, middle - 4), (x, middle + 4)], (INK, 1))?;
            }
            return Ok(());
        }
        path(area, self.figures.iter().map(|mark| (scale.at(mark.median), middle)).collect(), (colour, 2))?;
        for (nth, mark) in self.figures.iter().enumerate() {
            let (x, y) = (scale.at(mark.median), middle);
            match nth {
                0 => put(area, Circle::new((x, y), 5, colour.filled()))?,
                1 => put(area, TriangleMarker::new((x, y), 7, colour.filled()))?,
                _ => put(area, Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], colour.filled()))?,
            }
        }
        Ok(())
    }

    /// Where what is drawn of it ends.
    fn end(&self, scale: &Scale) -> i32 {
        match &self.figures[..] {
            [bar] => scale.at(bar.max),
            marks => marks.iter().map(|mark| scale.at(mark.median) + 6).max().unwrap_or(LEFT),
        }
    }
}

fn width(text: &str) -> i32 {
    text.chars().count() as i32 * CHARACTER
}

/// Hides what stands behind a text.
fn clear(area: &Area<'_>, (x, y): (i32, i32), text: &str) -> Result<()> {
    put(area, Rectangle::new([(x - 2, y - 8), (x + width(text), y + 8)], WHITE.filled()))
}
