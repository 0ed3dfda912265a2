//! The ten commonest mistakes of a plugin's author do not compile, and what the compiler says stays readable.

#[test]
fn the_commonest_mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/compile/*.rs");
}
