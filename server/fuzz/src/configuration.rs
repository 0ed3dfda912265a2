//! Configuration: a file of any text, and any text as the value of a variable, are settings or say what is wrong.

use std::path::PathBuf;

use carillon_config::{Loader, house_sections};

/// Loads the settings from a file with these bytes, and from variables with this text.
///
/// # Panics
/// When a mistake is not put into words, or the file cannot be written.
pub fn check(data: &[u8]) {
    // In memory where there is such a folder: a disk is slow to forget what a file held.
    let folder = Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir()).unwrap_or_else(std::env::temp_dir);
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let path = folder.join(format!("carillon-fuzz-{process}-{thread:?}.toml"));
    std::fs::write(&path, data).expect("a file for the configuration");
    let text = String::from_utf8_lossy(data);
    let value = Some(text.trim()).filter(|text| !text.contains('\n'));
    // A section costs time; those of which nothing is said keep their defaults anyhow.
    let mut sections = house_sections();
    sections.retain(|section| {
        text.contains(&format!("[{}", section.path())) || value.is_some() && section.path() == "server"
    });
    let mut loader = Loader::new(sections).file(&path);
    if let Some(value) = value {
        loader = loader.env([("CARILLON_SERVER__ORIGINS", value), ("CARILLON_SERVER__WORKERS", value)]);
    }
    let loaded = loader.load();
    std::fs::remove_file(&path).expect("the file is there");
    if let Err(problems) = loaded {
        assert!(!problems.is_empty() && !problems.to_string().is_empty());
    }
}
