//! Runs a spec whose models are settled: every sample through its per-image optimisations, outputs and evaluations, on several threads,
//! reported in the order of the data. The same serves what training phases show, measure and decide. Nothing here knows a method.

pub(crate) mod collect;
mod in_order;
mod known;
mod means;
mod models;
pub(crate) mod pass;
mod programs;
mod sample;
pub(crate) mod task;
pub(crate) mod together;
pub(crate) mod watch;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use segc_lang::spec::{Data, Over, Part, Pictures, Spec};

use crate::data::{self, DataSet};
use crate::execute::cuda::driver::CardError;
use crate::execute::cuda::print::Libraries;
use crate::execute::{Compiler, Cpu, Cuda, Device, Profiler, Reference, cuda};
use crate::outcome::{Done, Measured, Observer, Outcome, RunError};
use crate::train::Time;
use crate::train::state::State;
pub use known::cache_beside;
pub(crate) use means::Means;
pub(crate) use models::Models;
pub(crate) use pass::Settled;
pub(crate) use programs::Programs;

/// How a spec is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keys all random draws.
    pub seed: u64,
    /// Threads; results do not depend on it.
    pub threads: usize,
    /// Which executor.
    pub on: On,
    /// Whether kernels are fused.
    pub fused: bool,
    /// Whether a step of training is captured once and replayed, on devices that can; without it every kernel is launched by itself.
    pub graphs: bool,
    /// Whether ops are looked after for NaN and infinities: in every so many steps of a solve, counted over all images, in what is
    /// computed once for every so many images, and in every so many steps of training.
    pub check_nan: Option<std::num::NonZeroUsize>,
    /// What an earlier run already found.
    pub done: Vec<Done>,
    /// Who measures every kernel.
    pub profiler: Option<Arc<Profiler>>,
    /// The folder in which what settled models make of images is kept for later runs.
    pub cache: Option<PathBuf>,
}

impl Options {
    /// Seed 0, the processor, nothing looked after and nothing done before.
    pub fn plain(threads: usize) -> Options {
        Options { seed: 0, threads, on: On::Cpu, fused: true, graphs: true, check_nan: None, done: Vec::new(), profiler: None, cache: None }
    }
}

/// The executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// This machine's processor.
    Cpu,
    /// The same without its wide instructions.
    Portable,
    /// The naive definitions, in f64.
    Reference,
    /// dfdx, which also differentiates.
    #[cfg(feature = "dfdx")]
    Dfdx,
    /// An NVIDIA card.
    Cuda(Cuda),
}

