//! `segc run`: a spec becomes masks, figures and a report.

use std::path::Path;
use std::sync::Arc;

use segc_lang::fault::Fault;
use segc_lang::format::format;
use segc_lang::params::{Moment, Overrides};
use segc_lang::spec::Spec;
use segc_runtime::checkpoint::{self, Checkpoints};
use segc_runtime::execute::cuda::driver::libraries;
use segc_runtime::execute::cuda::print::{Libraries, Precision};
use segc_runtime::execute::cuda::{self, Cuda};
use segc_runtime::outcome::{Found, Measured, Observer, Outcome, RunError};
use segc_runtime::record::{About, Identity, Opened, Recorder, Table, Text};
use segc_runtime::session::{self, On, Options};
use segc_runtime::train::log::{Panel, Record};
use segc_runtime::train::state::State;
use segc_runtime::train::{self, Ended, Schedule, Specs};
use segc_runtime::weights::{self, Examined};

use crate::cli::{DeviceName, Machine, PrecisionName, Run};
use crate::commands::profile;
use crate::compiled::{Compiled, Moments, compiled, failed, failed_at, misused, tell};
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
    let (on, told) = device(&args.machine)?;
    let threads = args.machine.threads.count();
    let specs = Moments { checked: &ready.checked, overrides };
    let weights = examined(&ready, &specs).map_err(|error| failed_at(error, &ready.checked.modules.sources))?;
    let about = about(args, &ready, variants, on, weights);
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
    let options = options(args, on, &recorder, &out);
    let given = ready.spec.pretrained.iter().map(|from| &from.model).filter(|model| ready.spec.stays(model)).cloned().collect();
    let mut checkpoints = Checkpoints::of(&out, recorder.identity().clone(), args.keep_checkpoints.get()).without(given);
    let state = match (checkpoints.load().map_err(failed)?, &args.from) {
        (Some(own), _) => own,
        (None, Some(other)) => checkpoint::of_other_device(other, recorder.identity()).map_err(failed)?,
        (None, None) => State::default(),
    };
    welcome(args, &told, &out, &state, &options);
    let mut watch = Watch { recorder: *recorder, progress: Progress::new(args.quiet), interrupt, checkpoints, left: None };
    match attempt_steps(args, &ready.spec, &specs, &options, state, &mut watch) {
        Ok((outcome, ended)) => {
            let memory = console::peak_memory().map_or(String::new(), |bytes| format!(", at most {:.0} MB of memory", bytes as f64 / 1e6));
            say(args, &format!("{}{memory}\n", watch.progress.finish()));
            let exit = end(args, watch.recorder, &outcome, ended)?;
            if let Some(profiler) = &options.profiler {
                let table = profile::conclude(profiler, &ready.checked.modules.sources, threads, &out).map_err(failed)?;
                console::out(&format!("\n{table}"));
            }
            Ok(exit)
        }
        Err(error) => {
            watch.progress.finish();
            let lost = watch.recorder.abandon();
            let exit = failed_at(error, &ready.checked.modules.sources);
            lost.map_err(failed)?;
            Err(exit)
        }
    }
}

fn options(args: &Run, on: On, recorder: &Recorder, out: &Path) -> Options {
    Options {
        seed: args.seed,
        threads: args.machine.threads.count(),
        on,
        fused: !args.no_fuse,
        graphs: !args.no_graphs,
        check_nan: args.check_nan,
        done: recorder.done(),
        profiler: args.profile.then(Arc::default),
        cache: (!args.no_cache).then(|| session::cache_beside(out)),
    }
}

/// Trains, then measures.
fn attempt_steps(
    args: &Run,
    spec: &Spec,
    specs: &Moments,
    options: &Options,
    mut state: State,
    watch: &mut Watch,
) -> Result<(Outcome, Ended), RunError> {
    watch.recorder.resume(&state.records)?;
    let schedule = Schedule { stop_after: args.stop_after, save_every: args.checkpoint_every.map(std::num::NonZeroU64::get) };
    let ended = train::run(spec, specs, options, &schedule, &mut state, watch)?;
    if ended != Ended::Done {
        return Ok((Outcome { stopped: true, ..Outcome::default() }, ended));
    }
    if !spec.phases.is_empty() {
        say(args, &format!("{}\n", watch.progress.finish()));
        watch.progress = Progress::new(args.quiet);
    }
    watch.left = args.stop_after.map(|steps| steps.saturating_sub(state.place.total));
    let outcome = session::run(spec, options, &state, watch)?;
    let ended = match (outcome.stopped, watch.interrupt.asked()) {
        (false, _) => Ended::Done,
        (true, true) => Ended::Stopped,
        (true, false) => Ended::Paused,
    };
    Ok((outcome, ended))
}

fn welcome(args: &Run, device: &str, out: &Path, state: &State, options: &Options) {
    if !device.is_empty() {
        say(args, device);
    }
    let mut before = Vec::new();
    if state.place.total > 0 {
        before.push(console::count(state.place.total as usize, "step"));
    }
    if !options.done.is_empty() {
        before.push(console::count(options.done.len(), "image"));
    }
    if !before.is_empty() {
        say(args, &format!("continuing {}: {} were done before\n", out.display(), before.join(" and ")));
    }
}

