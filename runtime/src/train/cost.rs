//! What the phases of a training take, before anything runs: arithmetic and traffic of a step, memory.

use std::collections::BTreeMap;

use segc_compiler::Leaf;
use segc_compiler::plan::Cost;
use segc_lang::params::Moment;
use segc_lang::spec::{Act, Data, Duration, Part, Phase, Pictures, Spec, Statement, Step, Type, flat};
use serde::Serialize;

use super::clock::Pace;
use super::program::Task;
use super::rules::is_rule;
use super::state::{Kind, belongs};
use super::{Sets, Specs, start};
use crate::data::{AHEAD, CACHED, Skipped};
use crate::execute::{Compiler, Needs};
use crate::outcome::RunError;
use crate::session::{self, Options, Programs, task, together};

/// Bytes that a run takes at least beside what [`Memory`] counts: the program, the spec and what is made of it, the allocator's reserves.
pub const PROCESS: u64 = 45_000_000;

/// What a phase takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseCost {
    /// Its name with its index: `grow[32]`.
    pub name: String,
    /// Steps that it takes.
    pub steps: u64,
    /// Samples of a step.
    pub batch: usize,
    /// Its updates and averages, in order.
    pub turns: Vec<TurnCost>,
    /// What is alive while it runs.
    pub memory: Memory,
}

/// What an update or a moving average takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TurnCost {
    /// Name of the loss; `ema` for an average.
    pub name: String,
    /// The models that it changes.
    pub models: Vec<String>,
    /// How often it comes in a step, on average.
    pub per_step: f64,
    /// One of it.
    pub cost: Cost,
}

/// Bytes of a phase that are alive together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Weights, states and averages of all models so far, the best ones that a phase keeps among them.
    pub models: u64,
    /// Results of the updates before they take the place of what they replace.
    pub results: u64,
    /// Arena and scratch of the updates, which share them.
    pub workspace: u64,
    /// Batches: the present ones and those that are made ahead.
    pub batches: u64,
    /// Prepared samples of the data that is read again and again.
    pub data: u64,
    /// What threads need for what is shown, measured and decided in the midst of the phase.
    pub shown: u64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.models + self.results + self.workspace + self.batches + self.data + self.shown
    }
}

impl PhaseCost {
    /// What a step costs on average: operations, bytes moved.
    pub fn step(&self) -> (f64, f64) {
        let sum = |of: fn(&Cost) -> u64| self.turns.iter().map(|turn| turn.per_step * of(&turn.cost) as f64).sum();
        (sum(|cost| cost.flop), sum(|cost| cost.bytes))
    }
}

/// A tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// `critic.block.8.conv_1.w`.
    pub path: String,
    /// Its axes by name, with their sizes.
    pub axes: Vec<(String, usize)>,
    /// Whether it is a weight; otherwise a state of a net or of an optimiser.
    pub trainable: bool,
}

impl Stored {
    /// How many numbers it holds.
    pub fn elements(&self) -> u64 {
        self.axes.iter().map(|(_, size)| *size as u64).product()
    }
}

/// The phases of a spec that is elaborated for the end, in order; those of no length are left out.
///
/// # Errors
/// Faults of a phase's spec; what no executor runs; unusable data.
pub fn costs(end: &Spec, specs: &dyn Specs, options: &Options) -> Result<Vec<PhaseCost>, RunError> {
    let mut books = Books::new(options)?;
    phases(end).map(|number| books.phase(specs, number)).collect()
}

/// One phase by itself, as if it were the first. Errors: as for [`costs`].
pub fn of_phase(specs: &dyn Specs, options: &Options, number: usize) -> Result<PhaseCost, RunError> {
    Books::new(options)?.phase(specs, number)
}

/// The tensors of all models that a run knows, sorted by path.
///
/// # Errors
/// Faults of a phase's spec.
pub fn stored(end: &Spec, specs: &dyn Specs) -> Result<Vec<Stored>, RunError> {
    let mut all = BTreeMap::new();
    let mut add = |spec: &Spec| {
        for (kind, path, ty, _) in start::tensors(spec) {
            let trainable = kind == Kind::Weight;
            let axes = ty.axes.iter().map(|(axis, size)| (spec.axes[axis.0 as usize].clone(), *size)).collect();
            all.entry(path.clone()).or_insert(Stored { path: path.clone(), axes, trainable });
        }
    };
    add(end);
    for number in phases(end) {
        add(&specs.at(Moment::Phase { number, training: true })?);
    }
    Ok(all.into_values().collect())
}

