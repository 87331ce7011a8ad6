//! `segc run`: a spec becomes masks, figures and a report.

use std::path::Path;

use segc_lang::fault::Fault;
use segc_lang::format::format;
use segc_lang::params::Overrides;
use segc_runtime::outcome::{Found, Measured, Observer, Outcome, RunError};
use segc_runtime::record::{About, Identity, Opened, Recorder, Table, Text};
use segc_runtime::session::{self, On, Options};

use crate::cli::{DeviceName, Run};
use crate::compiled::{Compiled, compiled, misused, tell};
use crate::console::{self, Exit};
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// So many files that were left out are named on the terminal.
const NAMED: usize = 12;

/// Runs it.
pub fn run(args: &Run) -> Exit {
    attempt(args).unwrap_or_else(|exit| exit)
}

fn attempt(args: &Run) -> Result<Exit, Exit> {
    let (path, variants) = args.spec.split().map_err(|why| misused(&why))?;
    let overrides = Overrides { variants: variants.clone(), sets: args.spec.sets.clone(), ..Overrides::default() };
    let ready = compiled(&path, &overrides, args.quiet)?;
    refuse_pending(&ready)?;
    let threads = args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let about = about(args, &ready, variants, threads);
    let out = args.out.clone().unwrap_or_else(|| about.identity.default_folder(&about.variants));
    let recorder = match Recorder::open(&out, about, args.overwrite).map_err(failed)? {
        Opened::Ready(recorder) => recorder,
        Opened::Complete(summary) => {
            say(args, &format!("{} holds this run, complete; --overwrite does it again\n", out.display()));
            conclude(args, &summary.measured(), &out.join("report.html"));
            return Ok(Exit::Done);
        }
    };
    let interrupt = Interrupt::listen().map_err(|why| failed(RunError::Environment(why)))?;
    let options =
        Options { seed: args.seed, threads, on: on(args.on), fused: !args.no_fuse, check_nan: args.check_nan, done: recorder.done() };
    if !options.done.is_empty() {
        say(args, &format!("continuing {}: {} were done before\n", out.display(), console::count(options.done.len(), "image")));
    }
    let mut watch = Watch { recorder: *recorder, progress: Progress::new(args.quiet), interrupt };
    let result = session::run(&ready.spec, &options, &mut watch);
    let speed = watch.progress.finish();
    match result {
        Ok(outcome) => {
            say(args, &format!("{speed}\n"));
            end(args, watch.recorder, &outcome)
        }
        Err(error) => {
            let lost = watch.recorder.abandon();
            let exit = failed_in(error, &ready);
            lost.map_err(failed)?;
            Err(exit)
        }
    }
}

/// Records and shows a run while it goes on.
struct Watch {
    recorder: Recorder,
    progress: Progress,
    interrupt: Interrupt,
}

impl Observer for Watch {
    fn progress(&mut self, done: usize, total: usize) {
        self.progress.set(done, total);
    }

    fn found(&mut self, found: Found) -> Result<(), RunError> {
        self.recorder.found(&found)
    }

    fn kept(&mut self, data: usize, index: usize) -> Result<(), RunError> {
        self.progress.keep();
        self.recorder.kept(data, index)
    }

    fn stop(&self) -> bool {
        self.interrupt.asked()
    }
}

/// Writes the rest of the run directory and says what came out.
fn end(args: &Run, recorder: Recorder, outcome: &Outcome) -> Result<Exit, Exit> {
    let report = recorder.finish(outcome).map_err(failed)?;
    for (file, why) in outcome.skipped.iter().take(NAMED) {
        console::err(&format!("left out {file}: {why}"));
    }
    if outcome.skipped.len() > NAMED {
        console::err(&format!("left out {} more; summary.json names them", console::count(outcome.skipped.len() - NAMED, "file")));
    }
    if !outcome.notes.is_empty() {
        let (first, note) = &outcome.notes[0];
        let more = if outcome.notes.len() > 1 { format!(", and {} more in the report", outcome.notes.len() - 1) } else { String::new() };
        say(args, &format!("noted {first}: {note}{more}\n"));
    }
    conclude(args, &outcome.measured, &report);
    if !outcome.stopped {
        return Ok(Exit::Done);
    }
    let again: Vec<String> = std::env::args().filter(|word| word != "--overwrite").collect();
    console::err(&format!("stopped by a signal; what was done is saved, and the same command continues: {}", again.join(" ")));
    Ok(Exit::Stopped)
}

fn conclude(args: &Run, measured: &[Measured], report: &Path) {
    let table = Table::of(measured);
    let mut text = String::new();
    if !table.rows.is_empty() {
        text.push_str(&format!("\n{}\n", table.lines().join("\n")));
    }
    for one in measured {
        if let Some(why) = &one.skipped {
            text.push_str(&format!("\n{} was not measured: {why}", one.name));
        }
    }
    text.push_str(&format!("\nreport: {}\n", report.display()));
    if !args.quiet {
        console::out(&text);
    }
}

fn say(args: &Run, text: &str) {
    if !args.quiet {
        console::err(text);
    }
}

fn about(args: &Run, ready: &Compiled, variants: Vec<String>, threads: usize) -> About {
    let sources = ready.texts.iter().map(|(name, text)| {
        let canonical = format(text).unwrap_or_else(|_| text.clone());
        Text { name: name.clone(), text: text.clone(), canonical }
    });
    let sources_of_places = &ready.checked.modules.sources;
    let oracles = ready.spec.oracles.iter().map(|place| {
        let (line, _) = sources_of_places.line_column(*place);
        format!("Ground truth does more than measure: `oracle` in {}, line {line}.", sources_of_places.get(place.source).name)
    });
    let identity = Identity {
        name: ready.spec.name.clone(),
        sources: sources.collect(),
        params: ready.spec.params.clone(),
        seed: args.seed,
        device: on(args.on).device().name().into(),
    };
    About { identity, variants, threads, remarks: oracles.collect() }
}

fn on(name: DeviceName) -> On {
    match name {
        DeviceName::Cpu => On::Cpu,
        DeviceName::Reference => On::Reference,
        #[cfg(feature = "dfdx")]
        DeviceName::Dfdx => On::Dfdx,
    }
}

/// Parts of a spec that are checked but that no executor runs yet.
fn refuse_pending(ready: &Compiled) -> Result<(), Exit> {
    for pending in &ready.spec.pending {
        let fault =
            Fault::error("not-executable-yet", format!("{} cannot be run yet", pending.what), pending.span, "this is checked, not run")
                .help("`segc check` and `segc show spec` work on it; for a spec that runs see specs/iem.seg");
        tell(&fault, &ready.checked.modules.sources);
    }
    if ready.spec.pending.is_empty() { Ok(()) } else { Err(Exit::Usage) }
}

/// Says why a run failed, with the place where it is one in the spec.
fn failed_in(error: RunError, ready: &Compiled) -> Exit {
    match error {
        RunError::Spec(fault) => {
            tell(&fault, &ready.checked.modules.sources);
            Exit::Usage
        }
        RunError::NotFinite(fault) => {
            tell(&fault, &ready.checked.modules.sources);
            Exit::Numeric
        }
        other => failed(other),
    }
}

/// Says why a run failed.
fn failed(error: RunError) -> Exit {
    console::error(&error.to_string());
    match error {
        RunError::Usage(_) | RunError::Spec(_) => Exit::Usage,
        RunError::Data(_) => Exit::Data,
        RunError::Numeric(_) | RunError::NotFinite(_) => Exit::Numeric,
        RunError::Environment(_) => Exit::Environment,
    }
}