/// Records and shows a run while it goes on.
struct Watch {
    recorder: Recorder,
    progress: Progress,
    interrupt: Interrupt,
    checkpoints: Checkpoints,
    /// Images that may still be done, where somebody set a limit.
    left: Option<u64>,
}

impl Observer for Watch {
    fn progress(&mut self, done: usize, total: usize) {
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.progress.set(done, total);
    }

    fn found(&mut self, found: Found) -> Result<(), RunError> {
        self.recorder.found(&found)
    }

    fn kept(&mut self, pass: usize, index: usize) -> Result<(), RunError> {
        self.progress.keep();
        self.recorder.kept(pass, index)
    }

    fn stop(&self) -> bool {
        self.interrupt.asked() || self.left == Some(0)
    }
}

impl train::Observer for Watch {
    fn step(&mut self, progress: &train::Progress) {
        self.progress.step(progress);
    }

    fn record(&mut self, record: &Record, panels: &[Panel]) -> Result<(), RunError> {
        self.recorder.trained(record, panels)
    }

    fn save(&mut self, state: &State, passing: bool) -> Result<(), RunError> {
        self.checkpoints.save(state, passing)?;
        self.recorder.draft()
    }

    fn left_out(&mut self, file: &str, why: &str) {
        console::err(&format!("left out of training {file}: {why}"));
    }

    fn stop(&self) -> bool {
        self.interrupt.asked()
    }
}

/// Writes the rest of the run directory and says what came out.
fn end(args: &Run, recorder: Recorder, outcome: &Outcome, ended: Ended) -> Result<Exit, Exit> {
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
    match ended {
        Ended::Done => return Ok(Exit::Done),
        Ended::Paused => {
            say(args, "stopped after the steps that were asked for; the same command with a later --stop-after, or none, continues\n");
            return Ok(Exit::Done);
        }
        Ended::Stopped => {}
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

/// Looks into the files of weights that models begin with, for all phases, before anything runs.
fn examined(ready: &Compiled, moments: &Moments) -> Result<Examined, RunError> {
    if ready.spec.pretrained.is_empty() {
        return Ok(Examined::default());
    }
    let lasting = ready.spec.phases.iter().enumerate().filter(|(_, phase)| phase.length.amount > 0.0);
    let phases = lasting.map(|(number, _)| moments.at(Moment::Phase { number, training: true }));
    let specs: Vec<Spec> = std::iter::once(Ok(ready.spec.clone())).chain(phases).collect::<Result<_, _>>()?;
    weights::examine(&specs)
}

fn about(args: &Run, ready: &Compiled, variants: Vec<String>, on: On, weights: Examined) -> About {
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
        weights: weights.files,
        device: on.device().name().into(),
    };
    let threads = args.machine.threads.count();
    About { identity, variants, sets: args.spec.sets.clone(), threads, remarks: oracles.chain(weights.remarks).collect() }
}

/// What computes, and what is said of it. Errors: a card that is not there, what is for cards where none computes.
pub fn device(machine: &Machine) -> Result<(On, String), Exit> {
    let precision = machine.precision.map_or(Precision::F32, PrecisionName::precision);
    let cuda = Cuda::new(precision).with(if machine.no_libs { Libraries::Never } else { Libraries::Large });
    let on = match machine.on {
        DeviceName::Cuda => On::Cuda(cuda),
        DeviceName::Auto => {
            let (on, why) = On::best(cuda);
            return Ok((on, why.map_or_else(|| card(cuda), |why| format!("computing on the processor: {}", why.reason()))));
        }
        _ if machine.precision.is_some() => return Err(misused("--precision is for cards: give --on cuda or --on auto with it")),
        _ if machine.no_libs => return Err(misused("--no-libs is for cards: give --on cuda or --on auto with it")),
        DeviceName::Cpu if machine.portable => On::Portable,
        DeviceName::Cpu => On::Cpu,
        DeviceName::Reference => On::Reference,
        #[cfg(feature = "dfdx")]
        DeviceName::Dfdx => On::Dfdx,
    };
    on.examine().map_err(failed)?;
    Ok((on, if matches!(on, On::Cuda(_)) { card(cuda) } else { String::new() }))
}

/// The card that computes, and what helps it.
fn card(cuda: Cuda) -> String {
    let name = match cuda::card() {
        Ok(card) => card.about().name.clone(),
        Err(why) => return why.to_string(),
    };
    let names = ["cuBLASLt", "cuDNN"].into_iter().zip(libraries());
    let found: Vec<String> = names.filter_map(|(name, library)| Some(format!("{name} {}", library.version?))).collect();
    let helped = cuda.libraries != Libraries::Never && !found.is_empty();
    let by = if helped { format!(", with {}", found.join(" and ")) } else { ", without libraries".into() };
    format!("computing on the card: {name}{by}")
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
