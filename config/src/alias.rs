//! Takes settings from variables of another program, which this one stands in for, when nothing of our own sets them.
use crate::loader::Slot;
use crate::path::Path;
use crate::{Problem, Problems, Source, given};
use std::ffi::OsString;

/// Variables of another program that mean one of our settings. They count above the defaults and below everything else.
#[derive(Debug, Clone, Copy)]
pub struct Alias {
    /// The setting, as in `server.listen`. Where no section has it, the alias means nothing.
    pub key: &'static str,
    /// The variables' names. One that is set to an empty text counts as not set.
    pub variables: &'static [&'static str],
    /// Makes the setting's value, as one of our own variables would hold it, from the variables in their order;
    /// nothing when they do not set it. An error says what is wrong, and counts only when nothing else sets it.
    pub read: ReadAlias,
}

/// Makes one setting's value of the texts of some variables.
pub type ReadAlias = fn(&[Option<&str>]) -> Result<Option<String>, String>;

impl Alias {
    /// What the variables set, and which of them are there.
    fn value(&self, env: &[(OsString, OsString)]) -> Option<(Result<String, String>, Source)> {
        let set = |name: &&str| {
            // Of two with the same name the later counts, as it does in a shell.
            let (_, text) = env.iter().rev().find(|(key, _)| key.to_str() == Some(name))?;
            text.to_str().filter(|text| !text.trim().is_empty())
        };
        let texts: Vec<_> = self.variables.iter().map(set).collect();
        let named = self.variables.iter().zip(&texts).filter(|(_, text)| text.is_some()).map(|(name, _)| *name);
        let source = Source::Alias(named.collect::<Vec<_>>().join(", "));
        Some(((self.read)(&texts).transpose()?, source))
    }
}

/// Lays what `aliases` set over the defaults. What they could not make sense of is returned, for [`complain`].
pub(crate) fn merge(slots: &mut [Slot], aliases: &[Alias], env: &[(OsString, OsString)]) -> Vec<Problem> {
    let mut mistakes = Vec::new();
    for alias in aliases {
        let path = Path::parse(alias.key);
        let Some((value, source)) = alias.value(env) else { continue };
        let Some((slot, below)) = find(slots, &path) else { continue };
        match (value, slot.schema.view().at(&below)) {
            (Ok(text), Some(view)) => {
                let node = given::read(view, &text, &source);
                slot.tree.set_at(&below, node);
            }
            (Err(message), Some(_)) => {
                let hint = Some(format!("correct it, or set `{}` instead", alias.key));
                mistakes.push(Problem { path: alias.key.to_owned(), message, hint, source });
            }
            (_, None) => {}
        }
    }
    mistakes
}

/// Reports the mistakes whose settings nothing else sets.
pub(crate) fn complain(slots: &mut [Slot], mistakes: Vec<Problem>, problems: &mut Problems) {
    for mistake in mistakes {
        let path = Path::parse(&mistake.path);
        let set = find(slots, &path).and_then(|(slot, below)| slot.tree.at(&below).map(|node| node.source.clone()));
        if set == Some(Source::Default) {
            problems.push(mistake);
        }
    }
}

/// The section a setting is in, and its place there.
fn find<'a>(slots: &'a mut [Slot], path: &Path) -> Option<(&'a mut Slot, Path)> {
    slots.iter_mut().find_map(|slot| {
        let below = Path(path.0.strip_prefix(&slot.section.steps().0[..])?.to_vec());
        (!below.0.is_empty()).then_some((slot, below))
    })
}