/// Numbers of the phases that take time.
fn phases(end: &Spec) -> impl Iterator<Item = usize> {
    end.phases.iter().enumerate().filter(|(_, phase)| phase.length.amount > 0.0).map(|(number, _)| number)
}

/// What is known so far.
struct Books {
    compiler: Compiler,
    /// For programs of one sample, of which several run side by side.
    settled: Compiler,
    threads: usize,
    sets: Sets,
    /// Bytes of the models' tensors by name: they stay from phase to phase.
    models: BTreeMap<String, u64>,
}

/// What the programs of a phase need together.
#[derive(Default)]
struct Together {
    turns: Vec<TurnCost>,
    /// For each turn the durations of the `every` around it.
    every: Vec<Vec<Duration>>,
    needs: Needs,
    results: u64,
    reads: Vec<usize>,
}

impl Books {
    fn new(options: &Options) -> Result<Books, RunError> {
        let compiler = Compiler::new(options.on.shared_by(options.threads)?, options.fused, false);
        let settled = session::compiler(options)?;
        Ok(Books { compiler, settled, threads: options.threads, sets: Sets::new(options.seed), models: BTreeMap::new() })
    }

    fn phase(&mut self, specs: &dyn Specs, number: usize) -> Result<PhaseCost, RunError> {
        let spec = &specs.at(Moment::Phase { number, training: true })?;
        let phase = &spec.phases[number];
        if let Some(pending) = spec.pending.first() {
            return Err(super::pending(spec, number, &pending.what));
        }
        let mut all = Together::default();
        self.walk(spec, phase, &phase.body, &[], &mut all)?;
        self.tensors(spec);
        let statements = flat(&phase.body);
        let mut shown = 0;
        if statements.iter().any(|statement| is_rule(&statement.act)) {
            let spec = specs.at(Moment::Phase { number, training: false })?;
            self.tensors(&spec);
            shown = self.shown(&spec, number)?;
        }
        let mut memory = Memory { workspace: all.needs.bytes(), results: all.results, shown, ..Memory::default() };
        memory.models = self.models.values().sum();
        if statements.iter().any(|statement| matches!(statement.act, Act::Keep(_))) {
            memory.models += self.of(&phase.trained);
        }
        let mut pace = Pace { batch: phase.batch as u64, epoch: 0 };
        for (place, data) in all.reads.iter().enumerate() {
            let read = self.read(&spec.data[*data], spec)?;
            memory.batches += read.sample * (phase.batch * (AHEAD + 1)) as u64;
            memory.data += read.prepared;
            if place == 0 {
                pace.epoch = read.count;
            }
        }
        for (turn, every) in all.turns.iter_mut().zip(&all.every) {
            let apart = |every: &Duration| (every.amount / pace.elapsed(1, every.unit)).max(1.0);
            turn.per_step /= every.iter().map(apart).product::<f64>();
        }
        Ok(PhaseCost { name: phase.name.clone(), steps: pace.steps(&phase.length), batch: phase.batch, turns: all.turns, memory })
    }

