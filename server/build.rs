//! Lets cargo see when `make web` has built the test page, so that the next build takes it in.

fn main() {
    println!("cargo::rerun-if-changed=web/dist");
}
