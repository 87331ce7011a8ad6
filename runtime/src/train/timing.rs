//! Steps of one phase by themselves, for benchmarks: whole ones, with data, all updates, averages.

use std::time::{Duration, Instant};

use segc_lang::params::Moment;
use segc_lang::spec::Spec;

use super::course::Course;
use super::log::{Panel, Record};
use super::state::{Place, State};
use super::{Observer, Progress, Schedule, Sets, Specs, Trainer};
use crate::execute::Compiler;
use crate::outcome::RunError;
use crate::session::{self, Options};

/// How long things took.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Until the first step could begin: elaboration of the phase, first values, compilation, data.
    pub ready: Duration,
    /// Of it, compilation.
    pub compiled: Duration,
    /// Each step.
    pub steps: Vec<Duration>,
}

/// Takes some steps of a phase from first values on, which are waited for after the first, the `warm` first ones and at the end; so the
/// sum of the `timed` ones is what they took, on a card too. What is `every` so many steps comes when it is due.
///
/// # Errors
/// As for [`super::run`].
pub fn steps(end: &Spec, specs: &dyn Specs, options: &Options, phase: usize, (warm, timed): (usize, usize)) -> Result<Timing, RunError> {
    let start = Instant::now();
    let mut state = State::default();
    state.place = Place { phase, ..Place::default() };
    let compiler = Compiler::new(options.on.shared_by(options.threads)?, options.fused, false);
    let compiler = compiler.profiled(options.profiler.clone());
    let mut trainer = Trainer {
        end,
        specs,
        options,
        schedule: &Schedule::default(),
        state: &mut state,
        observer: &mut Silent,
        compiler,
        settled: session::compiler(options)?,
        sets: Sets::new(options.seed),
        ahead: 0,
    };
    let spec = specs.at(Moment::Phase { number: phase, training: true })?;
    let mut course = Course::open(&mut trainer, spec)?;
    let (ready, compiled) = (start.elapsed(), trainer.compiler.spent());
    let mut steps = Vec::with_capacity(warm + timed);
    for number in 1..=warm + timed {
        let begin = Instant::now();
        course.step(&mut trainer)?;
        // In between a card may be behind, as in a training.
        if [1, warm, warm + timed].contains(&number) {
            course.read(&mut trainer)?;
        }
        steps.push(begin.elapsed());
    }
    Ok(Timing { ready, compiled, steps })
}

/// Watches and says nothing.
pub(crate) struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &Progress) {}

    fn record(&mut self, _: &Record, _: &[Panel]) -> Result<(), RunError> {
        Ok(())
    }

    fn save(&mut self, _: &State, _: bool) -> Result<(), RunError> {
        Ok(())
    }

    fn left_out(&mut self, _: &str, _: &str) {}

    fn stop(&self) -> bool {
        false
    }
}
