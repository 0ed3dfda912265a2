//! Writes the JSON schema of the configuration, for editors: `config/schema.json`.
use crate::Section;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

/// The schema of the whole configuration (draft 2020-12): an object with all sections, the plugins' under `plugins`.
pub fn json_schema(sections: &[Section]) -> Value {
    // One generator for all, so that two types of one name in two plugins get two definitions.
    let mut generator = SchemaGenerator::default();
    let mut houses = Map::new();
    let mut plugins = Map::new();
    for section in sections {
        let schema = section.schema_in(&mut generator);
        match section.plugin() {
            Some(name) => plugins.insert(name.to_owned(), schema),
            None => houses.insert(section.path().to_owned(), schema),
        };
    }
    houses.insert(
        "plugins".to_owned(),
        json!({
            "description": "The plugins' own sections.",
            "type": "object",
            "additionalProperties": false,
            "properties": plugins,
        }),
    );
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Carillon's settings",
        "type": "object",
        "additionalProperties": false,
        "properties": houses,
        "$defs": generator.take_definitions(true),
    });
    // One order, however serde_json was built.
    schema.sort_all_objects();
    schema
}
