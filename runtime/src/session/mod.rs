//! Runs a spec: every sample through its per-image optimisations, outputs and evaluations, on several threads, reported in the order of
//! the data. Nothing here knows a method.

mod means;
mod programs;
mod sample;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};

use segc_lang::spec::{Over, Part, Pictures, Spec};

use crate::data::{self, DataSet};
use crate::execute::{Cpu, Device, Reference};
use crate::outcome::{Done, Found, Measured, Observer, Outcome, RunError};
use means::Means;
use programs::Programs;
use sample::Worker;

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
    /// Whether ops are looked after for NaN and infinities: in every so many steps of a solve, counted over all images, and in what is
    /// computed once for every so many images.
    pub check_nan: Option<std::num::NonZeroUsize>,
    /// What an earlier run already found.
    pub done: Vec<Done>,
}

/// The executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// This machine's processor.
    Cpu,
    /// The naive definitions, in f64.
    Reference,
    /// dfdx, which also differentiates.
    #[cfg(feature = "dfdx")]
    Dfdx,
}

impl On {
    /// The executor.
    pub fn device(self) -> &'static dyn Device {
        static CPU: OnceLock<Cpu> = OnceLock::new();
        match self {
            On::Cpu => CPU.get_or_init(Cpu::default),
            On::Reference => &Reference,
            #[cfg(feature = "dfdx")]
            On::Dfdx => &crate::execute::Dfdx,
        }
    }
}

/// A run over one data item.
struct Job<'a> {
    spec: &'a Spec,
    number: usize,
    part: Part,
    set: &'a dyn DataSet,
    programs: &'a Programs,
    /// Pictures are kept of the first so many images.
    pictures: usize,
    /// What an earlier run found, by the number of the sample.
    done: HashMap<usize, &'a Done>,
}

/// Runs a spec. Errors: unusable data, what no executor runs yet, failing disks.
pub fn run(spec: &Spec, options: &Options, observer: &mut dyn Observer) -> Result<Outcome, RunError> {
    if let Some(pending) = spec.pending.first() {
        return Err(RunError::Usage(format!("{} cannot be executed yet", pending.what)));
    }
    let mut outcome = Outcome::default();
    let sets = spec.data.iter().map(|data| data::open(data, options.seed)).collect::<Result<Vec<_>, _>>()?;
    for (number, set) in sets.iter().enumerate() {
        outcome.skipped.extend(set.skipped().iter().map(|s| (s.file.display().to_string(), s.why.clone())));
        let part = part(spec, number);
        let programs = Programs::new(spec, number, set.as_ref(), options, &sets)?;
        if programs.is_empty() {
            outcome.measured.extend(programs.skipped.iter().cloned());
            continue;
        }
        let pictures = crate::outcome::PICTURES;
        let done = options.done.iter().filter(|done| done.data == number).map(|done| (done.index, done)).collect();
        let job = Job { spec, number, part, set: set.as_ref(), programs: &programs, pictures, done };
        job.run(options, observer, &mut outcome)?;
        if outcome.stopped {
            break;
        }
    }
    order(spec, &mut outcome.measured);
    Ok(outcome)
}

/// The part of a data item that outputs and evaluations see: that of its evaluations.
fn part(spec: &Spec, number: usize) -> Part {
    let named = spec.evals.iter().find_map(|eval| match eval.over {
        Over::Data(data, part) if data == number && part != Part::Whole => Some(part),
        _ => None,
    });
    match (&spec.data[number].source, named) {
        (_, Some(part)) => part,
        (Pictures::Scenes { .. } | Pictures::Digits { .. }, None) => Part::Test,
        (Pictures::Folder { .. } | Pictures::Collected { .. }, None) => Part::Whole,
    }
}

/// Evaluations in the order of the spec.
fn order(spec: &Spec, measured: &mut [Measured]) {
    measured.sort_by_key(|m| spec.evals.iter().position(|eval| eval.name == m.name));
}

