//! The page at `/docs`: what this server is, which namespaces it serves, and where to go from here, in French or English.
//!
//! `make web` builds the frame that all pages have; a server compiled without it has the plain page.

use std::fmt::Write;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::asset::{self, Find};
use super::{PAGES, guarded, html, plain};
use crate::http::is_operators;

/// Where the built frame takes what is served in, and how it says its language.
const PLACE: &str = "<!-- served -->";
const LANGUAGE: &str = "<html lang=\"fr\">";

/// What is served, for the page to list.
pub(crate) struct Served<'a> {
    /// The name of this program.
    pub(crate) program: &'a str,
    pub(crate) namespaces: Vec<&'a str>,
    /// The plugins' routes, `{name}` and all, each with its sentence.
    pub(crate) routes: Vec<(&'a str, &'a str)>,
    /// What operators read is not here.
    pub(crate) apart: bool,
}

/// The texts of the page in one language.
struct Texts {
    language: &'static str,
    title: &'static str,
    intro: &'static str,
    namespaces: &'static str,
    none: &'static str,
    links: &'static str,
    /// Instead of the links to the pages, where they were not built.
    unbuilt: &'static str,
    links_to: [(&'static str, &'static str); 9],
    routes: &'static str,
    docs: &'static str,
    docs_are: &'static str,
    other: (&'static str, &'static str),
}

const FRENCH: Texts = Texts {
    language: "fr",
    title: "Carillon",
    intro: "Un routeur d'événements pour Socket.IO. Les clients se connectent à cette adresse.",
    namespaces: "Namespaces",
    none: "Aucun : aucun plugin n'est actif.",
    links: "Liens",
    unbuilt: "ce serveur a été compilé sans ses pages : `make web`, puis recompiler",
    links_to: [
        ("/", "tableau de bord"),
        ("/plugins", "chaque namespace, ses événements et ses schémas, à essayer"),
        ("/websocket-test", "page de test"),
        ("/readyz", "état du serveur, composant par composant"),
        ("/livez", "le processus répond"),
        ("/metrics", "mesures pour Prometheus"),
        ("/api/failures", "les dernières pannes, par l'identifiant que le client a reçu"),
        ("/types.d.ts", "les événements en types TypeScript"),
        ("/asyncapi.json", "les événements en document AsyncAPI"),
    ],
    routes: "Routes HTTP des plugins",
    docs: "Documentation",
    docs_are: "<code>{program} plugins</code> décrit chaque événement, <code>{program} config default</code> chaque réglage ; \
               le reste est dans README.md et docs/ du code source.",
    other: ("en", "English"),
};

const ENGLISH: Texts = Texts {
    language: "en",
    title: "Carillon",
    intro: "An event router for Socket.IO. Clients connect to this address.",
    namespaces: "Namespaces",
    none: "None: no plugin is enabled.",
    links: "Links",
    unbuilt: super::UNBUILT,
    links_to: [
        ("/", "dashboard"),
        ("/plugins", "every namespace with its events and schemas, to be tried"),
        ("/websocket-test", "test page"),
        ("/readyz", "how the server is, component by component"),
        ("/livez", "the process answers"),
        ("/metrics", "figures for Prometheus"),
        ("/api/failures", "what failed lately, by the id that the client was given"),
        ("/types.d.ts", "the events as types for TypeScript"),
        ("/asyncapi.json", "the events as an AsyncAPI document"),
    ],
    routes: "HTTP routes of the plugins",
    docs: "Documentation",
    docs_are: "<code>{program} plugins</code> describes every event, <code>{program} config default</code> every setting; \
               the rest is in README.md and docs/ of the source code.",
    other: ("fr", "Français"),
};

/// The page, in the language that `?lang=` asks for, else in the browser's.
pub(crate) fn home(served: &Served<'_>, headers: &HeaderMap, query: Option<&str>) -> Response {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|accepted| accepted.to_str().ok());
    let texts = if is_french(query.unwrap_or_default(), accepted.unwrap_or_default()) { &FRENCH } else { &ENGLISH };
    let page = page(asset::embedded, texts, served);
    let mut response = guarded(html(StatusCode::OK, page));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-language"));
    response
}

/// The page in its frame, or by itself.
fn page(find: Find, texts: &Texts, served: &Served<'_>) -> String {
    let Texts { language, title, other: (other, name), .. } = texts;
    let frame = find("docs.html").and_then(|(frame, _)| String::from_utf8(frame.into_owned()).ok());
    // It is built together with the other pages.
    let content = content(texts, served, frame.is_some());
    match frame {
        Some(frame) => frame.replacen(LANGUAGE, &format!("<html lang=\"{language}\">"), 1).replacen(PLACE, &content, 1),
        None => {
            let languages =
                format!("<p><a href=\"?lang={other}\" lang=\"{other}\" hreflang=\"{other}\">{name}</a></p>\n");
            plain(language, title, title, &(content + &languages))
        }
    }
}

/// What the page says.
fn content(texts: &Texts, served: &Served<'_>, built: bool) -> String {
    let mut page = format!("<p>{}</p>\n", texts.intro);
    if !built {
        // Writing to a String cannot fail.
        writeln!(page, "<p><strong>{}</strong></p>", markup(texts.unbuilt)).ok();
    }
    list(&mut page, texts.namespaces, served.namespaces.iter().map(|name| format!("<code>{}</code>", escaped(name))));
    if served.namespaces.is_empty() {
        section(&mut page, texts.namespaces, texts.none);
    }
    list(
        &mut page,
        texts.links,
        texts
            .links_to
            .iter()
            .filter(|(path, _)| !(served.apart && is_operators(path)) && (built || !is_built(path)))
            .map(|(path, what)| format!("<a href=\"{path}\">{path}</a>: {what}")),
    );
    list(&mut page, texts.routes, served.routes.iter().map(|(path, doc)| route(path, doc)));
    section(&mut page, texts.docs, &texts.docs_are.replace("{program}", &escaped(served.program)));
    page
}

