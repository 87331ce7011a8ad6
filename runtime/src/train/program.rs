//! A program of a training phase with what it reads and where its results go.

use std::collections::BTreeMap;
use std::sync::Arc;

use segc_compiler::{Leaf, Request};
use segc_lang::spec::{Average, Spec, TermId, Unit, Update};

use super::clock::Time;
use super::state::{Kind, State, belongs};
use crate::data::Batch;
use crate::execute::cuda::{Input, Resident};
use crate::execute::{Compiler, Executable, Needs, Room, Scratch, finite};
use crate::outcome::RunError;

/// The batches of a turn by data item.
pub(super) type Batches = BTreeMap<String, Batch>;

/// What an update or a moving average asks of the compiler.
pub(super) struct Task {
    /// What it computes, for messages: the name of the loss.
    name: String,
    roots: Vec<(String, TermId)>,
    request: Request,
}

/// A compiled update or moving average.
pub(super) struct TrainProgram {
    recipe: Arc<Recipe>,
    ready: Arc<dyn Executable>,
    /// Its results; it runs in a room that it shares with others.
    scratch: Scratch,
    /// For each output the tensor that it replaces; the loss replaces none.
    targets: Vec<Option<usize>>,
    /// Data items that it reads, in the order of its inputs.
    pub reads: Vec<String>,
}

/// What a program computes from what: enough to compute it once more, op by op.
pub(super) struct Recipe {
    task: Task,
    inputs: Vec<Source>,
}

/// Where an input comes from.
enum Source {
    Tensor(usize),
    Field { data: String, field: String },
    Clock,
    Places,
    Elapsed(Unit),
}

/// What a run of a program reads beside the state.
pub(super) struct Around<'a> {
    pub batches: &'a Batches,
    pub time: &'a Time,
    /// The place of each sample in the batch, as [`Leaf::Samples`] says.
    pub places: &'a [f32],
}

/// How numbers that are not finite are noticed and found.
pub(super) struct Watch<'a> {
    /// Op by op, as `--check-nan` does.
    pub look: bool,
    pub compiler: &'a Compiler,
    pub spec: &'a Spec,
    /// Where in the run this is.
    pub at: &'a dyn Fn() -> String,
}

impl Task {
    /// An update of a batch; none where it has no terms.
    pub fn update(spec: &Spec, update: &Update, batch: usize) -> Option<Task> {
        let roots = update.terms.as_ref()?.roots(&spec.weights);
        Some(Task { name: update.loss.clone(), roots, request: Request { batch: Some(batch), states: true } })
    }

    /// Moving averages; none where there are none.
    pub fn average(spec: &Spec, average: &Average, batch: usize) -> Option<Task> {
        let root = |(number, term): &(usize, TermId)| (format!("average.{}", spec.weights[*number].path), *term);
        let roots: Vec<_> = average.weights.iter().map(root).collect();
        let request = Request { batch: Some(batch), states: false };
        (!roots.is_empty()).then(|| Task { name: "ema".into(), roots, request })
    }

    /// What it computes: the name of the loss.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs op by op to find what made numbers that are not finite; nothing where all are.
    fn search(&self, inputs: &[&[f32]], watch: &Watch) -> Option<RunError> {
        let single = match watch.compiler.single(watch.spec, &self.roots, &self.request) {
            Ok(single) => single,
            Err(error) => return Some(error),
        };
        let mut scratch = single.scratch();
        crate::session::watch::run(single.as_ref(), inputs, &mut scratch, true, watch.at).err()
    }

    /// Its program. Errors: what no executor runs, with its place.
    pub fn compiled(&self, spec: &Spec, compiler: &mut Compiler) -> Result<Arc<dyn Executable>, RunError> {
        compiler.compile_over(spec, &self.roots, &self.request)
    }
}

impl Recipe {
    /// The name of the loss.
    pub fn name(&self) -> &str {
        &self.task.name
    }

    /// What to say of a run on a card whose numbers were not finite: `values` are its inputs that are no tensors of the state.
    pub fn blame(&self, state: &State, values: &[Vec<f32>], watch: &Watch) -> RunError {
        let mut values = values.iter();
        let inputs = self.inputs.iter().map(|source| match source {
            Source::Tensor(number) => state.values(*number),
            _ => values.next().map_or(&[][..], Vec::as_slice),
        });
        let search = self.task.search(&inputs.collect::<Vec<_>>(), watch);
        search.unwrap_or_else(|| not_finite(&self.task.name, watch))
    }
}

fn not_finite(what: &str, watch: &Watch) -> RunError {
    RunError::Numeric(format!("`{what}` is not finite: {}", (watch.at)()))
}

