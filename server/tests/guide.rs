//! Every block of Rust in the README and the guide is an excerpt of the files in `guide/`, which are compiled, formatted
//! and run like all others; every `Cargo.toml` in them names what there is.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

extern crate self as acme_plugins;

#[path = "guide/bell.rs"]
mod bell;
#[path = "guide/chat.rs"]
mod chat;
#[path = "guide/desk.rs"]
mod desk;
#[path = "guide/door.rs"]
mod door;
#[path = "guide/greeter.rs"]
mod greeter;
#[path = "guide/news.rs"]
mod news;
#[path = "guide/pictures.rs"]
mod pictures;
#[expect(unused_imports, reason = "here the library is this very test")]
#[path = "guide/program.rs"]
mod program;
#[path = "guide/table.rs"]
mod table;

use std::fs;
use std::path::Path;

/// The pages whose blocks are looked at.
const PAGES: [&str; 2] = ["README.md", "docs/plugin-guide.md"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The blocks of `language` on a page, each with the line it begins at.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut found = Vec::new();
    let mut open: Option<(bool, usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info == language, index + 1, String::new())),
            (None, None) => {}
            (Some(_), Some(_)) => {
                let (wanted, at, block) = open.take().unwrap();
                found.extend(wanted.then_some((at, block)));
            }
            (Some((_, _, block)), None) => *block += &format!("{line}\n"),
        }
    }
    assert!(open.is_none(), "{page}: a block has no end");
    found
}

/// The lines of a text without the indentation they share.
fn dedented(lines: &[&str]) -> Vec<String> {
    let indents = lines.iter().filter(|line| !line.is_empty()).map(|line| line.len() - line.trim_start().len());
    let shared = indents.min().unwrap_or(0);
    lines.iter().map(|line| line.get(shared..).unwrap_or_default().to_owned()).collect()
}

fn stands_in(piece: &[&str], source: &str) -> bool {
    let lines: Vec<&str> = source.lines().collect();
    let wanted = dedented(piece);
    lines.windows(piece.len()).any(|window| dedented(window) == wanted)
}

#[test]
fn every_block_of_rust_is_compiled_formatted_and_run() {
    let examples: Vec<String> = fs::read_dir(root().join("server/tests/guide"))
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let mut strangers = Vec::new();
    let mut seen = 0;
    for page in PAGES {
        for (at, block) in blocks(page, "rust") {
            seen += 1;
            for piece in block.trim_matches('\n').split("\n\n") {
                let lines: Vec<&str> = piece.lines().collect();
                if !examples.iter().any(|source| stands_in(&lines, source)) {
                    strangers.push(format!("{page}:{at}: stands in no file of server/tests/guide:\n{piece}"));
                }
            }
        }
    }
    assert!(strangers.is_empty(), "{}", strangers.join("\n\n"));
    assert!(seen > 10, "{seen} blocks found");
}

/// The file to copy stands in the guide as a whole, before all pieces.
#[test]
fn the_first_listing_is_a_whole_plugin() {
    let (_, first) = blocks("docs/plugin-guide.md", "rust").into_iter().next().unwrap();
    assert_eq!(first, fs::read_to_string(root().join("server/tests/guide/bell.rs")).unwrap());
}

#[test]
fn no_block_of_rust_hides_behind_another_name() {
    for page in PAGES {
        for language in ["rs", "rust,ignore", "rust,no_run", ""] {
            assert_eq!(blocks(page, language), [], "{page}: a block is {language:?}");
        }
    }
}

/// Plugins and the program in one package, as the guide says it can be: the fixture is that, built and run by the tests.
#[test]
fn a_package_with_plugins_and_a_main_of_its_own_stands_there() {
    let main = fs::read_to_string(root().join("server/tests/fixture/src/main.rs")).unwrap();
    assert!(main.contains("mod tiny;") && main.contains("carillon_server::main!()") && !main.contains("use "));
    let tiny = fs::read_to_string(root().join("server/tests/fixture/src/tiny.rs")).unwrap();
    assert!(tiny.contains("plugin!("));
    let told = fs::read_to_string(root().join("docs/plugin-guide.md")).unwrap();
    assert!(told.contains("one package") && told.contains("`server/tests/fixture`"));
}

