//! Takes values out of files of their own, as Docker, Kubernetes and systemd hand out passwords.
use crate::loader::Slot;
use crate::node::Kind;
use crate::path::Path;
use crate::{Problem, Problems, Source, given};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;

/// The largest file that is read: keys and passwords are far smaller.
const MAX_BYTES: u64 = 64 * 1024;

/// What is added to the key of a secret for the key that names its file.
const SUFFIX: &str = "_file";

/// Adds to the schema of a section, for each of its secrets, the key that names a file with it.
pub(crate) fn add_file_keys(properties: &mut serde_json::Map<String, Value>) {
    let is_secret = |property: &Value| property.get("writeOnly").and_then(Value::as_bool).unwrap_or_default();
    let secrets: Vec<_> =
        properties.iter().filter(|(_, property)| is_secret(property)).map(|(key, _)| key.clone()).collect();
    for key in secrets {
        properties.entry(format!("{key}{SUFFIX}")).or_insert_with(|| {
            json!({
                "type": ["string", "null"],
                "description": format!("A file that holds `{key}`, read at the start. A line end at its end does not count."),
                "examples": [format!("/run/secrets/{key}")],
            })
        });
    }
}

/// Puts what the named files hold in the place of the keys that name them.
pub(crate) fn read_named(slot: &mut Slot, problems: &mut Problems) {
    for (key, view) in slot.schema.view().properties().into_iter().flatten().filter(|(_, view)| view.secret()) {
        let Some(node) = slot.tree.remove_at(&Path::default().key(&format!("{key}{SUFFIX}"))) else { continue };
        let path = slot.section.steps().key(&format!("{key}{SUFFIX}")).to_string();
        let mut problem = |message: String, hint: &str| {
            problems.push(Problem {
                path: path.clone(),
                message,
                hint: Some(hint.to_owned()),
                source: node.source.clone(),
            });
        };
        let Kind::Leaf(Value::String(file)) = &node.kind else {
            problem("expected text, the name of a file".to_owned(), "for example `/run/secrets/password`");
            continue;
        };
        let set = slot.tree.get(key).map(|node| &node.source).filter(|source| **source != Source::Default);
        match set.map(|set| set.order().0.cmp(&node.source.order().0)) {
            // What is said later, as on the command line, counts.
            Some(std::cmp::Ordering::Greater) => {}
            Some(std::cmp::Ordering::Equal) => {
                problem(format!("`{key}` is set as well"), "leave one of the two out");
            }
            Some(std::cmp::Ordering::Less) | None => match secret_in_file(file) {
                Ok(text) => slot.tree.set(key, given::read(view, &text, &node.source)),
                Err(message) => {
                    problem(message, "the user who runs the server must be able to read it");
                    slot.lacks = true;
                }
            },
        }
    }
}

/// The text a file holds, for a setting of any kind, or a key: without the line end at its end.
///
/// # Errors
/// That it cannot be read, has more than 64 KiB, or is no text.
pub fn secret_in_file(path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {path}: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("{path} is larger than {MAX_BYTES} bytes"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8 text"))?;
    for end in ['\n', '\r'] {
        if text.ends_with(end) {
            text.pop();
        }
    }
    Ok(text)
}

/// The keys of the setting whose value is in the file that a variable names: `CARILLON_BUS__PASSWORD__FILE`.
pub(crate) fn setting_of(keys: &[String]) -> Option<&[String]> {
    keys.split_last().filter(|(last, _)| *last == "file").map(|(_, keys)| keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line end goes, everything else of a password stays.
    #[test]
    fn a_line_end_is_no_part_of_a_secret() {
        let file = std::env::temp_dir().join(format!("carillon-secret-{}", std::process::id()));
        let name = file.to_str().unwrap();
        for (content, expected) in [("pw\n", "pw"), ("pw\r\n", "pw"), (" p w\n\n", " p w\n"), ("", "")] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(secret_in_file(name).unwrap(), expected);
        }
        std::fs::write(&file, [0xff]).unwrap();
        assert!(secret_in_file(name).unwrap_err().ends_with("is not UTF-8 text"));
        std::fs::remove_file(&file).unwrap();
        assert!(secret_in_file(name).unwrap_err().starts_with("cannot read "));
    }
}
