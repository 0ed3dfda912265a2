//! `[auth]`: keys come from wherever secrets come from, and are never shown.

use carillon_config::{AlgorithmName, AuthSettings, Loader, house_sections};

const SECRET: &str = "a secret that nobody may see: 0123";

/// One key, or a list of them, inline, from a variable, or from a file that either names.
#[test]
fn keys_come_from_everywhere_and_stay_secret() {
    let file = |name: &str, text: &str| {
        let path = std::env::temp_dir().join(format!("carillon-auth-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    };
    let list = format!("[{{ kid = \"a\", algorithm = \"HS256\", key = \"{SECRET}\" }}]");
    let (one, many) = (file("one", &format!("{SECRET}\n")), file("many", &list));
    let (one_name, many_name) = (one.to_str().unwrap(), many.to_str().unwrap());
    for (variable, text) in [
        ("CARILLON_AUTH__KEY", SECRET),
        ("CARILLON_AUTH__KEY_FILE", one_name),
        ("CARILLON_AUTH__KEY__FILE", one_name),
        ("CARILLON_AUTH__KEYS", &list),
        ("CARILLON_AUTH__KEYS_FILE", many_name),
        ("CARILLON_AUTH__KEYS__FILE", many_name),
    ] {
        let loaded =
            Loader::new(house_sections()).env([("CARILLON_AUTH__MODE", "jwt"), (variable, text)]).load().unwrap();
        let auth: AuthSettings = loaded.get("auth");
        let listed = auth.keys.first().map(|key| (key.algorithm, key.key.clone()));
        let (algorithm, key) = listed.unwrap_or((auth.algorithm, auth.key));
        assert_eq!((algorithm, key.as_deref()), (AlgorithmName::HS256, Some(SECRET)), "{variable}");
        let shown: Vec<_> = loaded.sources().map(|(key, value, _)| format!("{key} = {value}")).collect();
        assert!(!shown.iter().any(|line| line.contains("nobody may see")), "{variable}: {shown:?}");
    }
    // A mistake beside a secret does not tell it.
    let list = list.replace("HS256", "none");
    let told = Loader::new(house_sections()).env([("CARILLON_AUTH__KEYS", list)]).load().unwrap_err().to_string();
    assert!(!told.contains("nobody may see") && told.contains("auth.keys"), "{told}");
    [one, many].iter().for_each(|file| std::fs::remove_file(file).unwrap());
}

/// A key that cannot be read is not told as if nobody had set one.
#[test]
fn a_key_that_cannot_be_read_is_one_mistake() {
    let loader = Loader::new(house_sections()).flag("auth.mode", "jwt", "--mode");
    let problems = loader.flag("auth.key_file", "/nonexistent/key", "--key-file").load().unwrap_err().to_string();
    assert_eq!(problems.lines().count(), 1, "{problems}");
    assert!(problems.starts_with("auth.key_file: cannot read /nonexistent/key"), "{problems}");
}
