//! What all plots are drawn with: a white area, text, colours that everybody can tell apart, and scales.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Result;
use crate::report::stats::Figure;
use crate::report::table::{figure, number};

/// Where one draws, in pixels.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Width of every plot.
pub(super) const WIDTH: i32 = 800;
/// Of Okabe and Ito's colours, which differ for every kind of eye.
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(super) const ORANGE: RGBColor = RGBColor(213, 94, 0);
pub(super) const INK: RGBColor = RGBColor(30, 30, 30);
pub(super) const GREY: RGBColor = RGBColor(150, 158, 168);
pub(super) const FAINT: RGBColor = RGBColor(228, 230, 234);

/// Draws on white, and returns the SVG.
pub(super) fn svg(height: i32, draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH as u32, height as u32)).into_drawing_area();
        put(&area, Rectangle::new([(0, 0), (WIDTH, height)], WHITE.filled()))?;
        draw(&area)?;
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(text)
}

/// Draws one thing.
pub(super) fn put<'b, E>(area: &Area<'b>, element: E) -> Result<()>
where
    E: plotters::element::Drawable<SVGBackend<'b>>,
    for<'e> &'e E: plotters::element::PointCollection<'e, (i32, i32)>,
{
    area.draw(&element).map_err(|error| error.to_string().into())
}

/// A line through these points.
pub(super) fn path(area: &Area<'_>, points: Vec<(i32, i32)>, (colour, width): (RGBColor, u32)) -> Result<()> {
    put(area, PathElement::new(points, colour.stroke_width(width)))
}

/// Where a text stands: left of the point, on it, or right of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Left,
    Middle,
    Right,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) size: i32,
    pub(super) colour: RGBColor,
    pub(super) bold: bool,
}

/// Small text, for most.
pub(super) const PLAIN: Look = Look { size: 16, colour: INK, bold: false };
/// What a plot is about.
pub(super) const TITLE: Look = Look { size: 21, colour: INK, bold: true };

impl Look {
    /// The same in another colour.
    pub(super) const fn in_colour(self, colour: RGBColor) -> Self {
        Self { colour, ..self }
    }

    /// The same, bold or not.
    pub(super) const fn bold(self, bold: bool) -> Self {
        Self { bold, ..self }
    }
}

/// Writes a text; `at` is the middle of its height.
pub(super) fn write(area: &Area<'_>, text: &str, at: (i32, i32), side: Side, look: Look) -> Result<()> {
    let h_pos = match side {
        Side::Left => HPos::Right,
        Side::Middle => HPos::Center,
        Side::Right => HPos::Left,
    };
    let style = if look.bold { FontStyle::Bold } else { FontStyle::Normal };
    let style = TextStyle::from(("sans-serif", look.size, style).into_font())
        .color(&look.colour)
        .pos(Pos::new(h_pos, VPos::Center));
    put(area, Text::new(text.to_owned(), at, style))
}

/// From values to pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    /// The pixels of `low` and `high`.
    pixels: (i32, i32),
}

impl Scale {
    /// A scale on which all of `values` fit: in decades, or from 0.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, log: bool, pixels: (i32, i32)) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.into_iter().filter(|value| *value > 0.0 && value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        let (low, high) = if log { (low / 1.4, high * 1.4) } else { (0.0, high * 1.08) };
        Self { low, high, log, pixels }
    }

    /// The pixel of a value.
    pub(super) fn at(&self, value: f64) -> i32 {
        let part = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        let (from, to) = self.pixels;
        from + (part.clamp(0.0, 1.0) * f64::from(to - from)).round() as i32
    }

    /// Round values with lines of their own.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let within = |tick: &f64| (self.low..=self.high).contains(tick);
        if !self.log {
            let rough = self.high / 5.0;
            let decade = 10f64.powf(rough.log10().floor());
            let step =
                [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * decade).find(|step| *step >= rough).unwrap_or(rough);
            return (0..10).map(|n| f64::from(n) * step).filter(within).collect();
        }
        let decades = || (self.low.log10().floor() as i32..=self.high.log10().ceil() as i32).map(|n| 10f64.powi(n));
        let full: Vec<f64> = decades().filter(within).collect();
        if full.len() > 2 {
            return full;
        }
        let some: Vec<f64> = decades().flat_map(|decade| [1.0, 2.0, 5.0].map(|n| n * decade)).filter(within).collect();
        if some.len() > 2 {
            return some;
        }
        decades().flat_map(|decade| [1.0, 2.0, 3.0, 4.0, 6.0, 8.0].map(|n| n * decade)).filter(within).collect()
    }
}

/// A figure with its unit, short, and marked when it is doubtful.
pub(super) fn label(value: Figure, unit: &str) -> String {
    let (by, prefix) = match value.median {
        _ if unit != "/s" => (1.0, ""),
        1e6.. => (1e-6, " M"),
        1e3.. => (1e-3, " k"),
        _ => (1.0, ""),
    };
    let gap = if unit.starts_with('/') { "" } else { " " };
    format!("{}{prefix}{gap}{unit}", figure(Some(value.times(by))))
}

/// A number for an axis, short.
pub(super) fn short(value: f64) -> String {
    match value {
        1e9.. => format!("{} G", plain(value / 1e9)),
        1e6.. => format!("{} M", plain(value / 1e6)),
        1e3.. => format!("{} k", plain(value / 1e3)),
        _ => plain(value),
    }
}

fn plain(value: f64) -> String {
    let text = number(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_round_ticks() {
        let log = Scale::over([0.03, 70.0], true, (100, 600));
        assert_eq!(log.ticks(), [0.1, 1.0, 10.0]);
        assert!(log.at(0.03) > 100 && log.at(70.0) < 600 && log.at(1.0) > log.at(0.1));
        let narrow = Scale::over([3.0, 8.0], true, (0, 100));
        assert_eq!(narrow.ticks(), [3.0, 4.0, 6.0, 8.0, 10.0]);
        let linear = Scale::over([12.0, 41.0], false, (0, 100));
        assert_eq!((linear.ticks(), linear.at(0.0)), (vec![0.0, 10.0, 20.0, 30.0, 40.0], 0));
        assert_eq!(label(Figure { median: 33.1e6, min: 20e6, max: 34e6 }, "/s"), "~33.1 M/s");
        assert_eq!(label(Figure { median: 0.5, min: 0.5, max: 0.5 }, "µs"), "0.500 µs");
        assert_eq!([0.1, 20.0, 1_500.0, 33_000_000.0].map(short), ["0.1", "20", "1.5 k", "33 M"]);
    }
}
