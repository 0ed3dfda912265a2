//! Lays out doc comments for the generated files.
use crate::schema::View;
use crate::setting::fields;
use crate::words;

/// The paragraphs of a doc comment, the line breaks of the source code undone. List items stay lines of their own.
pub(crate) fn paragraphs(doc: &str) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut open = false;
    for line in doc.lines().map(str::trim) {
        let item = line.starts_with("- ") || line.starts_with("* ");
        match paragraphs.last_mut().filter(|_| open && !item && !line.is_empty()) {
            Some(last) => {
                last.push(' ');
                last.push_str(line);
            }
            None if line.is_empty() => {}
            None => paragraphs.push(line.to_owned()),
        }
        open = !line.is_empty();
    }
    paragraphs
}

/// The paragraphs, broken into lines of at most `width` characters where words allow it.
pub(crate) fn wrap(doc: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in paragraphs(doc) {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// What the type adds to the doc comment: limits, the words to choose from, the keys of each entry.
pub(crate) fn details(view: View<'_>) -> String {
    let mut lines = Vec::new();
    let entry = view.items().or_else(|| view.values());
    if let Some(range) = words::stated_range(view) {
        lines.push(range);
    }
    let choices = view.choices().or_else(|| entry.and_then(View::choices));
    for (word, doc) in choices.unwrap_or_default() {
        lines.push(labelled(word, doc));
    }
    for (key, view, _) in entry.map(|entry| fields(entry, None)).unwrap_or_default() {
        lines.push(labelled(key, view.doc()));
    }
    lines.join("\n")
}

fn labelled(word: &str, doc: &str) -> String {
    let doc = paragraphs(doc).join(" ");
    if doc.is_empty() { format!("- `{word}`") } else { format!("- `{word}`: {doc}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source line breaks vanish, paragraphs and list items stay, and no line is too long.
    #[test]
    fn doc_comments_are_laid_out_anew() {
        let doc = "One sentence that\ngoes on.\n\nAnother:\n- first item\n  continued\n- second";
        assert_eq!(paragraphs(doc), ["One sentence that goes on.", "Another:", "- first item continued", "- second"]);
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("", 9), Vec::<String>::new());
    }
}
