//! Finds every mistake in one section: first by its schema, then by its type and that type's own rules.
use crate::explain::Context;
use crate::limits::{self, Mistake};
use crate::node::Node;
use crate::path::{Path, Step};
use crate::schema::Schema;
use crate::section::{ENABLED, OWN, Outcome};
use crate::{Problem, Problems, Section};
use serde_json::Value;

/// How many mistakes are told of one section: nobody reads more.
const MISTAKES: usize = 100;

/// One section while it is checked.
pub(crate) struct Check<'a> {
    pub(crate) section: &'a Section,
    pub(crate) schema: &'a Schema,
    pub(crate) defaults: &'a Node,
    /// Something that was set could not be read: what the section's own rules would say of it is beside the point.
    pub(crate) lacks: bool,
}

impl Check<'_> {
    /// Reports everything wrong with `tree`, and leaves in it only what its type accepts. The loader's own keys
    /// of a plugin's section are taken out of it and returned, because the type does not know them.
    pub(crate) fn run(&self, tree: &mut Node, problems: &mut Problems) -> Vec<(&'static str, Node)> {
        let mut repaired = Repaired::default();
        let sound = self.compare(tree, &mut repaired, problems);
        let own = self.take_own(tree);
        let enabled = own.iter().find(|(key, _)| *key == ENABLED).map(|(_, node)| node);
        // The rules of a plugin that is switched off do not apply: its settings may be incomplete, but not misspelt.
        let rules = sound && !self.lacks && enabled.is_none_or(|node| node.to_value() == Value::Bool(true));
        self.read(tree, rules, &mut repaired, problems);
        own
    }

    /// Compares with the schema. False when nothing can be said about the rest.
    fn compare(&self, tree: &mut Node, repaired: &mut Repaired, problems: &mut Problems) -> bool {
        let mut mistakes = limits::mistakes(self.schema.view(), tree);
        for (path, mistake) in mistakes.iter().take(MISTAKES) {
            let problem = self.explain(tree, |context| context.mistake(path, mistake));
            repaired.report(path, tree, problem, problems);
        }
        let mut sound = mistakes.len() <= MISTAKES;
        if !sound {
            self.too_many(tree, problems);
        }
        // From the back, because taking an entry out of a list moves those behind it.
        while let Some((path, mistake)) = mistakes.pop() {
            sound &= match mistake {
                Mistake::UnknownKey => tree.remove_at(&path).is_some(),
                _ => repair(tree, self.defaults, &path),
            };
        }
        sound
    }

    /// Lets the section's type read what its schema allows, and judge it by its own rules.
    fn read(&self, tree: &mut Node, rules: bool, repaired: &mut Repaired, problems: &mut Problems) {
        for _ in 0..MISTAKES {
            match self.section.read(tree.to_value()) {
                Outcome::Failed(path, message) => {
                    let problem = self.explain(tree, |context| context.refusal(&path, &message));
                    repaired.report(&path, tree, problem, problems);
                    if !repair(tree, self.defaults, &path) {
                        return;
                    }
                }
                Outcome::Checked(objections) => {
                    self.object(tree, objections, rules, repaired, problems);
                    return;
                }
            }
        }
        self.too_many(tree, problems);
        // What is left of it nobody could read.
        *tree = self.defaults.clone();
        self.take_own(tree);
    }

    /// The loader's own keys of a plugin's section, taken out of `tree`.
    fn take_own(&self, tree: &mut Node) -> Vec<(&'static str, Node)> {
        let keys = OWN.iter().filter(|_| self.section.plugin().is_some());
        keys.filter_map(|own| Some((own.key, tree.remove_at(&Path::default().key(own.key))?))).collect()
    }

    /// Reports the objections of the section's own rules.
    fn object(&self, tree: &Node, objections: Problems, rules: bool, repaired: &Repaired, problems: &mut Problems) {
        for objection in objections.into_iter().filter(|_| rules) {
            let path = Path::parse(&objection.path);
            if !repaired.excuse(&path, tree) {
                problems.push(self.explain(tree, |context| context.problem(&path, objection.message, objection.hint)));
            }
        }
    }

    fn too_many(&self, tree: &Node, problems: &mut Problems) {
        let message = format!("there are more than {MISTAKES} mistakes in this section");
        let hint = Some("correct the others first".to_owned());
        problems.push(self.explain(tree, |context| context.problem(&Path::default(), message, hint)));
    }

    fn explain(&self, tree: &Node, problem: impl FnOnce(&Context<'_>) -> Problem) -> Problem {
        let (section, plugin) = (&self.section.steps(), self.section.plugin().is_some());
        problem(&Context { section, view: self.schema.view(), defaults: self.defaults, tree, plugin })
    }
}

/// What was already reported, and no longer is what its writer wrote.
#[derive(Default)]
struct Repaired(Vec<Path>);

impl Repaired {
    /// Reports a mistake, unless it only follows from an earlier one: a list is not "empty" because its one wrong
    /// entry was taken out.
    fn report(&mut self, path: &Path, tree: &Node, problem: Problem, problems: &mut Problems) {
        if !self.excuse(path, tree) {
            problems.push(problem);
            self.0.push(tree.locate(path).0);
        }
    }

    /// True when the value at `path`, or part of it, was repaired. The section as a whole is never excused.
    fn excuse(&self, path: &Path, tree: &Node) -> bool {
        let (shown, _) = tree.locate(path);
        !shown.0.is_empty() && self.0.iter().any(|repaired| repaired.0.starts_with(&shown.0))
    }
}

/// Puts the default in the place of a wrong value, or takes it out where there is none. What cannot be repaired by
/// itself is repaired with what is around it. False when nothing is left to try: the defaults themselves are wrong.
/// Each repair leaves fewer values that are not defaults, so repairing comes to an end.
fn repair(tree: &mut Node, defaults: &Node, path: &Path) -> bool {
    for length in (1..=path.0.len()).rev() {
        let path = Path(path.0[..length].to_vec());
        let Some(wrong) = tree.at(&path).map(Node::to_value) else {
            continue;
        };
        // The entries of a list have no defaults of their own.
        let in_list = path.0.iter().any(|step| matches!(step, Step::Index(_)));
        match defaults.at(&path).filter(|_| !in_list) {
            Some(default) if default.to_value() == wrong => {}
            Some(default) => {
                tree.set_at(&path, default.clone());
                return true;
            }
            None => return tree.remove_at(&path).is_some(),
        }
    }
    false
}