impl TrainProgram {
    /// The program of an update. Models that train are bound to their weights, others to their averages where they have some.
    pub fn update(task: Task, spec: &Spec, trained: &[String], state: &State, compiler: &mut Compiler) -> Result<TrainProgram, RunError> {
        TrainProgram::new(task, spec, &|path| belongs(path, trained), state, compiler)
    }

    /// The program of moving averages, over the weights themselves.
    pub fn average(task: Task, spec: &Spec, state: &State, compiler: &mut Compiler) -> Result<TrainProgram, RunError> {
        TrainProgram::new(task, spec, &|_| true, state, compiler)
    }

    fn new(task: Task, spec: &Spec, live: &dyn Fn(&str) -> bool, state: &State, compiler: &mut Compiler) -> Result<TrainProgram, RunError> {
        let ready = task.compiled(spec, compiler)?;
        let program = ready.program();
        let inputs = program.inputs.iter().map(|(leaf, _)| source(leaf, spec, live, state)).collect::<Result<Vec<_>, _>>()?;
        let targets = program.outputs.iter().map(|(name, ..)| target(name, state)).collect::<Result<Vec<_>, _>>()?;
        let mut reads: Vec<String> = Vec::new();
        for input in &inputs {
            if let Source::Field { data, .. } = input
                && !reads.contains(data)
            {
                reads.push(data.clone());
            }
        }
        let scratch = Scratch::without_room(program);
        Ok(TrainProgram { recipe: Arc::new(Recipe { task, inputs }), scratch, ready, targets, reads })
    }

    /// What it computes: the name of the loss.
    pub fn name(&self) -> &str {
        self.recipe.name()
    }

    /// Whether it can run where tensors stay on a card.
    pub fn can_stay(&self) -> bool {
        Resident::takes(self.ready.as_ref(), &self.targets)
    }

    /// Puts it into the step of tensors that stay on a card; gives what finds out more if its numbers turn out not to be finite.
    pub fn stay(
        &self,
        state: &State,
        around: &Around,
        resident: &mut Resident,
        at: &dyn Fn() -> String,
    ) -> Result<(Arc<Recipe>, Vec<Vec<f32>>), RunError> {
        let values = bound(&self.recipe.inputs, state, around, at)?;
        let inputs: Vec<Input> = self.recipe.inputs.iter().zip(values).map(|(source, values)| source.input(values)).collect();
        let replaced: Vec<Option<(usize, &[f32])>> = self.targets.iter().map(|target| target.map(|at| (at, state.values(at)))).collect();
        resident.turn(&self.ready, &inputs, &replaced)?;
        let own = |input: &Input| if let Input::Values(values) = input { Some(values.to_vec()) } else { None };
        Ok((self.recipe.clone(), inputs.iter().filter_map(own).collect()))
    }

    /// How much memory it takes beside inputs and results.
    pub fn needs(&self) -> Needs {
        self.ready.needs()
    }

    /// Runs it in a room and puts its results into the state; gives the loss, where it has one. Where a loss or a gradient is not finite
    /// the state stays as it was, and the place in the spec that made it so is searched. What becomes infinite only while new values are
    /// written over the old ones is refused as well, but those are lost then.
    pub fn run(&mut self, state: &mut State, around: &Around, room: &mut Room, watch: &Watch) -> Result<Option<f32>, RunError> {
        self.lend(state);
        std::mem::swap(&mut self.scratch.room, room);
        let inputs = bound(&self.recipe.inputs, state, around, watch.at);
        let ran =
            inputs.and_then(|inputs| crate::session::watch::run(self.ready.as_ref(), &inputs, &mut self.scratch, watch.look, watch.at));
        std::mem::swap(&mut self.scratch.room, room);
        self.lend(state);
        ran?;
        if self.scratch.held || !self.results(state).all(finite) {
            let written = !self.scratch.held && self.ready.program().over.iter().any(Option::is_some);
            let error = match written {
                true => self.spoiled(state, watch),
                false => {
                    let inputs = bound(&self.recipe.inputs, state, around, watch.at)?;
                    let search = self.recipe.task.search(&inputs, watch);
                    search.unwrap_or_else(|| not_finite(self.wrong(state).unwrap_or("a gradient"), watch))
                }
            };
            return Err(error);
        }
        let mut loss = None;
        for ((output, target), over) in self.scratch.outputs.iter_mut().zip(&self.targets).zip(&self.ready.program().over) {
            match target {
                Some(number) if over.is_none() => state.swap(*number, output),
                Some(_) => {}
                None => loss = output.first().copied(),
            }
        }
        Ok(loss)
    }

