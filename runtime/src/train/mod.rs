//! Training: the phases of a spec in order, each step turn by turn, from a state to the next one. Nothing here knows a method.
//!
//! A spec is elaborated for each phase when it begins ([`Specs`]). Its updates and averages are compiled once; a step binds weights,
//! states, the batch and the clock to them and swaps the results in. What a step computes depends on the state alone, so a training that
//! continues from a stored state makes the same bits as one that was never stopped.

mod away;
mod clock;
pub mod cost;
mod course;
pub mod log;
mod program;
mod rules;
mod start;
pub mod state;
pub mod timing;

use std::collections::HashMap;
use std::sync::Arc;

use segc_lang::params::Moment;
use segc_lang::spec::{Data, Pictures, Spec};

use crate::data::{self, DataSet};
use crate::execute::Compiler;
use crate::outcome::RunError;
use crate::session::{self, Options, collect};
pub use clock::{Pace, Time, places};
use course::{Course, Way};
use log::{Panel, Record, What};
pub(crate) use start::complete;
use state::State;

/// Where the specs of a training's moments come from.
pub trait Specs {
    /// The spec elaborated for a moment. Errors: its faults, told as one.
    fn at(&self, moment: Moment) -> Result<Spec, RunError>;
}

/// When to stop and to save, beside what the spec says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Schedule {
    /// Stop after so many steps of the run.
    pub stop_after: Option<u64>,
    /// Save after each so many steps of the run. Without it, where a phase says nothing itself, after each [`SAVE_EVERY`].
    pub save_every: Option<u64>,
}

/// Steps between two saved states where nobody says otherwise.
pub const SAVE_EVERY: u64 = 500;

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All phases are over.
    Done,
    /// The observer asked to stop; the state is saved.
    Stopped,
    /// So many steps were asked for, and no more; the state is saved.
    Paused,
}

/// How far a step came.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// The phase.
    pub phase: &'a str,
    /// Steps of the phase that are done.
    pub step: u64,
    /// Of how many.
    pub length: u64,
    /// Steps of the run that are done.
    pub total: u64,
    /// Samples of a step.
    pub batch: u64,
    /// Losses by name, means over the newest steps.
    pub losses: Vec<(String, f64)>,
}

/// Watches a training. All calls come from one thread.
pub trait Observer {
    /// A step is done.
    fn step(&mut self, progress: &Progress);
    /// Something is said; [`What::Shown`] comes with its rows of pictures.
    fn record(&mut self, record: &Record, panels: &[Panel]) -> Result<(), RunError>;
    /// The state is to be saved; `passing`: because the run stops here.
    fn save(&mut self, state: &State, passing: bool) -> Result<(), RunError>;
    /// A file of the training data could not be used, and why.
    fn left_out(&mut self, file: &str, why: &str);
    /// Whether to stop after the step at hand.
    fn stop(&self) -> bool;
}

/// Trains from a state on, which is empty at first. `end` is the spec of [`Moment::End`]; its weights have values afterwards.
///
/// # Errors
/// Faults of a phase's spec; unusable data; numbers that are not finite, with the op that made them; whatever the observer says.
pub fn run(
    end: &Spec,
    specs: &dyn Specs,
    options: &Options,
    schedule: &Schedule,
    state: &mut State,
    observer: &mut dyn Observer,
) -> Result<Ended, RunError> {
    let compiler = Compiler::new(options.on.shared_by(options.threads)?, options.fused, options.check_nan.is_some());
    let compiler = compiler.profiled(options.profiler.clone());
    let settled = session::compiler(options)?;
    let sets = Sets::new(options.seed);
    Trainer { end, specs, options, schedule, state, observer, compiler, settled, sets, ahead: 0 }.run()
}

/// A part of a phase that no executor runs yet.
fn pending(spec: &Spec, phase: usize, what: &str) -> RunError {
    let name = spec.phases.get(phase).map_or("", |phase| phase.name.as_str());
    RunError::Usage(format!("phase {name}: {what} cannot be executed yet"))
}

/// What all phases share.
struct Trainer<'a> {
    end: &'a Spec,
    specs: &'a dyn Specs,
    options: &'a Options,
    schedule: &'a Schedule,
    state: &'a mut State,
    observer: &'a mut dyn Observer,
    compiler: Compiler,
    /// For programs of one sample, of which several run side by side.
    settled: Compiler,
    sets: Sets,
    /// One while a step is under way, which the state does not count yet.
    ahead: u64,
}

