//! The generated reference files say what the code says. `UPDATE=1` writes them, as `make docs` does.

use std::path::Path;

#[test]
fn the_reference_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let update = std::env::var_os("UPDATE").is_some();
    let mut stale = Vec::new();
    for file in carillon_server::reference::files().unwrap() {
        let path = root.join(file.path);
        if update {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &file.text).unwrap();
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&file.text) {
            stale.push(file.path);
        }
    }
    assert!(stale.is_empty(), "run `make docs` and commit: {stale:?}");
}