/// Whether `path` is one of the pages that `make web` builds.
fn is_built(path: &str) -> bool {
    path == "/" || PAGES.iter().any(|(page, ..)| *page == path)
}

/// A sentence whose `code` is marked as such.
pub(super) fn markup(text: &str) -> String {
    let part = |(at, part): (usize, &str)| if at % 2 == 0 { part.to_owned() } else { format!("<code>{part}</code>") };
    escaped(text).split('`').enumerate().map(part).collect()
}

/// A heading and its list, or nothing where there is nothing to list.
fn list(page: &mut String, heading: &str, entries: impl Iterator<Item = String>) {
    let entries: String = entries.map(|entry| format!("<li>{entry}</li>\n")).collect();
    if !entries.is_empty() {
        // Writing to a String cannot fail.
        write!(page, "<h2>{heading}</h2>\n<ul>\n{entries}</ul>\n").ok();
    }
}

fn section(page: &mut String, heading: &str, text: &str) {
    write!(page, "<h2>{heading}</h2>\n<p>{text}</p>\n").ok();
}

/// A route as a link, unless part of it is to be filled in, with what it answers.
fn route(path: &str, doc: &str) -> String {
    let (text, doc) = (escaped(path), escaped(doc));
    let path =
        if path.contains('{') { format!("<code>{text}</code>") } else { format!("<a href=\"{text}\">{text}</a>") };
    format!("{path}: {doc}")
}

/// Names come from plugins, and may hold any character.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `?lang=` decides; else the first language of the browser's that there is a page in. English for everybody else.
fn is_french(query: &str, accepted: &str) -> bool {
    let asked = query.split('&').find_map(|part| part.strip_prefix("lang="));
    let known = |language: &str| {
        let primary = language.split(['-', ';']).next().unwrap_or_default().trim();
        [("fr", true), ("en", false)]
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(primary))
            .map(|(_, french)| french)
    };
    // Browsers write them in the order of preference.
    asked.and_then(known).or_else(|| accepted.split(',').find_map(known)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page speaks one language: the one asked for, else the browser's, else English.
    #[test]
    fn the_home_page_has_one_language() {
        for (query, accepted, french) in [
            ("", "", false),
            ("", "fr-CA,fr;q=0.9,en;q=0.8", true),
            ("", "en-US,en;q=0.9,fr;q=0.8", false),
            ("", "de-DE, fr;q=0.5", true),
            ("", "fy", false),
            ("lang=fr", "en", true),
            ("x=1&lang=en", "fr", false),
            ("lang=xx", "fr", true),
        ] {
            assert_eq!(is_french(query, accepted), french, "{query:?} {accepted:?}");
        }
    }

    fn unbuilt(_: &str) -> Option<(std::borrow::Cow<'static, [u8]>, [u8; 32])> {
        None
    }

    fn built(path: &str) -> Option<(std::borrow::Cow<'static, [u8]>, [u8; 32])> {
        let frame: &[u8] = b"<html lang=\"fr\"><link rel=\"stylesheet\"><header></header><main><!-- served --></main>";
        ["docs.html", "index.html"].contains(&path).then(|| (frame.into(), [1; 32]))
    }

    /// What is served is listed, links lead somewhere, and no name of a plugin is markup, with the frame and without.
    #[test]
    fn the_home_page_lists_what_is_served() {
        for find in [unbuilt as Find, built] {
            let routes = vec![("/api/x", "All <x>."), ("/api/{id}", "One.")];
            let served = Served { program: "acme", namespaces: vec!["/", "/a<b"], routes, apart: false };
            let text = page(find, &ENGLISH, &served);
            for part in [
                "<html lang=\"en\">",
                "<li><code>/a&lt;b</code></li>",
                "<a href=\"/api/x\">/api/x</a>: All &lt;x&gt;.",
                "<code>/api/{id}</code>: One.",
                "<code>acme plugins</code>",
                "<a href=\"/api/failures\">",
            ] {
                assert!(text.contains(part), "{part} is not in {text}");
            }
            let nothing = page(
                find,
                &FRENCH,
                &Served { program: "acme", namespaces: Vec::new(), routes: Vec::new(), apart: true },
            );
            assert!(nothing.contains("aucun plugin") && !nothing.contains("Routes HTTP"), "{nothing}");
            for path in ["/metrics", "/readyz", "/livez", "/api/failures"] {
                assert!(text.contains(path) && !nothing.contains(path), "{path} is listed where it is served");
            }
        }
        let served = Served { program: "acme", namespaces: vec!["/"], routes: Vec::new(), apart: false };
        for path in ["/", "/plugins", "/websocket-test"] {
            let link = format!("<a href=\"{path}\">");
            assert!(page(built, &ENGLISH, &served).contains(&link), "{path} is there to be opened");
            assert!(!page(unbuilt, &ENGLISH, &served).contains(&link), "{path} was not built");
        }
        for (texts, said) in
            [(&ENGLISH, "run <code>make web</code>, then build again"), (&FRENCH, "<code>make web</code>")]
        {
            assert!(page(unbuilt, texts, &served).contains(said) && !page(built, texts, &served).contains("make web"));
        }
        let framed = page(built, &ENGLISH, &served);
        assert!(framed.contains("<header>") && framed.contains("<main><p>An event router"), "{framed}");
        assert!(page(unbuilt, &ENGLISH, &served).contains("<a href=\"?lang=fr\""), "a way to the other language");
    }
}