impl Trainer<'_> {
    fn run(&mut self) -> Result<Ended, RunError> {
        while let Some(phase) = self.end.phases.get(self.state.place.phase) {
            if phase.length.amount <= 0.0 {
                self.state.place = state::Place { phase: self.state.place.phase + 1, total: self.state.place.total, ..Default::default() };
                continue;
            }
            if let Some(ended) = self.paused() {
                return Ok(ended);
            }
            let number = self.state.place.phase;
            let spec = self.specs.at(Moment::Phase { number, training: true })?;
            if let Some(pending) = spec.pending.first() {
                return Err(self::pending(&spec, number, &pending.what));
            }
            let mut course = Course::open(self, spec)?;
            match course.run(self)? {
                Way::On => {}
                Way::Out(ended) => return Ok(ended),
            }
        }
        start::complete(self.state, self.end, self.options.seed, &mut self.compiler)?;
        let trained = self.state.place.total > 0;
        Ok(self.paused().filter(|_| trained).unwrap_or(Ended::Done))
    }

    /// The data set of a data item. One that is collected is computed when it is first read.
    fn data(&mut self, spec: &Spec, number: usize) -> Result<Arc<dyn DataSet>, RunError> {
        let item = &spec.data[number];
        if !matches!(item.source, Pictures::Collected { .. }) {
            return self.sets.open(item);
        }
        if let Some(known) = self.sets.collected.get(&item.name) {
            return Ok(known.clone());
        }
        let programs = collect::programs(spec, number, &mut self.settled)?;
        let mut sets = vec![None; spec.data.len()];
        for read in programs.data().into_iter().chain(collect::from(item)) {
            if sets[read].is_none() {
                sets[read] = Some(self.data(spec, read)?);
            }
        }
        let set = collect::collect(spec, number, &programs, &sets, self.state, self.options)?;
        self.sets.collected.insert(item.name.clone(), set.clone());
        Ok(set)
    }

    /// Whether the run is to stop here.
    fn paused(&self) -> Option<Ended> {
        let enough = self.schedule.stop_after.is_some_and(|steps| self.state.place.total >= steps);
        match (self.observer.stop(), enough) {
            (true, _) => Some(Ended::Stopped),
            (false, true) => Some(Ended::Paused),
            (false, false) => None,
        }
    }

    fn say(&mut self, phase: &str, what: What, panels: &[Panel]) -> Result<(), RunError> {
        let place = &self.state.place;
        let record = Record { phase: phase.to_owned(), step: place.step + self.ahead, total: place.total + self.ahead, what };
        self.observer.record(&record, panels)?;
        self.state.records.push(record);
        Ok(())
    }
}

/// Data sets that were opened, since phases often share them.
pub(crate) struct Sets {
    seed: u64,
    known: HashMap<String, Arc<dyn DataSet>>,
    /// Collected ones by name: they stay what they were when they were first read.
    collected: HashMap<String, Arc<dyn DataSet>>,
}

impl Sets {
    fn new(seed: u64) -> Sets {
        Sets { seed, known: HashMap::new(), collected: HashMap::new() }
    }

    /// Forgets those that a phase does not read: they may be large.
    fn retain(&mut self, spec: &Spec) {
        let used: Vec<String> = spec.data.iter().map(key).collect();
        self.known.retain(|own, _| used.contains(own));
    }

    /// The data set of a data item.
    pub fn open(&mut self, data: &Data) -> Result<Arc<dyn DataSet>, RunError> {
        let key = key(data);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let set: Arc<dyn DataSet> = data::open(data, self.seed)?.into();
        self.known.insert(key, set.clone());
        Ok(set)
    }
}

/// Paths of all weights and states that a spec reaches.
pub(crate) fn stored_paths(spec: &Spec) -> Vec<&str> {
    start::tensors(spec).into_iter().map(|(_, path, ..)| path.as_str()).collect()
}

/// What tells data sets apart.
fn key(data: &Data) -> String {
    format!("{:?} {:?} {:?} {:?}", data.name, data.source, data.steps, data.size)
}
