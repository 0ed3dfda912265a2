//! Finds every mistake in one section: it takes each wrong value out, puts the default in, and reads on.
use crate::explain::Context;
use crate::node::Node;
use crate::path::{Path, Step};
use crate::schema::Schema;
use crate::section::Outcome;
use crate::{Problem, Problems, Section, limits};

/// How many mistakes are looked for in one section: nobody reads more, and each costs a new reading.
const MISTAKES: usize = 100;

/// One section while it is checked.
pub(crate) struct Check<'a> {
    pub(crate) section: &'a Section,
    pub(crate) schema: &'a Schema,
    pub(crate) defaults: &'a Node,
    /// Whether the section's own rules apply. They do not to a plugin that is switched off: its settings may be
    /// incomplete, but not misspelt.
    pub(crate) rules: bool,
}

impl Check<'_> {
    /// Reports everything wrong with `tree`, and leaves in it only what its type accepts.
    pub(crate) fn run(&self, tree: &mut Node, problems: &mut Problems) {
        let mut repaired = Repaired::default();
        for _ in 0..MISTAKES {
            match self.section.read(tree.to_value()) {
                Outcome::Failed(path, message) => {
                    let problem = self.explain(tree, |context| context.refusal(&path, &message));
                    repaired.report(&path, tree, problem, problems);
                    if !repair(tree, self.defaults, &path) {
                        return;
                    }
                }
                Outcome::Ignored(paths) => {
                    for path in paths {
                        let problem = self.explain(tree, |context| context.unknown_key(&path, &self.keys(&path)));
                        repaired.report(&path, tree, problem, problems);
                        tree.remove_at(&path);
                    }
                }
                Outcome::Checked(objections) => {
                    let mut broken = limits::broken(self.schema.view(), tree);
                    if broken.is_empty() {
                        self.object(tree, objections, &repaired, problems);
                        return;
                    }
                    let mut stuck = false;
                    for (path, message) in &broken {
                        let problem = self.explain(tree, |context| context.limit(path, message.clone()));
                        repaired.report(path, tree, problem, problems);
                    }
                    // From the back, because taking an entry out of a list moves those behind it.
                    while let Some((path, _)) = broken.pop() {
                        stuck |= !repair(tree, self.defaults, &path);
                    }
                    if stuck {
                        return;
                    }
                }
            }
        }
        let message = format!("there are more than {MISTAKES} mistakes in this section");
        problems.push(self.explain(tree, |context| {
            context.problem(&Path::default(), message, Some("correct the others first".to_owned()))
        }));
    }

    /// Reports the objections of the section's own rules.
    fn object(&self, tree: &Node, objections: Problems, repaired: &Repaired, problems: &mut Problems) {
        for objection in objections.into_iter().filter(|_| self.rules) {
            let path = Path::parse(&objection.path);
            if !repaired.excuse(&path, tree) {
                problems.push(self.explain(tree, |context| context.problem(&path, objection.message, objection.hint)));
            }
        }
    }

    fn explain(&self, tree: &Node, problem: impl FnOnce(&Context<'_>) -> Problem) -> Problem {
        let (section, plugin) = (&self.section.steps(), self.section.plugin().is_some());
        problem(&Context { section, view: self.schema.view(), defaults: self.defaults, tree, plugin })
    }

    /// The keys that stand beside `path`.
    fn keys(&self, path: &Path) -> Vec<&str> {
        let parent = Path(path.0.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default());
        let properties = self.schema.view().at(&parent).and_then(|view| view.properties());
        properties.into_iter().flatten().map(|(key, _)| key).collect()
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
