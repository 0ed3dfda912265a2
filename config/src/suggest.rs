//! Finds the name the writer of a configuration probably meant.
use crate::words::ticked;

/// How many valid names a hint lists before it stops.
const LISTED: usize = 20;

/// The candidate closest to `wrong`, if it is close enough to be a slip: one edit for every three letters.
#[must_use]
pub fn closest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let limit = (wrong.chars().count() / 3).max(1);
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&wrong, &candidate.to_lowercase());
    candidates.into_iter().min_by_key(distance).filter(|best| distance(best) <= limit)
}

/// "did you mean ..?", or the list of valid names, which begins with `what` they are.
#[must_use]
pub fn hint(wrong: &str, what: &str, candidates: &[&str]) -> String {
    if let Some(best) = closest(wrong, candidates.iter().copied()) {
        return format!("did you mean `{best}`?");
    }
    let more = if candidates.len() > LISTED { ", …" } else { "" };
    match candidates {
        [] => format!("there are no {what}"),
        _ => format!("{what}: {}{more}", ticked(candidates.iter().take(LISTED).copied())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slips are recognised, other words are not mistaken for slips.
    #[test]
    fn slips_only() {
        let keys = ["listen", "workers", "ping_interval_ms"];
        for (wrong, best) in [
            ("lisen", Some("listen")),
            ("Workres", Some("workers")),
            ("ping_interval", Some("ping_interval_ms")),
            ("port", None),
        ] {
            assert_eq!(closest(wrong, keys), best, "{wrong}");
        }
        assert_eq!(hint("port", "valid keys", &keys), "valid keys: `listen`, `workers`, `ping_interval_ms`");
    }
}