impl On {
    /// The executor.
    pub fn device(self) -> &'static dyn Device {
        static CPU: OnceLock<Cpu> = OnceLock::new();
        static PORTABLE: OnceLock<Cpu> = OnceLock::new();
        match self {
            On::Cpu => CPU.get_or_init(Cpu::default),
            On::Portable => PORTABLE.get_or_init(|| Cpu::default().portable()),
            On::Reference => &Reference,
            #[cfg(feature = "dfdx")]
            On::Dfdx => &crate::execute::Dfdx,
            On::Cuda(cuda) => {
                static ALL: [Cuda; 9] = Cuda::ALL;
                ALL.iter().find(|own| **own == cuda).unwrap_or(&ALL[0])
            }
        }
    }

    /// An NVIDIA card, used so, if there is one that can be used, else this machine's processor with why.
    pub fn best(cuda: Cuda) -> (On, Option<CardError>) {
        match cuda::card() {
            Ok(_) => (On::Cuda(cuda), None),
            Err(why) => (On::Cpu, Some(why)),
        }
    }

    /// What of this machine may decide the last bits.
    pub(crate) fn machine(self) -> String {
        match self {
            On::Cuda(cuda) => {
                let versions = || cuda::driver::libraries().map(|library| library.version);
                let libraries = || (cuda.libraries != Libraries::Never).then(versions);
                let about = |card: &cuda::driver::About| format!("{:?}", (&card.name, card.capability, libraries()));
                cuda::card().map_or_else(|why| why.to_string(), |card| about(card.about()))
            }
            _ => format!("{:?}", pulp::Arch::new()),
        }
    }

    /// Looks whether the executor can be used at all, before anything is written.
    ///
    /// # Errors
    /// [`RunError::Environment`] for a card that is not there.
    pub fn examine(self) -> Result<(), RunError> {
        if let On::Cuda(_) = self {
            cuda::card()?;
        }
        Ok(())
    }

    /// The executor with this name, if this segc was built with it.
    pub fn named(name: &str) -> Option<On> {
        let all = [
            On::Cpu,
            On::Portable,
            On::Reference,
            #[cfg(feature = "dfdx")]
            On::Dfdx,
        ];
        all.into_iter().chain(Cuda::ALL.map(On::Cuda)).find(|on| on.device().name() == name)
    }

    /// The executor whose kernels are shared by so many threads, where it can share them.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn shared_by(self, threads: usize) -> Result<Box<dyn Device>, RunError> {
        Ok(match self {
            On::Cpu => Box::new(Cpu::new(threads).map_err(RunError::Environment)?),
            On::Portable => Box::new(Cpu::new(threads).map_err(RunError::Environment)?.portable()),
            On::Reference => Box::new(Reference),
            #[cfg(feature = "dfdx")]
            On::Dfdx => Box::new(crate::execute::Dfdx),
            On::Cuda(cuda) => Box::new(cuda),
        })
    }
}

/// Runs a spec with the models of a state. Errors: unusable data, what no executor runs yet, failing disks.
pub fn run(spec: &Spec, options: &Options, state: &State, observer: &mut dyn Observer) -> Result<Outcome, RunError> {
    if let Some(pending) = spec.pending.first() {
        return Err(RunError::Usage(format!("{} cannot be executed yet", pending.what)));
    }
    let mut outcome = Outcome::default();
    let open = |item: &Data| match item.source {
        // What evaluations may read is there before a run.
        Pictures::Collected { .. } => Ok(None),
        _ => data::open(item, options.seed).map(|set| Some(Arc::<dyn DataSet>::from(set))),
    };
    let sets = spec.data.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    for set in sets.iter().flatten() {
        outcome.skipped.extend(set.skipped().iter().map(|s| (s.file.display().to_string(), s.why.clone())));
    }
    let time = Time { elapsed: state.elapsed, ..Time::of(options.seed, spec.phases.len(), 0, 0) };
    let models = Models::new(spec, state, time);
    let settled = Settled { spec, sets: &sets, models, threads: options.threads, check_nan: options.check_nan };
    let mut compiler = compiler(options)?;
    for (number, task) in task::tasks(spec, &settled).iter().enumerate() {
        outcome.measured.extend(task.skipped.iter().cloned());
        if !task.is_empty() {
            task.run(number, &settled, options, &mut compiler, observer, &mut outcome)?;
        }
        if outcome.stopped {
            break;
        }
    }
    order(spec, &mut outcome.measured);
    Ok(outcome)
}

/// A compiler for programs of one sample, of which several run side by side.
pub(crate) fn compiler(options: &Options) -> Result<Compiler, RunError> {
    Ok(Compiler::new(options.on.shared_by(1)?, options.fused, options.check_nan.is_some()).profiled(options.profiler.clone()))
}

/// What a bare name means: one part.
pub(crate) fn resolved(spec: &Spec, over: Over) -> Over {
    match over {
        Over::Data(data, Part::Whole) => Over::Data(data, pass::part(spec, data)),
        other => other,
    }
}

/// Evaluations in the order of the spec.
fn order(spec: &Spec, measured: &mut [Measured]) {
    measured.sort_by_key(|m| spec.evals.iter().position(|eval| eval.name == m.name));
}
