//! What becomes of figures: a table for people, JSON with every raw round for programs, a bar while they are made; and
//! from the JSON of a suite the tables, plots and page that anybody may make again.

use std::fs;
use std::path::Path;

pub(crate) mod document;
mod page;
mod plots;
pub(crate) mod progress;
mod ratios;
pub(crate) mod row;
pub(crate) mod stats;
mod story;
pub(crate) mod table;

use self::story::Story;
use crate::Result;
use crate::cli::Report;

/// Writes tables and plots beside the JSON of a suite, and the page of the documentation when asked for.
pub(crate) fn run(options: &Report) -> Result<()> {
    let docs = options.docs.as_deref();
    let file = options.suite.clone().map_or_else(|| story::newest(docs), Ok)?;
    let story = Story::read(&file)?;
    let sections = page::sections(&story);
    let text = page::text(&sections);
    table::print(&text);
    // The page's own JSON has its plots in place, and needs no table.
    let of_page = docs.is_some_and(|docs| file == docs.join("benchmarks/suite.json"));
    if !of_page {
        let stem = file.with_extension("");
        document::save(&stem.with_extension("txt"), text.as_bytes())?;
        write_plots(&story, &stem)?;
        table::print(format!("from {}", file.display()));
        table::print(format!("to   {} and the plots in {}", stem.with_extension("txt").display(), stem.display()));
    }
    if let Some(docs) = docs {
        let folder = docs.join("benchmarks");
        write_plots(&story, &folder)?;
        document::save(&folder.join("suite.json"), &serde_json::to_vec_pretty(&story.suite)?)?;
        let page = docs.join("benchmarks.md");
        let before = fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
        document::save(&page, page::fill(&before, &sections)?.as_bytes())?;
        table::print(format!("and  {} and the plots in {}", page.display(), folder.display()));
    }
    Ok(())
}

fn write_plots(story: &Story, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (name, svg) in plots::all(story)? {
        document::save(&folder.join(name), svg.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
