//! A series of `/metrics`, looked up by its name and labels; what was never registered is a mistake of the test.

use std::collections::BTreeMap;

use crate::metrics::{Described, Metrics};

/// How many names are shown to whoever asked for one that does not exist.
const SIMILAR: usize = 5;

/// What a histogram's samples have behind its name.
const SAMPLES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The value of `series`; 0 while nothing was counted in it.
///
/// # Errors
/// When there is no such metric, or it has other labels: says which there are.
pub(super) fn value(metrics: &Metrics, series: &str) -> Result<f64, String> {
    let (name, labels) =
        parts(series).ok_or_else(|| format!("{series:?} is no series: write name{{label=\"value\"}}"))?;
    let described = metrics.described();
    let (family, sample) = family(&described, name).ok_or_else(|| {
        format!(
            "there is no metric {name:?}; similar ones are {}. Series of the server, such as those of connections and HTTP \
             requests, exist only there",
            similar(&described, name).join(", ")
        )
    })?;
    let extra = (sample == "_bucket").then_some("le");
    let mut wanted: Vec<&str> = family.labels.iter().map(String::as_str).chain(extra).collect();
    wanted.sort_unstable();
    if !labels.keys().copied().eq(wanted.iter().copied()) {
        let told = if wanted.is_empty() { "none".to_owned() } else { wanted.join(", ") };
        return Err(format!("{series:?}: the labels of {name} are: {told}"));
    }
    let text = metrics.render().map_err(|error| format!("metrics: {error}"))?;
    let mut lines = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' '));
    let line = lines.find(|(shown, _)| parts(shown).is_some_and(|(found, with)| found == name && with == labels));
    Ok(line.and_then(|(_, value)| value.parse().ok()).unwrap_or(0.0))
}

/// The metric that has samples of this name, and what stands behind its own.
fn family<'a, 'b>(described: &'a [Described], name: &'b str) -> Option<(&'a Described, &'b str)> {
    let find = |wanted: &str, histogram: bool| {
        described.iter().find(|one| one.name == wanted && (one.kind == "histogram") == histogram)
    };
    find(name, false).map(|found| (found, "")).or_else(|| {
        let (sample, base) =
            SAMPLES.iter().find_map(|end| Some((&name[name.len() - end.len()..], name.strip_suffix(end)?)))?;
        find(base, true).map(|found| (found, sample))
    })
}

/// The names most like `name`, the most alike first.
fn similar<'a>(described: &'a [Described], name: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = described.iter().map(|one| one.name.as_str()).collect();
    names.sort_by_key(|known| strsim::damerau_levenshtein(known, name));
    names.truncate(SIMILAR);
    names
}

/// The name and the labels of `name{label="value",..}`. A value's escapes stay as they are.
fn parts(series: &str) -> Option<(&str, BTreeMap<&str, &str>)> {
    let Some((name, rest)) = series.split_once('{') else { return Some((series, BTreeMap::new())) };
    let mut rest = rest.strip_suffix('}')?;
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, quoted) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = quoted.find(|c| {
            let is_end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        })?;
        labels.insert(label.trim(), &quoted[..end]);
        rest = quoted[end + 1..].trim_start_matches(',');
    }
    Some((name, labels))
}
