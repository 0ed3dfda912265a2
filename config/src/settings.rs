//! The house's own sections: `[server]`, `[admin]`, `[router]`, `[wire]`, `[drain]`, `[bus]`, `[cluster]`, `[log]`, `[auth]`,
//! `[limits]`, `[journal]`.
mod admin;
mod auth;
mod bus;
mod cluster;
mod drain;
mod journal;
mod limits;
mod listen;
mod log;
mod router;
mod server;
mod tls;
mod wire;

pub use admin::AdminSettings;
pub use auth::{AlgorithmName, ApiKeySettings, AuthMode, AuthSettings, TokenKeySettings, digest};
pub use bus::BusSettings;
pub use cluster::ClusterSettings;
pub use drain::DrainSettings;
pub use journal::JournalSettings;
pub use limits::{EventLimitSettings, LimitSettings, Rate};
pub use listen::ListenAddress;
pub use log::{LogFormat, LogSettings};
pub use router::RouterSettings;
pub use server::{EngineName, ServerSettings, TransportName};
pub use tls::{TlsFiles, TlsSettings};
pub use wire::WireSettings;

use crate::Section;

/// The house's own sections, in the order they are documented. The plugins' sections follow them.
pub fn house_sections() -> Vec<Section> {
    vec![
        Section::of("server", ServerSettings::check),
        Section::of("admin", AdminSettings::check),
        Section::of("router", RouterSettings::check),
        Section::of("wire", WireSettings::check),
        Section::of("drain", DrainSettings::check),
        Section::of("bus", BusSettings::check),
        Section::of("cluster", ClusterSettings::check),
        Section::of("log", LogSettings::check),
        Section::of("auth", AuthSettings::check),
        Section::of("limits", LimitSettings::check),
        Section::of("journal", JournalSettings::check),
    ]
}

/// Everything that can be configured: the house's own sections, then those of the plugins.
pub fn all_sections(plugins: impl IntoIterator<Item = Section>) -> Vec<Section> {
    house_sections().into_iter().chain(plugins).collect()
}