    /// Exchanges tensors that results are written over for those results.
    fn lend(&mut self, state: &mut State) {
        let over = &self.ready.program().over;
        for ((output, target), _) in self.scratch.outputs.iter_mut().zip(&self.targets).zip(over).filter(|(_, over)| over.is_some()) {
            target.iter().for_each(|number| state.swap(*number, output));
        }
    }

    /// All results of the last run, those over inputs where they belong.
    fn results<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a [f32]> {
        let all = self.scratch.outputs.iter().zip(&self.targets).zip(&self.ready.program().over);
        all.map(|((output, target), over)| match target {
            Some(number) if over.is_some() => state.values(*number),
            _ => output,
        })
    }

    /// What is said where new values that are not finite lie over the old ones, so that there is nothing to search with.
    fn spoiled(&self, state: &State, watch: &Watch) -> RunError {
        let (wrong, at) = (self.wrong(state).unwrap_or("loss"), (watch.at)());
        RunError::Numeric(format!(
            "`{wrong}` is not finite after its update: {at}; continue from the last checkpoint with --check-nan to see why"
        ))
    }

    /// The first result that is not finite.
    fn wrong(&self, state: &State) -> Option<&str> {
        let outputs = self.ready.program().outputs.iter().zip(self.results(state));
        outputs.filter(|(_, values)| !finite(values)).map(|((name, ..), _)| name.as_str()).next()
    }
}

/// The inputs. Errors: the data lacks a field.
fn bound<'a>(inputs: &'a [Source], state: &'a State, around: &Around<'a>, at: &dyn Fn() -> String) -> Result<Vec<&'a [f32]>, RunError> {
    let inputs = inputs.iter().map(|source| source.bound(state, around)).collect::<Option<Vec<_>>>();
    inputs.ok_or_else(|| RunError::Usage(format!("{}: a field of the data is missing; are `labels` given?", at())))
}

fn source(leaf: &Leaf, spec: &Spec, live: &dyn Fn(&str) -> bool, state: &State) -> Result<Source, RunError> {
    let tensor = |number: Option<usize>, path: &str| {
        number.map(Source::Tensor).ok_or_else(|| RunError::Environment(format!("`{path}` has no value where training reads it")))
    };
    match leaf {
        Leaf::Weight(number) => {
            let path = &spec.weights[*number].path;
            tensor(if live(path) { state.number(Kind::Weight, path) } else { state.settled(path) }, path)
        }
        Leaf::Averaged(number) => tensor(state.number(Kind::Average, &spec.weights[*number].path), &spec.weights[*number].path),
        Leaf::Buffer(number) => tensor(state.number(Kind::Buffer, &spec.buffers[*number].path), &spec.buffers[*number].path),
        Leaf::Field(data, field) => Ok(Source::Field { data: spec.data[*data].name.clone(), field: field.clone() }),
        Leaf::Clock => Ok(Source::Clock),
        Leaf::Samples => Ok(Source::Places),
        Leaf::Elapsed(unit) => Ok(Source::Elapsed(*unit)),
        Leaf::State(_) | Leaf::Solved(_) => Err(RunError::Usage("a loss cannot read a `solve`, which is made for evaluation".into())),
        Leaf::Average(_) => Err(RunError::Usage("a loss cannot read an `average` over a data set".into())),
    }
}

/// The tensor that an output replaces: `weight.PATH`, `average.PATH`, `next.PATH`.
fn target(output: &str, state: &State) -> Result<Option<usize>, RunError> {
    if output == "loss" {
        return Ok(None);
    }
    let kinds = [("weight.", Kind::Weight), ("average.", Kind::Average), ("next.", Kind::Buffer)];
    let number = kinds.iter().find_map(|(word, kind)| state.number(*kind, output.strip_prefix(word)?));
    number.map(Some).ok_or_else(|| RunError::Environment(format!("`{output}` has no place in the state of training")))
}

impl Source {
    /// The same for a card.
    fn input<'a>(&self, values: &'a [f32]) -> Input<'a> {
        match self {
            Source::Tensor(number) => Input::Tensor(*number, values),
            _ => Input::Values(values),
        }
    }

    fn bound<'a>(&'a self, state: &'a State, around: &Around<'a>) -> Option<&'a [f32]> {
        Some(match self {
            Source::Tensor(number) => state.values(*number),
            Source::Field { data, field } => around.batches.get(data)?.fields.get(field)?,
            Source::Clock => &around.time.clock,
            Source::Places => around.places,
            Source::Elapsed(unit) => around.time.elapsed(*unit),
        })
    }
}
