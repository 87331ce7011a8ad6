//! `segc bench`: whole training steps and single kernels, beside PyTorch on the same machine, in turns.

mod card;
mod kernels;
mod peer;
mod scaling;
mod solving;
mod table;
mod workload;

use std::num::NonZeroUsize;
use std::process::{Command, Stdio};

use segc_runtime::execute::{Ceiling, ceiling};
use segc_runtime::session::On;
use serde::{Deserialize, Serialize};

use crate::cli::{Bench, Machine};
use crate::commands::run::device;
use crate::compiled::misused;
use crate::console::{self, Exit};
use table::Row;
use workload::{CEILING, WORKLOADS, Workload};

/// What one measurement of a workload says, in segc or in a peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Milliseconds of a step, or of all cases together.
    #[serde(default)]
    pub ms: f64,
    /// The parts of a workload that has several.
    #[serde(default)]
    pub cases: Vec<Case>,
    /// The peak of the process's memory, MB.
    #[serde(default)]
    pub mb: f64,
    /// The peak of what tensors take on the card, MB, where the peer says it.
    #[serde(default)]
    pub device_mb: Option<f64>,
    /// From the beginning to the end of the first step.
    #[serde(default)]
    pub first_ms: f64,
    /// Of it, compilation.
    #[serde(default)]
    pub compile_ms: f64,
    /// Operations and bytes of a step.
    #[serde(default)]
    pub flop: f64,
    #[serde(default)]
    pub bytes: f64,
    /// Why nothing was measured.
    #[serde(default)]
    pub error: Option<String>,
}

/// A part of a workload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Case {
    pub name: String,
    pub ms: f64,
    #[serde(default)]
    pub flop: f64,
    #[serde(default)]
    pub bytes: f64,
}

/// Runs it.
pub fn bench(args: &Bench) -> Exit {
    if let Some(name) = &args.alone {
        return alone(args, name);
    }
    let wanted: Vec<&Workload> =
        WORKLOADS.iter().filter(|w| args.workloads.is_empty() || args.workloads.iter().any(|name| name == w.name)).collect();
    if let Some(unknown) = args.workloads.iter().find(|name| !WORKLOADS.iter().any(|w| w.name == **name)) {
        let names: Vec<&str> = WORKLOADS.iter().map(|w| w.name).collect();
        return misused(&format!("there is no workload `{unknown}`; there are {}", names.join(", ")));
    }
    let threads = args.threads.count();
    if let Some(page) = &args.scaling {
        return scaling::measure(args, threads, page);
    }
    let peer = match peer::interpreter(args.peer) {
        Ok(peer) => peer,
        Err(why) => {
            console::err(&why);
            None
        }
    };
    match computing(args) {
        Err(exit) => return exit,
        Ok((On::Cuda(_), card)) => return card::bench(args, &wanted, peer.as_deref(), &card),
        Ok((_, told)) if !told.is_empty() => console::err(&told),
        Ok(_) => {}
    }
    let ceiling = ceiling(threads);
    let mut rows = Vec::new();
    for workload in wanted {
        match measure(workload, args, threads, peer.as_deref(), ceiling) {
            Ok(row) => {
                if !args.json {
                    console::err(&row.line());
                }
                rows.push(row);
            }
            Err(why) => {
                console::error(&format!("{}: {why}", workload.name));
                return Exit::Environment;
            }
        }
    }
    console::out(&if args.json { table::json(&rows) } else { table::text(&rows, ceiling, threads) });
    Exit::Done
}

/// What computes, and what is said of it. Errors: a card that is not there, or something that is no matter of speed.
fn computing(args: &Bench) -> Result<(On, String), Exit> {
    let machine =
        Machine { threads: args.threads, on: args.on, portable: false, precision: args.precision.first().copied(), no_libs: false };
    match device(&machine)? {
        own @ (On::Cpu | On::Cuda(_), _) => Ok(own),
        _ => Err(misused("what is measured is the processor or a card: give --on cpu or --on cuda")),
    }
}

/// Measures in turns: segc, PyTorch, PyTorch compiled, and again.
fn measure(workload: &Workload, args: &Bench, threads: usize, peer: Option<&str>, ceiling: Ceiling) -> Result<Row, String> {
    let mut row = Row::new(workload, ceiling);
    for _ in 0..args.repeats.get() {
        let steps = steps(workload, args);
        row.ours.push(child(workload, steps.1, threads, &[], &[])?);
        if let Some(peer) = peer {
            row.eager.push(peer::run(peer, workload.name, steps, threads, None, None)?);
            if args.compiled {
                let mode = args.mode.as_deref().or(Some("default"));
                row.compiled.push(peer::run(peer, workload.name, steps, threads, mode, None)?);
            }
        }
    }
    Ok(row)
}

/// Steps to warm up and steps to time.
fn steps(workload: &Workload, args: &Bench) -> (usize, usize) {
    (workload.steps.0, args.steps.map_or(workload.steps.1, NonZeroUsize::get))
}

/// One measurement in a process of its own, so that its memory is its own. `more`: words that say what computes.
fn child(workload: &Workload, steps: usize, threads: usize, sets: &[(&str, usize)], more: &[String]) -> Result<Measured, String> {
    let program = std::env::current_exe().map_err(|cause| format!("this program is not found: {cause}"))?;
    let words = ["bench", "--alone", workload.name, "--steps", &steps.to_string(), "--threads", &threads.to_string()].map(String::from);
    let sets = sets.iter().flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]);
    let output = Command::new(program).args(words).args(more).args(sets).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let measured = answer(&output.map_err(|cause| format!("segc cannot be started: {cause}"))?.stdout)?;
    measured.error.clone().map_or(Ok(measured), Err)
}

/// The last line of what a process said.
fn answer(bytes: &[u8]) -> Result<Measured, String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.trim().lines().last().ok_or("the process said nothing")?;
    serde_json::from_str(line).map_err(|cause| format!("the process said no JSON ({cause}): {line}"))
}

/// Measures one workload here and prints it.
fn alone(args: &Bench, name: &str) -> Exit {
    let Some(workload) = WORKLOADS.iter().chain([&CEILING]).find(|workload| workload.name == name) else {
        return misused(&format!("there is no workload `{name}`"));
    };
    let on = match computing(args) {
        Ok((on, _)) => on,
        Err(exit) => return exit,
    };
    let (measured, exit) = match workload.measure(steps(workload, args), on, args.threads.count(), &args.sets) {
        Ok(measured) => (measured, Exit::Done),
        Err(why) => (Measured { error: Some(why), ..Measured::default() }, Exit::Environment),
    };
    console::out(&format!("{}\n", serde_json::to_string(&measured).unwrap_or_default()));
    exit
}
