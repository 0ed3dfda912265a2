//! Reads the configuration file, remembering the line of every value.
use crate::node::{Kind, Node};
use crate::path::{Path, Step};
use crate::{Position, Problem, Problems, Source};
use serde_json::Value;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

/// The largest file that is read; a configuration is far smaller, a device or a wrong file may have no end.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How many syntax errors are worth showing: later ones are mostly consequences.
const SYNTAX_ERRORS: usize = 10;

/// Reads the file into a table; or says what is wrong and returns nothing.
pub(crate) fn read(path: &FilePath, problems: &mut Problems) -> Option<Node> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err((message, hint, at)) => {
            let source = Source::File { path: path.to_owned(), at };
            problems.push(Problem { path: String::new(), message, hint: Some(hint), source });
            return None;
        }
    };
    let origin = Origin::File { path, lines: Lines::new(&text) };
    parse(&text, &origin, problems)
}

/// The text of the file, or message, hint and place of what is wrong with it.
fn read_text(path: &FilePath) -> Result<String, (String, String, Option<Position>)> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "check the name of the file; without one the defaults are used",
            std::io::ErrorKind::PermissionDenied => "let the user who runs the server read it",
            _ => "name a TOML file",
        };
        return Err((format!("cannot read the configuration file: {error}"), hint.to_owned(), None));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err((
            format!("the configuration file is larger than {MAX_BYTES} bytes"),
            "is it the right file?".to_owned(),
            None,
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        let at = Lines::new(&before).position(&before, valid);
        ("the configuration file is not UTF-8 text".to_owned(), "save it as UTF-8".to_owned(), Some(at))
    })
}

/// Reads TOML; all syntax errors are reported, and then nothing is returned.
pub(crate) fn parse(text: &str, origin: &Origin<'_>, problems: &mut Problems) -> Option<Node> {
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let sound = errors.is_empty();
    for error in errors.iter().take(SYNTAX_ERRORS) {
        let source = origin.source(text, error.span().unwrap_or_default());
        let hint = "text stands in quotes: `key = \"text\"`; a section starts with `[name]`".to_owned();
        problems.push(Problem {
            path: String::new(),
            message: format!("invalid TOML: {}", error.message()),
            hint: Some(hint),
            source,
        });
    }
    let mut reader = Reader { text, origin, problems };
    sound.then(|| reader.table(table.get_ref(), table.span(), &Path::default()))
}

/// Where the text that is parsed comes from.
pub(crate) enum Origin<'a> {
    File {
        path: &'a FilePath,
        lines: Lines,
    },
    /// A single value, from somewhere that has no lines.
    Value(Source),
}

impl Origin<'_> {
    fn source(&self, text: &str, span: Range<usize>) -> Source {
        match self {
            Self::File { path, lines } => {
                Source::File { path: PathBuf::from(path), at: Some(lines.position(text, span.start)) }
            }
            Self::Value(source) => source.clone(),
        }
    }
}

/// Where the lines of a text start.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    fn position(&self, text: &str, at: usize) -> Position {
        let line = self.0.partition_point(|start| *start <= at);
        let start = self.0[line - 1];
        Position { line, column: text.get(start..at).map_or(0, |before| before.chars().count()) + 1 }
    }
}

/// Turns parsed TOML into our tree.
struct Reader<'a> {
    text: &'a str,
    origin: &'a Origin<'a>,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, span: Range<usize>, path: &Path) -> Node {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().filter_map(|(key, value)| {
            let name = key.get_ref().clone().into_owned();
            let node = self.value(value, key.span(), &path.key(&name))?;
            Some((name, node))
        });
        let entries = entries.collect();
        Node::new(Kind::Table(entries), self.origin.source(self.text, span))
    }

    fn list(&mut self, items: &DeArray<'_>, path: &Path) -> Vec<Node> {
        let nodes = items.iter().enumerate().filter_map(|(index, item)| {
            let node = self.value(item, item.span(), &path.with(Step::Index(index)))?;
            Some(Node { index, ..node })
        });
        nodes.collect()
    }

    /// `place` is what a message points at: the key for an entry of a table, the value itself in a list. What TOML can
    /// say but no setting can hold is reported and left out, so that the default takes its place.
    fn value(&mut self, value: &Spanned<DeValue<'_>>, place: Range<usize>, path: &Path) -> Option<Node> {
        let source = self.origin.source(self.text, place.clone());
        let leaf = match value.get_ref() {
            DeValue::Table(table) => return Some(self.table(table, place, path)),
            DeValue::Array(items) => {
                return Some(Node::new(Kind::List(self.list(items, path)), source));
            }
            DeValue::String(text) => Some(Value::String(text.clone().into_owned())),
            DeValue::Boolean(value) => Some(Value::Bool(*value)),
            DeValue::Datetime(value) => Some(Value::String(value.to_string())),
            DeValue::Integer(value) => integer(value),
            DeValue::Float(value) => {
                value.as_str().parse().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
            }
        };
        if leaf.is_none() {
            let (message, hint) =
                ("the number is too large, or not a number".to_owned(), Some("write an ordinary number".to_owned()));
            self.problems.push(Problem { path: path.to_string(), message, hint, source: source.clone() });
        }
        leaf.map(|leaf| Node::new(Kind::Leaf(leaf), source))
    }
}

fn integer(value: &DeInteger<'_>) -> Option<Value> {
    let (text, radix) = (value.as_str(), value.radix());
    i64::from_str_radix(text, radix)
        .map(Value::from)
        .ok()
        .or_else(|| u64::from_str_radix(text, radix).map(Value::from).ok())
}
