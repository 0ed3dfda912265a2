//! Carillon's settings: where they come from, what is wrong with them, and what they mean.
//!
//! A [`Section`] describes one table of the configuration by its type: a struct with defaults, doc comments and
//! limits. A [`Loader`] lays flags over environment variables over a TOML file over the defaults, and returns either
//! valid settings with their sources ([`Loaded`]) or all [`Problems`] of all sections at once. Variables of another
//! program may stand in for what none of these set ([`Alias`]).
//!
//! The house's own sections are [`house_sections`]; those of the plugins stand under `[plugins.<name>]` and are passed
//! in by whoever knows the plugins. This package knows none.
mod alias;
mod default_toml;
mod env;
mod explain;
mod file;
mod given;
mod json_schema;
mod layers;
mod limits;
mod loaded;
mod loader;
mod network;
mod node;
mod path;
mod problem;
mod prose;
mod reference;
mod schema;
mod secret;
mod section;
mod setting;
mod settings;
mod source;
mod suggest;
mod text;
mod validate;
mod words;

pub use alias::{Alias, ReadAlias};
pub use default_toml::default_toml;
pub use json_schema::json_schema;
pub use loaded::Loaded;
pub use loader::Loader;
pub use network::Network;
pub use problem::{Problem, Problems};
pub use reference::reference_markdown;
pub use secret::secret_in_file;
pub use section::{Config, NoConfig, Section};
pub use setting::Setting;
pub use settings::{
    AdminSettings, AlgorithmName, ApiKeySettings, AuthMode, AuthSettings, BusSettings, ClusterSettings, DrainSettings,
    EngineName, EventLimitSettings, JournalSettings, LimitSettings, ListenAddress, LogFormat, LogSettings, Rate,
    RouterSettings, ServerSettings, TlsFiles, TlsSettings, TokenKeySettings, TransportName, WireSettings, all_sections,
    digest, house_sections,
};
pub use source::{Position, Source};
pub use suggest::{closest, hint};
