//! Whatever a stranger sends is borne: the fuzz targets of `server/fuzz`, over their corpus and 100,000 mutations of it.
#![expect(unreachable_pub, reason = "the fuzz targets, a crate of its own, use these files too")]
#![expect(clippy::unwrap_used, reason = "a corpus that cannot be read is a failed test")]

#[path = "../../server/fuzz/src/cluster_messages.rs"]
mod cluster_messages;
#[path = "../../server/fuzz/src/frames.rs"]
mod frames;
#[path = "../../server/fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../server/fuzz/src/packets.rs"]
mod packets;
#[path = "../../server/fuzz/src/polling_bodies.rs"]
mod polling_bodies;

#[test]
fn frames() {
    mutate::run("frames", frames::check);
}

#[test]
fn polling_bodies() {
    mutate::run("polling_bodies", polling_bodies::check);
}

#[test]
fn packets() {
    mutate::run("packets", packets::check);
}

#[test]
fn cluster_messages() {
    mutate::run("cluster_messages", cluster_messages::check);
}
