//! A small suite becomes tables, plots and a page; and the page of the documentation is what its JSON says.

use std::path::PathBuf;

use super::page::{fill, sections, text};
use super::ratios;
use super::stats::Figure;
use super::story::Story;
use super::{plots, run};
use crate::cli::Report;
use crate::peers::protocol::Mode;

/// A run in miniature with its figures made round: a flood of node's is doubtful, nats has no paced rounds.
const SAMPLE: &[u8] = include_bytes!("sample.json");

fn sample() -> Story {
    Story::parse(SAMPLE).unwrap()
}

/// Medians have three digits wherever they stand, and those whose rounds differ by more than 20 % are marked.
#[test]
fn figures_are_found_in_the_tables() {
    let story = sample();
    let text = text(&sections(&story)).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "carillon 0.0312 6 % 33,100,000 6 % 612",
        "floor, n as Carillon 0.0290 6 %",
        "node ~9.50 41 % 105,000",
        "flood: CPU per delivery, µs",
        "Idle: 5,000 clients",
        "64 KiB",
        "10,000",
        "Slow: 50 of 500 clients",
    ] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
}

/// A ratio is Carillon's figure in terms of the other, and is doubtful when either is.
#[test]
fn ratios_have_both_sides() {
    let all = ratios::all(&sample());
    let of = |what: &str, with: &str| {
        let ratio = all.iter().find(|ratio| ratio.what.contains(what) && ratio.with == with);
        ratio.unwrap_or_else(|| panic!("no {what} beside {with} in {all:#?}")).text()
    };
    assert_eq!(of("flood: CPU", "socketioxide"), "0.0342 x");
    assert_eq!(of("flood: CPU", "node"), "~0.00328 x");
    assert_eq!(of("flood: CPU", "floor, n as Carillon"), "1.08 x");
    assert_eq!(of("paced: CPU", "floor"), "1.04 x");
    assert_eq!(of("idle: memory", "node"), "0.450 x");
    assert_eq!(of("flood, 10,000 clients", "itself with 1,000"), "1.15 x");
    assert_eq!(of("paced, 10,000 clients", "itself with 1,000"), "1.10 x");
    assert_eq!(of("flood of 64 KiB: CPU", "floor, n as Carillon"), "1.10 x");
    assert!(!all.iter().any(|ratio| ratio.what.contains("paced: CPU") && ratio.with == "nats"), "it has none");
}

/// Plots are small, name everybody, label their figures, and mark the doubtful ones.
#[test]
fn plots_say_it_all() {
    let plots = plots::all(&sample()).unwrap();
    let of = |name: &str| &plots.iter().find(|(plot, _)| *plot == name).unwrap().1;
    assert_eq!(plots.len(), 7);
    for (name, svg) in &plots {
        assert!(svg.starts_with("<svg") && svg.len() < 60_000, "{name}: {} bytes", svg.len());
        assert!(svg.contains("carillon"), "{name}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
    for label in ["0.0312 µs", "0.912 µs = 29.2 x Carillon", "~9.50 µs", "floor, one write per message: 4.80 µs"] {
        assert!(of("cpu.svg").contains(label), "{label}");
    }
    assert!(of("throughput.svg").contains("33.1 M/s"));
    assert!(of("payload.svg").contains("64 KiB") && of("clients-cpu.svg").contains("10,000"));
}

/// The hand-written part of a page stays; what is generated is replaced, however often; mistakes are told.
#[test]
fn pages_are_filled() {
    let sections = sections(&sample());
    let page =
        "# Title\n\n<!-- figures: flood -->\nold\n<!-- end -->\n\nProse.\n<!-- figures: machine --><!-- end -->\n";
    let filled = fill(page, &sections).unwrap();
    assert!(filled.starts_with("# Title\n\n<!-- figures: flood -->\n\nFlood: 1,000 clients, 128 B"), "{filled}");
    assert!(filled.contains("| carillon | 0.0312 | 6 % | 33,100,000 |") && filled.contains("\n\nProse.\n"), "{filled}");
    assert!(!filled.contains("old"));
    assert_eq!(fill(&filled, &sections).unwrap(), filled);
    for wrong in ["<!-- figures: nothing --><!-- end -->", "<!-- figures: flood -->", "<!-- figures: flood"] {
        assert!(fill(wrong, &sections).is_err(), "{wrong}");
    }
}

/// One command makes everything from the JSON alone.
#[test]
fn the_command_writes_everything() {
    let docs = std::env::temp_dir().join(format!("carillon-report-{}", std::process::id()));
    std::fs::create_dir_all(docs.join("day")).unwrap();
    let suite = docs.join("day/suite-1.json");
    std::fs::write(&suite, SAMPLE).unwrap();
    std::fs::write(docs.join("benchmarks.md"), "<!-- figures: ratios --><!-- end -->").unwrap();
    run(&Report { suite: Some(suite), docs: Some(docs.clone()) }).unwrap();
    for file in ["day/suite-1.txt", "day/suite-1/cpu.svg", "benchmarks/cpu.svg", "benchmarks/suite.json"] {
        assert!(docs.join(file).exists(), "{file}");
    }
    let page = std::fs::read_to_string(docs.join("benchmarks.md")).unwrap();
    assert!(page.contains("| socketioxide | 0.0342 x |"), "{page}");
    // The copy says the same.
    assert_eq!(text(&sections(&Story::read(&docs.join("benchmarks/suite.json")).unwrap())), text(&sections(&sample())));
    std::fs::remove_dir_all(&docs).unwrap();
}

/// The page and its plots are what the JSON beside them says: nobody has edited a figure, and nobody has forgotten
/// `make bench-page`.
#[test]
fn the_documentation_is_up_to_date() {
    let docs: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "docs"].iter().collect();
    let page = std::fs::read_to_string(docs.join("benchmarks.md")).unwrap();
    let story = Story::read(&docs.join("benchmarks/suite.json")).unwrap();
    assert!(fill(&page, &sections(&story)).unwrap() == page, "run `make bench-page`");
    assert!(!page.contains("Not measured in the run"), "a section finds nothing, or the run was not of the whole set");
    for (name, svg) in plots::all(&story).unwrap() {
        assert!(
            std::fs::read_to_string(docs.join("benchmarks").join(name)).unwrap() == svg,
            "{name}: run `make bench-page`"
        );
        assert!(page.contains(&format!("](benchmarks/{name})")), "{name} is not in the page");
    }
    assert!(story.peers.of(Mode::Flood).count() > 0);
    assert_eq!(Figure::of([1.0, 1.25]).map(Figure::is_doubtful), Some(true));
}
