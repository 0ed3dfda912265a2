//! The standard set: everything a reader of the figures wants to know, in one run and one JSON.

mod steps;

use self::steps::{Step, everybody, steps};
use super::contest::Contest;
use crate::cli::Suite;
use crate::report::document::{self, Part, Suite as Document};
use crate::report::table;
use crate::{Result, clock};

/// Runs the set and writes its JSON.
pub(crate) fn run(options: &Suite) -> Result<bool> {
    if options.common.target.url.is_some() {
        return Err("a suite sets Carillon beside its peers: measure --target with fanout, idle, slow or ack".into());
    }
    let steps = steps(options);
    let mut contest = Contest::new(&options.common, 0.0)?;
    let present = contest.servers(&options.common, &everybody());
    let expected: f64 = steps.iter().map(|step| step.seconds(&present)).sum();
    contest.expect(expected);
    table::print(format!("suite on {}", contest.machine.line()));
    table::print(format!("{} measurements, about {:.1} minutes", steps.len(), expected / 60.0));
    let start = clock::now();
    let mut parts = Vec::new();
    for (nth, Step { name, what }) in steps.iter().enumerate() {
        let begun = clock::now();
        if let Some(missing) = what.missing() {
            contest.leave_out(name, &missing);
            continue;
        }
        match what.measure(&mut contest) {
            Ok(part) => {
                let seconds = clock::seconds(clock::now() - begun);
                contest.progress.note(&format!("{:>2} of {}: {name}: {seconds:.1} s", nth + 1, steps.len()));
                parts.push(Part { name: name.clone(), seconds, ..part });
            }
            Err(error) => contest.fail(name, &[error.to_string()]),
        }
    }
    contest.progress.finish();
    let seconds = clock::seconds(clock::now() - start);
    let Contest { machine, versions, left_out, failures, options: servers, .. } = contest;
    let well = failures.is_empty();
    let at = machine.at.clone();
    let document = Document {
        bench: "suite".to_owned(),
        machine,
        versions,
        quick: options.quick,
        expected_seconds: expected,
        seconds,
        left_out,
        failures,
        parts,
    };
    let file = document::write(&document, ("suite", &at), &servers.directory)?;
    table::print(format!("{:.1} minutes, {} failures\n{}", seconds / 60.0, document.failures.len(), file.display()));
    Ok(well)
}
