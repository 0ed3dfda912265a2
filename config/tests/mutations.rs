//! Whatever a configuration says is borne: the fuzz target of `server/fuzz`, over its corpus and 100,000 mutations of it.
#![expect(unreachable_pub, reason = "the fuzz targets, a crate of its own, use these files too")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a file that cannot be read or written is a failed test")]

#[path = "../../server/fuzz/src/configuration.rs"]
mod configuration;
#[path = "../../server/fuzz/src/mutate.rs"]
mod mutate;

#[test]
fn configuration() {
    mutate::run("configuration", configuration::check);
}
