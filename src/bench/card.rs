//! `segc bench --on cuda`: the workloads on a card, in every precision that was asked for, beside PyTorch on the same card and beside what
//! the card reaches at most.

use std::collections::BTreeMap;
use std::path::Path;

use segc_runtime::execute::Ceiling;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::table::{self, Row};
use super::workload::{CEILING, Workload};
use super::{Measured, child, peer, steps};
use crate::cli::{Bench, PrecisionName};
use crate::commands::compare::write;
use crate::console::{self, Exit};

/// What a large product of matrices and a large copy reach.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Reached {
    flop_per_second: f64,
    bytes_per_second: f64,
}

/// Of segc's kernels and of PyTorch's.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ceilings {
    ours: Reached,
    peer: Option<Reached>,
}

impl Reached {
    /// Errors: what was not measured.
    fn of(measured: &Measured) -> Result<Reached, String> {
        if let Some(why) = &measured.error {
            return Err(why.clone());
        }
        let case = |name: &str| measured.cases.iter().find(|case| case.name == name).ok_or(format!("no {name} was measured"));
        let (product, copy) = (case("product")?, case("copy")?);
        Ok(Reached { flop_per_second: 1e3 * product.flop / product.ms, bytes_per_second: 1e3 * copy.bytes / copy.ms })
    }
}

impl Ceilings {
    /// The higher of both.
    fn best(&self) -> Ceiling {
        let most = |of: fn(&Reached) -> f64| self.peer.as_ref().map_or(0.0, of).max(of(&self.ours));
        Ceiling { flop_per_second: most(|one| one.flop_per_second), bytes_per_second: most(|one| one.bytes_per_second) }
    }
}

/// How one precision is measured.
struct Side<'a> {
    args: &'a Bench,
    peer: Option<&'a str>,
    precision: PrecisionName,
}

/// Measures and prints. A workload that fails is told and the rest is measured; the exit code is then that of a failing device.
pub fn bench(args: &Bench, wanted: &[&Workload], peer: Option<&str>, card: &str) -> Exit {
    let mut known = args.ceilings.as_deref().map_or_else(BTreeMap::new, read);
    let (mut rows, mut failed) = (Vec::new(), false);
    for precision in precisions(args) {
        let side = Side { args, peer, precision };
        let ceilings = match known.get(precision.word()).map_or_else(|| side.ceilings(), |known| Ok(*known)) {
            Ok(ceilings) => ceilings,
            Err(why) => {
                console::error(&format!("what the card reaches in {} is not known: {why}", precision.word()));
                return Exit::Environment;
            }
        };
        known.insert(precision.word().to_owned(), ceilings);
        for workload in wanted {
            let row = side.row(workload, ceilings.best());
            failed |= row.failed();
            console::err(&row.line());
            rows.push(row);
        }
    }
    if let Some(Exit::Environment) = args.ceilings.as_deref().map(|file| write(file, &format!("{:#}\n", json!(known)))) {
        return Exit::Environment;
    }
    if args.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        console::out(&format!("{:#}\n", json!({ "card": card, "ceilings": known, "rows": rows })));
    } else {
        console::out(&format!("{card}\n{}\n{}", told(&known), table::rows(&rows)));
    }
    if failed { Exit::Environment } else { Exit::Done }
}

fn precisions(args: &Bench) -> Vec<PrecisionName> {
    if args.precision.is_empty() { vec![PrecisionName::F32] } else { args.precision.clone() }
}

/// Ceilings of an earlier measurement, as far as they can be read.
fn read(file: &Path) -> BTreeMap<String, Ceilings> {
    std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn told(known: &BTreeMap<String, Ceilings>) -> String {
    let one = |(precision, ceilings): (&String, &Ceilings)| {
        let rates = |one: &Reached| format!("{:.1} TFLOP/s, {:.0} GB/s", one.flop_per_second / 1e12, one.bytes_per_second / 1e9);
        let peer = ceilings.peer.as_ref().map_or(String::new(), |peer| format!("; PyTorch {}", rates(peer)));
        format!("a large product and a large copy in {precision}: segc {}{peer}\n", rates(&ceilings.ours))
    };
    known.iter().map(one).collect()
}

impl Side<'_> {
    fn words(&self) -> Vec<String> {
        let sets = self.args.sets.iter().flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]);
        ["--on", "cuda", "--precision", self.precision.word()].map(String::from).into_iter().chain(sets).collect()
    }

    fn ours(&self, workload: &Workload) -> Result<Measured, String> {
        child(workload, steps(workload, self.args).1, self.args.threads.count(), &[], &self.words())
    }

    fn theirs(&self, interpreter: &str, workload: &Workload, compiled: bool) -> Result<Measured, String> {
        let mode = compiled.then(|| self.args.mode.as_deref().unwrap_or("reduce-overhead"));
        let card = Some(self.precision.word());
        peer::run(interpreter, workload.name, steps(workload, self.args), self.args.threads.count(), mode, card)
    }

    fn ceilings(&self) -> Result<Ceilings, String> {
        let ours = Reached::of(&self.ours(&CEILING)?)?;
        let peer = self.peer.map(|peer| Reached::of(&self.theirs(peer, &CEILING, false)?));
        Ok(Ceilings { ours, peer: peer.transpose()? })
    }

    /// In turns: segc, PyTorch, PyTorch compiled, and again, until one fails.
    fn row(&self, workload: &Workload, ceiling: Ceiling) -> Row {
        let mut row = Row::new(workload, ceiling).in_precision(self.precision.word());
        let or_error =
            |measured: Result<Measured, String>| measured.unwrap_or_else(|why| Measured { error: Some(why), ..Measured::default() });
        for _ in 0..self.args.repeats.get() {
            row.ours.push(or_error(self.ours(workload)));
            if let Some(peer) = self.peer {
                row.eager.push(or_error(self.theirs(peer, workload, false)));
                if self.args.compiled {
                    row.compiled.push(or_error(self.theirs(peer, workload, true)));
                }
            }
            if row.failed() {
                break;
            }
        }
        row
    }
}
