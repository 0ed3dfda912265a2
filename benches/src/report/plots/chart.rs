//! What plotters draws: one bar, or several marks, for each server; and one line for each as something grows.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Result;
use crate::report::stats::Figure;
use crate::report::story::{CARILLON, is_floor};
use crate::report::table::{figure, number};

/// Where one chart is drawn.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 800;
/// Of Okabe and Ito's colours, which differ for every kind of eye.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const INK: RGBColor = RGBColor(30, 30, 30);
const GREY: RGBColor = RGBColor(150, 158, 168);
const FAINT: RGBColor = RGBColor(228, 230, 234);
const TEXT: u32 = 15;
const TITLE: (&str, u32) = ("sans-serif", 20);
/// From this ratio of the greatest to the least on, bars grow with the logarithm.
const DECADES: f64 = 8.0;

/// A chart, and its height in pixels.
pub(super) trait Chart {
    /// Pixels from top to bottom.
    fn height(&self) -> u32;
    /// Draws it.
    fn draw(&self, area: &Area<'_>) -> Result<()>;
}

/// All of these, one below the other, as SVG.
pub(super) fn svg(charts: &[impl Chart]) -> Result<String> {
    let mut text = String::new();
    {
        let height = charts.iter().map(Chart::height).sum();
        let mut area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        for chart in charts {
            let (own, rest) = area.split_vertically(chart.height());
            chart.draw(&own)?;
            area = rest;
        }
        area.present()?;
    }
    Ok(text)
}

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

impl Chart for Bars {
    fn height(&self) -> u32 {
        110 + 30 * (self.rows.len() + self.lines.len()) as u32
    }

