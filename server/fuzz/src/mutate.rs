//! For the tests of the crates whose decoders are fuzzed: a corpus, and random mutations of it, always the same ones.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const MUTATIONS: usize = 100_000;
/// So many threads share them, each with random numbers of its own.
const THREADS: usize = 4;
/// Bytes that mean something to one decoder or another.
const TELLING: &[u8] = b"\0\x01\x7d\x7e\x7f\x80\x81\x82\x88\xff\x1e\n\"\\[]{},:-/=.#0123456b";

/// Holds `check` to every file of the corpus of this target, and to random mutations of them.
pub fn run(target: &str, check: impl Fn(&[u8]) + Sync) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/fuzz/corpus").join(target);
    let mut corpus: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    corpus.sort();
    assert!(corpus.len() > 5, "{} has a corpus", folder.display());
    let corpus: Vec<_> = corpus.into_iter().map(|(_, data)| data).collect();
    let hold = |data: &[u8]| {
        let held = catch_unwind(AssertUnwindSafe(|| check(data)));
        assert!(held.is_ok(), "{target} fails on \"{}\"", data.escape_ascii());
    };
    corpus.iter().for_each(|data| hold(data));
    std::thread::scope(|scope| {
        for seed in 1..=THREADS {
            let (hold, corpus) = (&hold, &corpus);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed as u64);
                for _ in 0..MUTATIONS / THREADS {
                    let mut data = random.choice(corpus).unwrap().clone();
                    for _ in 0..random.usize(1..4) {
                        mutate(&mut data, corpus, &mut random);
                    }
                    hold(&data);
                }
            });
        }
    });
}

fn mutate(data: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut fastrand::Rng) {
    let at = random.usize(..=data.len());
    let end = random.usize(at..=data.len().min(at + 16));
    let telling = random.choice(TELLING).copied().unwrap();
    match random.u8(..8) {
        0 if at < data.len() => data[at] ^= 1 << random.u8(..8),
        1 if at < data.len() => data[at] = telling,
        2 => data.insert(at, telling),
        3 => data.insert(at, random.u8(..)),
        4 => drop(data.drain(at..end)),
        5 => data.truncate(at),
        6 => {
            let piece = data[at..end].to_vec();
            let to = random.usize(..=data.len());
            data.splice(to..to, piece);
        }
        _ => {
            let other = random.choice(corpus).unwrap();
            let from = random.usize(..=other.len());
            data.splice(at.., other[from..].iter().copied());
        }
    }
}