/// Every hook of a plugin stands in the guide's table, with the signature of the trait.
#[test]
fn the_guide_tells_the_signature_of_every_hook() {
    let source = fs::read_to_string(root().join("core/src/plugin.rs")).unwrap();
    let guide = fs::read_to_string(root().join("docs/plugin-guide.md")).unwrap();
    let hooks = source.split("pub trait Plugin").nth(1).unwrap();
    let mut seen = 0;
    for line in hooks.lines().filter_map(|line| line.strip_prefix("    fn ")) {
        seen += 1;
        let signature = line.trim_end_matches([';', ' ', '{', '}']).replace(": &Self::Config", ": &Config");
        let signature = signature.replace(": Self::Config", ": Config").replace("(_", "(").replace(" _", " ");
        let told = match signature.split_once(" -> impl Future<Output = ") {
            Some((front, answer)) => match answer.trim_end_matches(" + Send").strip_suffix('>').unwrap() {
                "()" => format!("async fn {front}"),
                answer => format!("async fn {front} -> {answer}"),
            },
            None => format!("fn {signature}"),
        };
        let name = line.split('(').next().unwrap();
        assert!(guide.contains(&format!("| `{name}` | `{told}` |")), "{told}");
    }
    assert_eq!(seen, 9);
}

/// What the harness and its clients can do stands in the guide's table, with what each needs and gives.
#[test]
fn the_guide_tells_of_every_method_of_a_test_client() {
    methods("core/src/testing/client.rs", "client", &["call", "call_raw"]);
    methods("core/src/testing.rs", "harness", &[]);
}

/// The row of every method of a source in the guide's table; `changing` need a `mut`.
fn methods(source: &str, name_of_self: &str, changing: &[&str]) {
    let source = fs::read_to_string(root().join(source)).unwrap();
    let guide = fs::read_to_string(root().join("docs/plugin-guide.md")).unwrap();
    let tests = guide.split("\n## Tests\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut seen = 0;
    for start in source.split("\nimpl Payload").next().unwrap().split("    pub ").skip(1) {
        // Up to its body.
        let signature = start.split(" {\n").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let (is_async, rest) = match signature.strip_prefix("async fn ") {
            Some(rest) => (true, rest),
            None => (false, signature.strip_prefix("fn ").unwrap_or_default()),
        };
        let Some((name, _)) = rest.split_once('(').filter(|_| rest.contains("self")) else { continue };
        seen += 1;
        let call = format!("`{name_of_self}.{name}(");
        let row = tests.lines().find(|row| row.starts_with('|') && row.contains(&call));
        let row = row.unwrap_or_else(|| panic!("{call}..) is not in the guide's table"));
        let told = row.split(&call).nth(1).and_then(|row| row.split('`').next()).unwrap();
        let awaited = is_async || signature.contains("impl Future");
        assert_eq!(awaited, told.ends_with(".await"), "{name}: .await");
        assert_eq!(signature.contains("&mut self"), changing.contains(&name), "{name}: told to need `mut`");
        let given = rest.rsplit_once(" -> ").map_or("", |(_, given)| given);
        let given =
            given.strip_prefix("impl Future<Output = ").and_then(|given| given.strip_suffix('>')).unwrap_or(given);
        let given = if given.is_empty() || given == "()" { "-" } else { given };
        assert_eq!(row.split(" | ").nth(1).unwrap().trim_matches('`'), given, "{name}: what it gives");
    }
    assert!(seen > 5, "{seen} methods found");
}

/// The `Cargo.toml`s of the guide: the versions are the workspace's, the features exist.
#[test]
fn every_cargo_toml_names_what_there_is() {
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let core: toml::Table = fs::read_to_string(root().join("core/Cargo.toml")).unwrap().parse().unwrap();
    let ours = &workspace["workspace"]["dependencies"];
    let version = |entry: &toml::Value| entry.as_str().or_else(|| entry.get("version")?.as_str()).map(str::to_owned);
    let mut seen = 0;
    for (at, block) in blocks("docs/plugin-guide.md", "toml") {
        let table: toml::Table = block.parse().unwrap_or_else(|error| panic!("guide:{at}: {error}"));
        let sections = ["dependencies", "dev-dependencies"].iter().filter_map(|name| table.get(*name)?.as_table());
        for (name, entry) in sections.flatten().filter(|(name, _)| !name.starts_with("acme")) {
            seen += 1;
            let known = ours.get(name).unwrap_or_else(|| panic!("guide:{at}: {name} is not the workspace's"));
            match version(entry) {
                Some(told) => assert_eq!(Some(told), version(known), "guide:{at}: {name}"),
                None => assert!(root().join(name.trim_start_matches("carillon-")).is_dir(), "guide:{at}: {name}"),
            }
            if name == "carillon-core" {
                let features = entry.get("features").and_then(toml::Value::as_array).into_iter().flatten();
                features.for_each(|feature| assert!(core["features"].get(feature.as_str().unwrap()).is_some()));
            }
        }
    }
    assert!(seen >= 6, "{seen} dependencies found");
}
