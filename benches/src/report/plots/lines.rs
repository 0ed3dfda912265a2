//! One line for each server: what becomes of a figure as something grows.

use plotters::prelude::*;

use super::canvas::{Area, BLUE, FAINT, GREY, INK, ORANGE, PLAIN, Scale, Side, TITLE, label, path, put, short, write};
use crate::Result;
use crate::report::stats::Figure;
use crate::report::story::{CARILLON, is_floor};

const LEFT: i32 = 70;
const RIGHT: i32 = 570;
const TOP: i32 = 50;
const HEIGHT: i32 = 340;
const BOTTOM: i32 = 54;
/// Least distance of two labels.
const APART: i32 = 18;

/// Lines over the same things.
pub(super) struct Lines {
    pub(super) title: String,
    /// What grows, and how its values are written.
    pub(super) axis: String,
    pub(super) name: fn(f64) -> String,
    /// What is shown, with its unit.
    pub(super) unit: &'static str,
    pub(super) series: Vec<Series>,
}

/// One server's.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, Figure)>,
}

impl Lines {
    /// Pixels from top to bottom.
    pub(super) const HEIGHT: i32 = HEIGHT;

    /// Draws it `y` pixels from the top.
    pub(super) fn draw(&self, area: &Area<'_>, y: i32) -> Result<()> {
        let (top, bottom) = (y + TOP, y + HEIGHT - BOTTOM);
        let points = || self.series.iter().flat_map(|series| &series.points);
        let across = Scale::over(points().map(|(x, _)| *x), true, (LEFT, RIGHT));
        let up = Scale::over(points().flat_map(|(_, figure)| [figure.min, figure.max]), true, (bottom, top));
        write(area, &self.title, (16, y + 22), Side::Right, TITLE)?;
        for tick in up.ticks() {
            let y = up.at(tick);
            path(area, vec![(LEFT, y), (RIGHT, y)], (FAINT, 1))?;
            write(area, &short(tick), (LEFT - 8, y), Side::Left, PLAIN)?;
        }
        write(area, self.unit, (LEFT - 8, top - 10), Side::Left, PLAIN)?;
        let mut values: Vec<f64> = points().map(|(x, _)| *x).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        for value in values {
            let x = across.at(value);
            path(area, vec![(x, top), (x, bottom)], (FAINT, 1))?;
            write(area, &(self.name)(value), (x, bottom + 13), Side::Middle, PLAIN)?;
        }
        write(area, &self.axis, ((LEFT + RIGHT) / 2, bottom + 34), Side::Middle, PLAIN)?;
        // Carillon last: above all others.
        for series in self.series.iter().rev() {
            self.series(area, series, (&across, &up))?;
        }
        self.names(area, &up, (top, bottom))
    }

    fn series(&self, area: &Area<'_>, series: &Series, (across, up): (&Scale, &Scale)) -> Result<()> {
        let colour = colour(&series.name);
        let at = |(x, figure): &(f64, Figure)| (across.at(*x), up.at(figure.median));
        path(area, series.points.iter().map(at).collect(), (colour, if series.name == CARILLON { 3 } else { 2 }))?;
        for point in &series.points {
            let (x, y) = at(point);
            path(area, vec![(x, up.at(point.1.min)), (x, up.at(point.1.max))], (colour, 1))?;
            match &*series.name {
                CARILLON => put(area, Circle::new((x, y), 5, colour.filled()))?,
                name if is_floor(name) => put(area, Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], colour.filled()))?,
                _ => put(area, TriangleMarker::new((x, y), 6, colour.filled()))?,
            }
        }
        Ok(())
    }

    /// Each line's name and last figure at its end, none on top of another.
    fn names(&self, area: &Area<'_>, up: &Scale, (top, bottom): (i32, i32)) -> Result<()> {
        let mut labels: Vec<(i32, &Series, Figure)> = Vec::new();
        for series in &self.series {
            if let Some((_, last)) = series.points.last() {
                labels.push((up.at(last.median), series, *last));
            }
        }
        labels.sort_by_key(|(y, ..)| *y);
        let mut free = top;
        for (y, ..) in &mut labels {
            *y = (*y).max(free);
            free = *y + APART;
        }
        let mut free = bottom;
        for (y, ..) in labels.iter_mut().rev() {
            *y = (*y).min(free);
            free = *y - APART;
        }
        for (y, series, last) in labels {
            let text = format!("{}: {}", series.name, label(last, self.unit));
            let look = PLAIN.in_colour(colour(&series.name)).bold(series.name == CARILLON);
            write(area, &text, (RIGHT + 8, y), Side::Right, look)?;
        }
        Ok(())
    }
}

fn colour(name: &str) -> RGBColor {
    match name {
        CARILLON => BLUE,
        name if is_floor(name) => INK,
        "socketioxide" => ORANGE,
        _ => GREY,
    }
}
