//! Writes the reference manual of the configuration: `docs/reference/config.md`.
use crate::prose;
use crate::{Section, Setting};

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the doc comments of the settings. Change those, not this file. -->

Settings come from four places. Flags win over environment variables, those over the file, and the file over the
defaults. `carillon serve -v` prints every setting with its value and where that comes from; `carillon check` tells
everything that is wrong, without starting.

- **File**: TOML, named with `--config`. `carillon config default` prints one with all the defaults. A list, or a table
  whose keys you choose yourself, replaces the default whole.
- **Environment**: `CARILLON_`, the section, `__`, the key. Lists may be separated by commas; everything but text is
  written as in the file. A variable that names no setting is an error, except those that Kubernetes sets for a service
  called `carillon` (`CARILLON_SERVICE_HOST`, `CARILLON_PORT_8085_TCP`, ..).
- **Flags**: see `carillon serve --help`.

A plugin that is switched off (`enabled = false`) still has its keys and types checked; its rules about how settings
fit together are not applied.
";

/// A manual page with a table for each section: key, type, default, environment variable, meaning.
pub fn reference_markdown(sections: &[Section]) -> String {
    let mut out = INTRODUCTION.to_owned();
    for section in sections {
        out.push_str(&format!("\n## `[{}]`\n", section.path()));
        for paragraph in prose::paragraphs(&section.doc()) {
            out.push_str(&format!("\n{paragraph}\n"));
        }
        let settings = section.settings();
        if settings.is_empty() {
            out.push_str("\nNothing to set.\n");
            continue;
        }
        out.push_str("\n| Key | Type | Default | Environment variable | Meaning |\n|---|---|---|---|---|\n");
        for setting in settings {
            out.push_str(&row(section, &setting));
        }
    }
    out
}

fn row(section: &Section, setting: &Setting) -> String {
    let prefix = format!("{}.", section.path());
    let key = setting.key.strip_prefix(&prefix).unwrap_or(&setting.key);
    let default = setting.default.as_deref().map_or_else(|| "unset".to_owned(), code);
    let variable = setting.variable.as_deref().map(code).unwrap_or_default();
    let doc = prose::paragraphs(&setting.doc).join("<br>");
    let cells = [code(key), cell(&setting.accepts), default, variable, cell(&doc)];
    format!("| {} |\n", cells.join(" | "))
}

fn code(text: &str) -> String {
    // A backtick inside needs a longer fence.
    if text.contains('`') { format!("`` {} ``", cell(text)) } else { format!("`{}`", cell(text)) }
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
