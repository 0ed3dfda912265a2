//! Plain tables on standard output.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::stats::Figure;

/// A table: its first column is text, all others are figures.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &Vec<String>, at: usize| row.get(at).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|at| self.rows.iter().map(|row| cell(row, at).chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (at, width) in widths.iter().enumerate() {
                let cell = cell(row, at);
                let pad = " ".repeat(width - cell.chars().count());
                let gap = if at == 0 { "" } else { "  " };
                // Writing to a String cannot fail.
                match at {
                    0 => write!(line, "{cell}{pad}").ok(),
                    _ => write!(line, "{gap}{pad}{cell}").ok(),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
            if number == 0 {
                text.push_str(&"-".repeat(line.trim_end().chars().count()));
                text.push('\n');
            }
        }
        text
    }
}

/// Every round's figure, in the order of the rounds.
pub(crate) fn every(values: &[f64]) -> String {
    values.iter().map(|value| number(*value)).collect::<Vec<_>>().join(" ")
}

impl Table {
    /// The table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
            if number == 0 {
                text.push_str(&format!("|---|{}\n", "---:|".repeat(row.len().saturating_sub(1))));
            }
        }
        text
    }
}

/// Writes to standard output. A reader that has gone away is no mistake.
pub(crate) fn print(text: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    if out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n")).is_err() {
        // Nobody reads.
    }
}

/// Names in the order of their first appearance.
pub(crate) fn in_order<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// A number with three significant digits, thousands set apart.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "-".to_owned(),
        0.0 => "0".to_owned(),
        1000.0.. => grouped(value.round() as i64),
        _ => {
            // The exponent after rounding: 9.999 is 10.0, not 10.00.
            let text = format!("{value:.2e}");
            let exponent: i32 = text.rsplit_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
            format!("{value:.*}", usize::try_from(2 - exponent).unwrap_or(0).min(9))
        }
    }
}

/// A number of things, thousands set apart.
pub(crate) fn count(value: usize) -> String {
    grouped(i64::try_from(value).unwrap_or(i64::MAX))
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}

/// A median, marked with `~` when its rounds differ too much to trust it.
pub(crate) fn figure(figure: Option<Figure>) -> String {
    figure.map_or_else(
        || "-".to_owned(),
        |figure| format!("{}{}", if figure.is_doubtful() { "~" } else { "" }, number(figure.median)),
    )
}

/// How far the rounds of a figure differ, in percent.
pub(crate) fn spread(figure: Option<Figure>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{:.0} %", figure.spread() * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["server", "us"]);
        table.row(["a".to_owned(), "1.00".to_owned()]);
        table.row(["longer name".to_owned()]);
        assert_eq!(table.text(), "server         us\n-----------------\na            1.00\nlonger name\n");
    }

    #[test]
    fn numbers_keep_what_matters() {
        let shown = [0.031_24, 0.234_5, 0.0, 9.999, 99.96, 999.6, 12.34, 123.4, 1234.5, 3_512_345.0, -1234.0, f64::NAN]
            .map(number);
        assert_eq!(
            shown,
            ["0.0312", "0.234", "0", "10.0", "100", "1000", "12.3", "123", "1,235", "3,512,345", "-1,234", "-"]
        );
        assert_eq!(in_order(["b", "a", "b"]), ["b", "a"]);
        assert_eq!(figure(None), "-");
        assert_eq!(figure(Figure::of([1.0, 2.0])), "~1.50");
        assert_eq!(spread(Figure::of([1.0, 1.1])), "10 %");
    }
}