    fn draw(&self, area: &Area<'_>) -> Result<()> {
        let lines = self.lines.iter().map(|(_, figure)| figure);
        let all = self.rows.iter().flat_map(|row| &row.figures).chain(lines);
        let (low, high) = ends(all);
        // To the right there is room for what stands beside a bar.
        if high > DECADES * low {
            let low = low / 1.4;
            self.chart(area, (low..high * (high / low).powf(0.8)).log_scale(), low)
        } else {
            self.chart(area, 0.0..high * 1.8, 0.0)
        }
    }
}

impl Bars {
    fn chart<X>(&self, area: &Area<'_>, across: X, start: f64) -> Result<()>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
    {
        // At the bottom there is room for what the lines mean.
        let spare = self.lines.len();
        let last = (spare + self.rows.len()).saturating_sub(1);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, TITLE)
            .margin_right(12)
            .x_label_area_size(50)
            .y_label_area_size(110)
            .build_cartesian_2d(across, (0..last).into_segmented())?;
        let name = |place: &SegmentValue<usize>| match place {
            SegmentValue::CenterOf(place) => last
                .checked_sub(*place)
                .and_then(|at| self.rows.get(at))
                .map_or_else(String::new, |row| row.name.clone()),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(WHITE)
            .bold_line_style(FAINT)
            .label_style(("sans-serif", TEXT))
            .x_desc(&self.axis)
            .x_label_formatter(&|value| short(*value))
            .y_labels(last + 1)
            .y_label_formatter(&name)
            .draw()?;
        // The best row is at the top, where places are greatest.
        for (place, row) in (spare..).zip(self.rows.iter().rev()) {
            let (colour, middle) = (colour(&row.name), SegmentValue::CenterOf(place));
            if let [bar] = &row.figures[..] {
                let end = if place == last { SegmentValue::Last } else { SegmentValue::Exact(place + 1) };
                let corners = [(start, SegmentValue::Exact(place)), (bar.median, end)];
                let mut rectangle = Rectangle::new(corners, colour.filled());
                rectangle.set_margin(5, 5, 0, 0);
                chart.draw_series([rectangle])?;
                let whisker = ErrorBar::new_horizontal(middle.clone(), bar.min, bar.median, bar.max, INK.filled(), 8);
                chart.draw_series([whisker])?;
            } else {
                let marks = || row.figures.iter().map(|mark| (mark.median, middle.clone()));
                chart.draw_series([PathElement::new(marks().collect::<Vec<_>>(), colour.stroke_width(2))])?;
                chart.draw_series(marks().take(1).map(|at| Circle::new(at, 5, colour.filled())))?;
                chart.draw_series(marks().skip(1).take(1).map(|at| TriangleMarker::new(at, 7, colour.filled())))?;
                chart.draw_series(marks().skip(2).map(|at| Cross::new(at, 5, colour.stroke_width(2))))?;
            }
            let end = row.figures.iter().map(|mark| mark.max).fold(start, f64::max);
            let style = ("sans-serif", TEXT).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
            chart.draw_series([EmptyElement::at((end, middle)) + Text::new(self.label(row), (8, 0), style)])?;
        }
        for (what, figure) in &self.lines {
            let ends = [(figure.median, SegmentValue::Exact(0)), (figure.median, SegmentValue::Last)];
            let text = format!("{what}: {}", label(*figure, self.unit));
            let line = chart.draw_series([PathElement::new(ends, INK.stroke_width(2))])?;
            line.label(text).legend(|(x, y)| PathElement::new([(x + 8, y - 6), (x + 8, y + 6)], INK.stroke_width(2)));
        }
        if !self.lines.is_empty() {
            legend(&mut chart, SeriesLabelPosition::LowerRight)?;
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

/// Lines over the same things.
pub(super) struct Lines {
    pub(super) title: String,
    /// What grows, how its values are written, and of which number round values are powers.
    pub(super) axis: String,
    pub(super) name: fn(f64) -> String,
    pub(super) base: f64,
    /// What is shown, with its unit.
    pub(super) unit: &'static str,
    pub(super) series: Vec<Series>,
}

/// One server's.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, Figure)>,
}

impl Chart for Lines {
    fn height(&self) -> u32 {
        340
    }

    fn draw(&self, area: &Area<'_>) -> Result<()> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let (low, high) = ends(points().map(|(_, figure)| figure));
        let up = 10f64.powf(low.log10().floor())..10f64.powf(high.log10().ceil());
        let (least, most) = points().fold((f64::MAX, 0.0_f64), |(least, most), (x, _)| (least.min(*x), most.max(*x)));
        // To the right there is room for the names.
        let room = most * (most / least).powf(0.55);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, TITLE)
            .margin_right(12)
            .x_label_area_size(50)
            .y_label_area_size(70)
            .build_cartesian_2d((least * 0.9..room).log_scale().base(self.base), up.log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(FAINT)
            .label_style(("sans-serif", TEXT))
            .x_desc(&self.axis)
            .y_desc(self.unit)
            .x_label_formatter(&|x| if *x > most * 1.1 { String::new() } else { (self.name)(*x) })
            .y_label_formatter(&|y| short(*y))
            .draw()?;
        // Carillon last: above all others.
        for series in self.series.iter().rev() {
            let colour = colour(&series.name);
            let width = if series.name == CARILLON { 3 } else { 2 };
            let points = series.points.iter().map(|(x, figure)| (*x, figure.median));
            let last = series.points.last().map_or_else(String::new, |(_, last)| label(*last, self.unit));
            let line = LineSeries::new(points, colour.filled().stroke_width(width)).point_size(4);
            let text = format!("{}: {last}", series.name);
            let legend = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(width));
            chart.draw_series(line)?.label(text).legend(legend);
            let whisker = |(x, figure): &(f64, Figure)| {
                ErrorBar::new_vertical(*x, figure.min, figure.median, figure.max, colour, 6)
            };
            chart.draw_series(series.points.iter().map(whisker))?;
        }
        legend(&mut chart, SeriesLabelPosition::UpperRight)
    }
}

fn legend<'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, C>,
    place: SeriesLabelPosition,
) -> Result<()> {
    let style = ("sans-serif", TEXT);
    Ok(chart.configure_series_labels().position(place).background_style(WHITE.mix(0.8)).label_font(style).draw()?)
}

fn colour(name: &str) -> RGBColor {
    match name {
        CARILLON => BLUE,
        name if is_floor(name) => INK,
        "socketioxide" => ORANGE,
        _ => GREY,
    }
}

/// The least and the greatest of what is shown.
fn ends<'a>(figures: impl Iterator<Item = &'a Figure>) -> (f64, f64) {
    let values = figures.flat_map(|figure| [figure.median, figure.max]).filter(|value| *value > 0.0);
    let (low, high) = values.fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    if low > high { (1.0, 10.0) } else { (low, high) }
}

/// A figure with its unit, short, and marked when it is doubtful.
fn label(value: Figure, unit: &str) -> String {
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
fn short(value: f64) -> String {
    let plain = |value: f64| {
        let text = number(value);
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    match value {
        1e9.. => format!("{} G", plain(value / 1e9)),
        1e6.. => format!("{} M", plain(value / 1e6)),
        1e3.. => format!("{} k", plain(value / 1e3)),
        _ => plain(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(label(Figure { median: 33.1e6, min: 20e6, max: 34e6 }, "/s"), "~33.1 M/s");
        assert_eq!(label(Figure { median: 0.5, min: 0.5, max: 0.5 }, "µs"), "0.500 µs");
        assert_eq!([0.1, 20.0, 1_500.0, 33_000_000.0].map(short), ["0.1", "20", "1.5 k", "33 M"]);
    }
}
