//! Holds the settings as a tree in which every value remembers where it came from.
use crate::Source;
use crate::path::{Path, Step};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// A table's entries in their order: the order of the type for defaults, of the text for a file.
pub(crate) type Table = Vec<(String, Node)>;

/// A value and its source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) source: Source,
    /// Its index in the list it was written in, which stays when the loader takes a wrong neighbour out.
    pub(crate) index: usize,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Text, a number, true or false, or nothing.
    Leaf(Value),
    List(Vec<Node>),
    Table(Table),
}

impl Node {
    /// A single value from the defaults.
    pub(crate) fn default_leaf(value: Value) -> Self {
        Self::new(Kind::Leaf(value), Source::Default)
    }

    /// A node that is no list entry.
    pub(crate) fn new(kind: Kind, source: Source) -> Self {
        Self { kind, source, index: 0 }
    }

    /// A list, its entries numbered.
    pub(crate) fn list(mut nodes: Vec<Self>, source: Source) -> Self {
        for (index, node) in nodes.iter_mut().enumerate() {
            node.index = index;
        }
        Self::new(Kind::List(nodes), source)
    }

    /// Reads JSON text, keeping the order of the keys.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The value without its sources.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Leaf(value) => value.clone(),
            Kind::List(nodes) => Value::Array(nodes.iter().map(Self::to_value).collect()),
            Kind::Table(table) => {
                Value::Object(table.iter().map(|(key, node)| (key.clone(), node.to_value())).collect())
            }
        }
    }

    /// The entries, if this is a table.
    pub(crate) fn table(&self) -> Option<&[(String, Self)]> {
        if let Kind::Table(table) = &self.kind { Some(table) } else { None }
    }

    /// The entries to change, if this is a table.
    pub(crate) fn table_mut(&mut self) -> Option<&mut Table> {
        if let Kind::Table(table) = &mut self.kind { Some(table) } else { None }
    }

    /// One entry of a table.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.table()?.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Sets one entry of a table; anything else becomes a table first.
    pub(crate) fn set(&mut self, key: &str, value: Self) {
        let Some(table) = self.table_mut() else {
            *self = Self::new(Kind::Table(vec![(key.to_owned(), value.clone())]), value.source);
            return;
        };
        match table.iter_mut().find(|(name, _)| name == key) {
            Some((_, node)) => *node = value,
            None => table.push((key.to_owned(), value)),
        }
    }

    fn step(&self, step: &Step) -> Option<&Self> {
        match (&self.kind, step) {
            (Kind::List(nodes), Step::Index(index)) => nodes.get(*index),
            (Kind::Table(_), Step::Key(key)) => self.get(key),
            _ => None,
        }
    }

    fn step_mut(&mut self, step: &Step) -> Option<&mut Self> {
        match (&mut self.kind, step) {
            (Kind::List(nodes), Step::Index(index)) => nodes.get_mut(*index),
            (Kind::Table(table), Step::Key(key)) => {
                table.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The node at `path`, if there is one.
    pub(crate) fn at(&self, path: &Path) -> Option<&Self> {
        path.0.iter().try_fold(self, Self::step)
    }

    /// The same, to change it.
    pub(crate) fn at_mut(&mut self, path: &Path) -> Option<&mut Self> {
        path.0.iter().try_fold(self, Self::step_mut)
    }

    /// Sets the value at `path`, making the tables on the way.
    pub(crate) fn set_at(&mut self, path: &Path, value: Self) {
        let Some((first, rest)) = path.0.split_first() else {
            *self = value;
            return;
        };
        let Step::Key(key) = first else { return };
        let rest = Path(rest.to_vec());
        if let Some(child) = self.step_mut(first) {
            child.set_at(&rest, value);
        } else {
            let mut child = Self::new(Kind::Table(Vec::new()), value.source.clone());
            child.set_at(&rest, value);
            self.set(key, child);
        }
    }

    /// Takes the value at `path` out of its table or list.
    pub(crate) fn remove_at(&mut self, path: &Path) -> Option<Self> {
        let (last, parent) = path.0.split_last()?;
        match (&mut self.at_mut(&Path(parent.to_vec()))?.kind, last) {
            (Kind::List(nodes), Step::Index(index)) if *index < nodes.len() => Some(nodes.remove(*index)),
            (Kind::Table(table), Step::Key(key)) => {
                let at = table.iter().position(|(name, _)| name == key)?;
                Some(table.remove(at).1)
            }
            _ => None,
        }
    }

    /// What the reader of a message should see for `path`: list entries by the number they were written at, and the
    /// source of the value, or of the nearest thing around it.
    pub(crate) fn locate(&self, path: &Path) -> (Path, Source) {
        let mut shown = Path::default();
        let mut node = Some(self);
        let mut source = &self.source;
        for step in &path.0 {
            node = node.and_then(|node| node.step(step));
            if let Some(node) = node {
                source = &node.source;
            }
            shown.0.push(match (step, node) {
                (Step::Index(_), Some(node)) => Step::Index(node.index),
                _ => step.clone(),
            });
        }
        (shown, source.clone())
    }
}

/// Reads defaults: every node's source is [`Source::Default`].
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::default_leaf(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::default_leaf(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::default_leaf(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::default_leaf(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::default_leaf(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::default_leaf(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element()? {
            nodes.push(node);
        }
        Ok(Node::list(nodes, Source::Default))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = map.next_entry()? {
            table.push(entry);
        }
        Ok(Node::new(Kind::Table(table), Source::Default))
    }
}