    fn walk(&mut self, spec: &Spec, phase: &Phase, body: &[Statement], around: &[Duration], all: &mut Together) -> Result<(), RunError> {
        for statement in body {
            match &statement.act {
                Act::Update(update) => {
                    if let Some(task) = Task::update(spec, update, phase.batch) {
                        self.turn(spec, &task, (&update.models, update.repeat), around, all)?;
                    }
                }
                Act::Average(average) => {
                    if let Some(task) = Task::average(spec, average, phase.batch) {
                        let path = |number: usize| Kind::Average.name(&spec.weights[number].path);
                        let pair = |(number, _): &(usize, _)| (path(*number), bytes(&spec.weights[*number].ty));
                        self.models.extend(average.weights.iter().map(pair));
                        self.turn(spec, &task, (&average.models, 1), around, all)?;
                    }
                }
                Act::Together(list) => self.walk(spec, phase, list, around, all)?,
                Act::Every(every, list) => self.walk(spec, phase, list, &[around, &[*every]].concat(), all)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn turn(
        &mut self,
        spec: &Spec,
        task: &Task,
        (models, repeat): (&[String], usize),
        around: &[Duration],
        all: &mut Together,
    ) -> Result<(), RunError> {
        let ready = task.compiled(spec, &mut self.compiler)?;
        let program = ready.program();
        let cost = program.cost();
        all.needs = all.needs.max(ready.needs());
        all.results += cost.outputs;
        for (leaf, _) in &program.inputs {
            if let Leaf::Field(data, _) = leaf
                && !all.reads.contains(data)
            {
                all.reads.push(*data);
            }
        }
        all.turns.push(TurnCost { name: task.name().to_owned(), models: models.to_vec(), per_step: repeat as f64, cost });
        all.every.push(around.to_vec());
        Ok(())
    }

    /// Bytes that the threads need for the largest of a phase's rules, which come one after the other.
    fn shown(&mut self, spec: &Spec, number: usize) -> Result<u64, RunError> {
        let mut most = 0;
        for statement in flat(&spec.phases[number].body) {
            let roots = match &statement.act {
                Act::Keep(Some(term)) | Act::Restart(Some(term)) | Act::Finish(Some(term)) => vec![vec![("value".to_owned(), *term)]],
                Act::Show { count, values } if spec.joins_samples(&values.iter().map(|(_, term)| *term).collect::<Vec<_>>()) => {
                    let ready = together::program(spec, values, *count, &mut self.settled)?;
                    most = most.max(ready.needs().bytes());
                    continue;
                }
                Act::Show { values, .. } => vec![values.clone()],
                Act::Measure(names) => {
                    let mut tasks = Vec::new();
                    let evals = spec.evals.iter().filter(|eval| names.contains(&eval.name));
                    evals.for_each(|eval| task::add(&mut tasks, eval, spec, &|_| true));
                    tasks.into_iter().filter(|task| !task.is_empty()).map(|task| task.roots).collect()
                }
                _ => continue,
            };
            for roots in roots {
                let programs = Programs::new(spec, &roots, &mut self.settled)?;
                most = most.max(self.threads as u64 * programs.worker_bytes());
            }
        }
        Ok(most)
    }

    fn tensors(&mut self, spec: &Spec) {
        self.models.extend(start::tensors(spec).into_iter().map(|(kind, path, ty, _)| (kind.name(path), bytes(ty))));
    }

    /// Bytes of some models' tensors.
    fn of(&self, models: &[String]) -> u64 {
        let own = |name: &str| name.split_once('/').is_some_and(|(_, path)| belongs(path, models));
        self.models.iter().filter(|(name, _)| own(name)).map(|(_, bytes)| bytes).sum()
    }

    fn read(&mut self, item: &Data, spec: &Spec) -> Result<Read, RunError> {
        if let Pictures::Collected { over, fields } = &item.source {
            let sample = fields.iter().map(|(_, term)| bytes(&spec.terms.get(*term).ty)).sum();
            let from = &spec.data[over.0];
            let all = if matches!(from.source, Pictures::Collected { .. }) { 0 } else { self.sets.open(from)?.len(over.1) };
            let most = item.steps.iter().filter_map(|step| if let Step::Most { count, .. } = step { Some(*count) } else { None });
            let count = most.fold(all, usize::min) as u64;
            return Ok(Read { sample, prepared: sample * count, count });
        }
        let set = self.sets.open(item)?;
        let count = set.len(Part::Train) as u64;
        let refused = |skipped: Skipped| RunError::Data(format!("{}: {}", skipped.file.display(), skipped.why));
        let sample = set.sample(Part::Train, 0).map_err(refused)?.fields.values().map(|values| 4 * values.len() as u64).sum();
        let prepared = set.prepared(Part::Train, 0).map_err(refused)?.bytes() * count;
        Ok(Read { sample, prepared: prepared.min(CACHED), count })
    }
}

/// What reading a data item takes.
struct Read {
    /// Bytes of a sample in a batch.
    sample: u64,
    /// Bytes of all samples as they are kept.
    prepared: u64,
    /// Samples for training.
    count: u64,
}

fn bytes(ty: &Type) -> u64 {
    4 * ty.axes.iter().map(|(_, size)| *size as u64).product::<u64>()
}