enum Message {
    Found(Box<Found>),
    Kept(Box<Done>),
    Skipped(usize, String, String),
    Failed(RunError),
}

impl Message {
    fn index(&self) -> usize {
        match self {
            Message::Found(found) => found.index,
            Message::Kept(done) => done.index,
            Message::Skipped(index, ..) => *index,
            Message::Failed(_) => usize::MAX,
        }
    }
}

impl Job<'_> {
    fn run(&self, options: &Options, observer: &mut dyn Observer, outcome: &mut Outcome) -> Result<(), RunError> {
        let total = self.set.len(self.part);
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let mut means = Means::new(self.programs);
        let result = std::thread::scope(|scope| {
            // Bounded, so that finished samples do not pile up behind a slow one.
            let (sender, receiver) = mpsc::sync_channel(2 * options.threads.max(1));
            for _ in 0..options.threads.max(1) {
                let (sender, next, stop) = (sender.clone(), &next, &stop);
                scope.spawn(move || self.work(next, stop, total, &sender));
            }
            drop(sender);
            let result = self.collect(receiver, total, observer, outcome, &mut means, &stop);
            stop.store(true, Ordering::Relaxed);
            result
        });
        outcome.stopped = result? < total;
        outcome.images += means.images();
        let (measured, curves) = means.finish();
        outcome.measured.extend(measured);
        outcome.measured.extend(self.programs.skipped.iter().cloned());
        outcome.curves.extend(curves);
        Ok(())
    }

    fn work(&self, next: &AtomicUsize, stop: &AtomicBool, total: usize, sender: &mpsc::SyncSender<Message>) {
        let mut worker = Worker::new(self.programs);
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= total || sender.send(self.one(&mut worker, index)).is_err() {
                return;
            }
        }
    }

    fn one(&self, worker: &mut Worker, index: usize) -> Message {
        let sample = match self.set.sample(self.part, index) {
            Ok(sample) => sample,
            Err(skipped) => return Message::Skipped(index, skipped.file.display().to_string(), skipped.why),
        };
        if let Some(done) = self.done.get(&index).filter(|done| done.stem == sample.stem) {
            return Message::Kept(Box::new((*done).clone()));
        }
        let photo = (index < self.pictures).then(|| self.set.photo(self.part, index).ok()).flatten();
        match worker.run(self.spec, self.number, index, sample, photo) {
            Ok(found) => Message::Found(Box::new(found)),
            Err(error) => Message::Failed(error),
        }
    }

    /// Takes results as they come and passes them on in order; gives how many samples were dealt with.
    fn collect(
        &self,
        receiver: mpsc::Receiver<Message>,
        total: usize,
        observer: &mut dyn Observer,
        outcome: &mut Outcome,
        means: &mut Means,
        stop: &AtomicBool,
    ) -> Result<usize, RunError> {
        let mut waiting = std::collections::BTreeMap::new();
        let mut expected = 0;
        for message in receiver {
            if let Message::Failed(error) = message {
                stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
            waiting.insert(message.index(), message);
            while let Some(message) = waiting.remove(&expected) {
                expected += 1;
                let noted = |outcome: &mut Outcome, stem: &str, notes: &[String]| {
                    outcome.notes.extend(notes.iter().map(|note| (stem.to_owned(), note.clone())));
                };
                match message {
                    Message::Found(found) => {
                        means.add(&found.values, &found.curves);
                        noted(outcome, &found.stem, &found.notes);
                        observer.found(*found)?;
                    }
                    Message::Kept(done) => {
                        means.add(&done.values, &done.curves);
                        noted(outcome, &done.stem, &done.notes);
                        observer.kept(done.data, done.index)?;
                    }
                    Message::Skipped(_, file, why) => outcome.skipped.push((file, why)),
                    Message::Failed(_) => {}
                }
                observer.progress(expected, total);
            }
            if observer.stop() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        Ok(expected)
    }
}
