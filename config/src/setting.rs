//! Lists the settings of a section with their types, defaults and meanings.
use crate::node::{Kind, Node};
use crate::path::{Path, is_bare};
use crate::schema::View;
use crate::{Section, env, text, words};

/// One setting, as the reference manual lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The whole key, as in `server.listen`. `rows[].event` is a key of each entry of a list, `table.<name>` an entry
    /// of a table whose keys the configuration chooses.
    pub key: String,
    /// What it accepts, as in "a whole number from 1 to 64".
    pub accepts: String,
    /// The default as TOML writes it; nothing when the setting is unset by default.
    pub default: Option<String>,
    /// The environment variable that sets it; nothing inside lists and tables of the configuration's own making.
    pub variable: Option<String>,
    /// Its doc comment.
    pub doc: String,
}

/// How deep tables in tables are listed.
const DEPTH: usize = 6;

/// The settings of a section: in the order its type declares them, the loader's own first.
pub(crate) fn list(section: &Section) -> Vec<Setting> {
    let (schema, defaults) = (section.schema(), section.defaults().ok());
    let mut lister = Lister { settings: Vec::new(), path: section.steps() };
    lister.fields(schema.view(), defaults.as_ref(), &Place::default(), DEPTH);
    lister.settings
}

/// The fields of a struct in the order of its default value, then those that value leaves out.
pub(crate) fn fields<'a>(view: View<'a>, defaults: Option<&'a Node>) -> Vec<(&'a str, View<'a>, Option<&'a Node>)> {
    let table = defaults.and_then(Node::table).unwrap_or_default();
    let known = table.iter().filter_map(|(key, node)| Some((key.as_str(), view.entry(key)?, Some(node))));
    let properties = view.properties().into_iter().flatten();
    let mut others: Vec<_> = properties
        .filter(|(key, _)| !table.iter().any(|(name, _)| name == key))
        .map(|(key, view)| (key, view, None))
        .collect();
    others.sort_by_key(|(key, ..)| *key);
    known.chain(others).collect()
}

/// Where a setting stands below its section: in words, and as a path as long as it has one.
#[derive(Default, Clone)]
struct Place {
    words: String,
    path: Option<Path>,
}

struct Lister {
    settings: Vec<Setting>,
    path: Path,
}

impl Lister {
    fn fields(&mut self, view: View<'_>, defaults: Option<&Node>, place: &Place, depth: usize) {
        let top = place.words.is_empty();
        for (key, view, default) in fields(view, defaults) {
            let path = if top { Some(Path::default()) } else { place.path.clone() };
            let key = if is_bare(key) { key.to_owned() } else { text::key(key) };
            let place = Place { words: format!("{}.{key}", place.words), path: path.map(|path| path.key(&key)) };
            self.setting(view, default, &place, depth);
        }
    }

    fn setting(&mut self, view: View<'_>, default: Option<&Node>, place: &Place, depth: usize) {
        let is_struct = view.properties().is_some();
        let set = default.filter(|node| !matches!(&node.kind, Kind::Leaf(value) if value.is_null()));
        // A struct that is there by default is only the sum of its fields.
        if !(is_struct && set.is_some()) {
            self.settings.push(Setting {
                key: format!("{}{}", self.path, place.words),
                accepts: words::describe(view),
                default: set.map(text::node_toml),
                variable: place.path.as_ref().and_then(|path| env::variable(&self.path.join(path))),
                doc: view.doc().to_owned(),
            });
        }
        if depth == 0 {
            return;
        }
        if is_struct {
            self.fields(view, set, place, depth - 1);
        } else if let Some((entry, suffix)) =
            view.items().map(|items| (items, "[]")).or_else(|| view.values().map(|values| (values, ".<name>")))
        {
            let place = Place { words: format!("{}{suffix}", place.words), path: None };
            // Entries that are no tables are described by their list already.
            if entry.properties().is_some() {
                self.fields(entry, None, &place, depth - 1);
            }
        }
    }
}
