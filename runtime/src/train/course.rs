//! One phase while it runs: its programs, its data, and the walk through its statements.

use std::collections::BTreeMap;

use segc_lang::source::Span;
use segc_lang::spec::{Act, Duration, Part, Phase, Spec, Statement, Unit, flat};

use super::away::{Away, UNREAD};
use super::clock::{Pace, Time, places};
use super::log::What;
use super::program::{Around, Batches, Task, TrainProgram, Watch};
use super::rules::{Rules, Verdict};
use super::state::{Best, Kind, Place};
use super::{Ended, Progress, SAVE_EVERY, Trainer, start};
use crate::data::Stream;
use crate::execute::{Needs, Room};
use crate::outcome::RunError;

/// A phase that began anew so often goes on as it is.
const MOST_RESTARTS: u32 = 10;

/// How a run goes on after a phase, or a part of it.
pub(super) enum Way {
    /// With the next phase, or with this one anew.
    On,
    /// Not at all.
    Out(Ended),
}

/// A phase with everything that its steps need.
pub(super) struct Course {
    spec: Spec,
    phase: Phase,
    /// Steps that it takes.
    length: u64,
    /// Steps from one line of losses to the next.
    stride: u64,
    /// Whether the spec says when to save.
    saves: bool,
    nodes: Vec<Node>,
    clockwork: Clockwork,
    /// Where its programs run, one after the other.
    room: Room,
    /// Where the tensors are on a card.
    away: Option<Away>,
    /// Elaborated when one is due.
    rules: Option<Rules>,
}

/// A statement that is ready to run.
enum Node {
    Update(TrainProgram, usize),
    Together(Vec<Node>),
    Average {
        program: TrainProgram,
        from: Option<Duration>,
        pairs: Vec<(usize, usize)>,
    },
    Every(Duration, Vec<Node>),
    Finally(Vec<Node>),
    /// What reads settled models, by its place in the spec, and its number among such statements.
    Rule(Span, usize),
    Save,
}

/// What turns read and advance.
struct Clockwork {
    pace: Pace,
    streams: BTreeMap<String, Stream>,
    batches: Batches,
    places: Vec<f32>,
    /// Turns of the step that have begun.
    turns: usize,
    wishes: Wishes,
}

/// What statements of a step ask for; it is done when the step is over.
#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    save: bool,
    restart: bool,
    finish: bool,
}

impl Course {
    /// Gives the phase's models first values and compiles its statements.
    pub fn open(trainer: &mut Trainer, spec: Spec) -> Result<Course, RunError> {
        let number = trainer.state.place.phase;
        let phase = spec.phases[number].clone();
        begin(trainer, &spec, &phase)?;
        trainer.sets.retain(&spec);
        let mut rules = 0;
        let nodes = nodes(&phase.body, &phase, &spec, trainer, &mut rules)?;
        let streams = streams(&nodes, &phase, &spec, trainer)?;
        let pace = Pace { batch: phase.batch as u64, epoch: streams.first_length };
        let timed = |unit: Unit| unit == Unit::Epochs && streams.first_length == 0;
        if timed(phase.length.unit) {
            return Err(RunError::Usage(format!("phase {} lasts epochs, but its updates read no data", phase.name)));
        }
        let length = pace.steps(&phase.length);
        let places = places(phase.batch);
        // About a thousand lines for a run, however many phases it has.
        let lines = (1000 / trainer.end.phases.len().max(1)).max(20) as u64;
        Ok(Course {
            length,
            stride: length.div_ceil(lines).max(1),
            saves: saves(&nodes),
            room: Room::new(needs(&nodes)),
            away: if can_stay(&nodes) { trainer.compiler.resident(trainer.options.graphs)?.map(Away::new) } else { None },
            nodes,
            clockwork: Clockwork { pace, streams: streams.by_name, batches: Batches::new(), places, turns: 0, wishes: Wishes::default() },
            rules: None,
            spec,
            phase,
        })
    }

    /// Steps until the phase is over or the run is to stop.
    pub fn run(&mut self, trainer: &mut Trainer) -> Result<Way, RunError> {
        loop {
            if trainer.state.place.step >= self.length {
                self.finish(trainer)?;
                return Ok(Way::On);
            }
            self.step(trainer)?;
            let wishes = std::mem::take(&mut self.clockwork.wishes);
            if wishes.restart {
                self.restart(trainer)?;
            }
            let over = wishes.finish && !wishes.restart;
            if over || trainer.state.place.step >= self.length {
                if over && trainer.state.place.step < self.length {
                    trainer.say(&self.phase.name, What::Finished(true), &[])?;
                }
                self.finish(trainer)?;
                return Ok(trainer.paused().map_or(Way::On, Way::Out));
            }
            let ended = trainer.paused();
            let due = wishes.save || wishes.restart || self.due(trainer);
            if due || ended.is_some() {
                self.home(trainer)?;
                trainer.observer.save(trainer.state, !due)?;
            }
            match ended {
                Some(ended) => return Ok(Way::Out(ended)),
                None if wishes.restart => return Ok(Way::On),
                None => {}
            }
        }
    }

    /// Whether the state is to be saved by the count of steps.
    fn due(&self, trainer: &Trainer) -> bool {
        let every = trainer.schedule.save_every.or((!self.saves).then_some(SAVE_EVERY));
        every.is_some_and(|every| every > 0 && trainer.state.place.total.is_multiple_of(every))
    }

    pub fn step(&mut self, trainer: &mut Trainer) -> Result<(), RunError> {
        self.clockwork.turns = 0;
        let mut nodes = std::mem::take(&mut self.nodes);
        trainer.ahead = 1;
        let walked = self.walk(&mut nodes, trainer, false);
        trainer.ahead = 0;
        self.nodes = nodes;
        walked?;
        self.away.iter_mut().try_for_each(Away::launch)?;
        let place = &mut trainer.state.place;
        (place.step, place.spent, place.total) = (place.step + 1, place.spent + 1, place.total + 1);
        for (name, stream) in &self.clockwork.streams {
            trainer.state.cursors.insert(name.clone(), stream.taken());
        }
        trainer.observer.step(&Progress {
            phase: &self.phase.name,
            step: trainer.state.place.step,
            length: self.length,
            total: trainer.state.place.total,
            batch: self.clockwork.pace.batch,
            losses: trainer.state.window.means().map(|(name, mean)| (name.to_owned(), mean)).collect(),
        });
        match trainer.state.place.step {
            step if step.is_multiple_of(self.stride) => self.losses(trainer)?,
            step if step.is_multiple_of(UNREAD) => self.read(trainer)?,
            _ => {}
        }
        Ok(())
    }

    /// Waits for what a card computes and notes its losses.
    pub fn read(&mut self, trainer: &mut Trainer) -> Result<(), RunError> {
        self.away.iter_mut().try_for_each(|away| away.read(trainer.state, &trainer.compiler, &self.spec))
    }

    /// Brings home what a card has changed, before anything else reads the state.
    fn home(&mut self, trainer: &mut Trainer) -> Result<(), RunError> {
        self.away.iter_mut().try_for_each(|away| away.home(trainer.state, &trainer.compiler, &self.spec))
    }

    fn losses(&mut self, trainer: &mut Trainer) -> Result<(), RunError> {
        self.read(trainer)?;
        let means = trainer.state.window.take();
        if means.is_empty() { Ok(()) } else { trainer.say(&self.phase.name, What::Losses(means), &[]) }
    }

    /// Walks through statements. `shared`: they are those of a `together`, which has one turn.
    fn walk(&mut self, nodes: &mut [Node], trainer: &mut Trainer, shared: bool) -> Result<(), RunError> {
        for node in nodes {
            match node {
                Node::Update(program, repeat) => {
                    for _ in 0..*repeat {
                        if !shared {
                            self.clockwork.next_turn();
                        }
                        self.update(program, trainer)?;
                    }
                }
                Node::Together(list) => {
                    self.clockwork.next_turn();
                    self.walk(list, trainer, true)?;
                }
                Node::Average { program, from, pairs } => self.average(program, from.as_ref(), pairs, trainer)?,
                Node::Every(duration, list) => {
                    if self.clockwork.pace.due(duration, trainer.state.place.step + 1) {
                        self.walk(list, trainer, shared)?;
                    }
                }
                Node::Finally(_) => {}
                Node::Rule(place, number) => self.rule(*place, *number, trainer)?,
                Node::Save => self.clockwork.wishes.save = true,
            }
        }
        Ok(())
    }

    fn update(&mut self, program: &mut TrainProgram, trainer: &mut Trainer) -> Result<(), RunError> {
        self.clockwork.fetch(&program.reads)?;
        let loss = self.compute(program, trainer)?;
        if let Some(loss) = loss {
            trainer.state.window.add(program.name(), f64::from(loss));
        }
        Ok(())
    }

    fn compute(&mut self, program: &mut TrainProgram, trainer: &mut Trainer) -> Result<Option<f32>, RunError> {
        let place = trainer.state.place;
        let clockwork = &self.clockwork;
        let turn = clockwork.turns.saturating_sub(1);
        let time = Time::of(trainer.options.seed, place.phase, turn, place.spent).after(&clockwork.pace, place.step);
        let around = Around { batches: &clockwork.batches, time: &time, places: &clockwork.places };
        let look = trainer.options.check_nan.is_some_and(|every| place.total.is_multiple_of(every.get() as u64));
        let name = program.name().to_owned();
        let at = || format!("phase {}, step {}, `{name}`", self.phase.name, place.step + 1);
        if let Some(away) = &mut self.away {
            return away.turn(program, trainer.state, &around, at()).map(|()| None);
        }
        let watch = Watch { look, compiler: &trainer.compiler, spec: &self.spec, at: &at };
        program.run(trainer.state, &around, &mut self.room, &watch)
    }

    fn average(
        &mut self,
        program: &mut TrainProgram,
        from: Option<&Duration>,
        pairs: &[(usize, usize)],
        trainer: &mut Trainer,
    ) -> Result<(), RunError> {
        let elapsed = |from: &Duration| self.clockwork.pace.elapsed(trainer.state.place.step, from.unit) < from.amount;
        if from.is_some_and(elapsed) {
            match &mut self.away {
                Some(away) => away.copy(trainer.state, pairs)?,
                None => pairs.iter().for_each(|(weight, average)| trainer.state.copy(*weight, *average)),
            }
            return Ok(());
        }
        self.clockwork.fetch(&program.reads)?;
        self.compute(program, trainer).map(|_| ())
    }

    /// What reads settled models.
    fn rule(&mut self, place: Span, number: usize, trainer: &mut Trainer) -> Result<(), RunError> {
        self.home(trainer)?;
        if self.rules.is_none() {
            self.rules = Some(Rules::open(trainer)?);
        }
        let Some(rules) = &mut self.rules else { return Ok(()) };
        let done = trainer.state.place.step + trainer.ahead;
        let time = Time::of(trainer.options.seed, trainer.end.phases.len(), 0, 0).after(&self.clockwork.pace, done);
        match rules.verdict(place, trainer, time)? {
            Verdict::Keep(value) => self.keep(value, done, trainer),
            Verdict::Restart(on) => {
                self.clockwork.wishes.restart |= on && trainer.state.place.restarts < MOST_RESTARTS;
                Ok(())
            }
            Verdict::Finish(on) => {
                self.clockwork.wishes.finish |= on;
                Ok(())
            }
            Verdict::Show(panels) => {
                let spent = trainer.state.place.spent + trainer.ahead;
                let rows = panels.iter().map(|panel| panel.name.clone()).collect();
                let file = format!("pictures/{}-{spent:06}-{number}.png", self.phase.name.replace(['/', '\\'], "-"));
                trainer.say(&self.phase.name, What::Shown { file, rows }, &panels)
            }
            Verdict::Measured(all) => all.into_iter().try_for_each(|figures| trainer.say(&self.phase.name, What::Measured(figures), &[])),
        }
    }

    /// Keeps the models if their value is the largest so far.
    fn keep(&self, value: f64, step: u64, trainer: &mut Trainer) -> Result<(), RunError> {
        if !value.is_finite() || trainer.state.best.is_some_and(|best| best.value >= value) {
            return Ok(());
        }
        trainer.state.keep_best(&self.phase.trained, Best { value, step });
        trainer.say(&self.phase.name, What::Kept(value), &[])
    }

    /// The models of the phase with new first values; its time begins anew, its data goes on.
    fn restart(&mut self, trainer: &mut Trainer) -> Result<(), RunError> {
        self.losses(trainer)?;
        self.home(trainer)?;
        let place = &mut trainer.state.place;
        (place.step, place.restarts) = (0, place.restarts + 1);
        let restarts = place.restarts;
        trainer.say(&self.phase.name, What::Restarted(restarts), &[])?;
        trainer.state.forget(&self.phase.trained);
        begin(trainer, &self.spec, &self.phase)
    }

    /// Hands the best models on, does what is to be done at the end, and goes on to the next phase.
    fn finish(&mut self, trainer: &mut Trainer) -> Result<(), RunError> {
        self.losses(trainer)?;
        self.home(trainer)?;
        let best = trainer.state.restore_best();
        // What the card holds is not the best.
        if let (Some(_), Some(away)) = (best, &mut self.away) {
            away.forget();
        }
        let mut nodes = std::mem::take(&mut self.nodes);
        let last = nodes.iter_mut().filter_map(|node| if let Node::Finally(list) = node { Some(list) } else { None });
        last.into_iter().try_for_each(|list| self.walk(list, trainer, false))?;
        self.home(trainer)?;
        for skipped in self.clockwork.streams.values().flat_map(Stream::skipped) {
            trainer.observer.left_out(&skipped.file.display().to_string(), &skipped.why);
        }
        let Place { phase, total, step, .. } = trainer.state.place;
        trainer.state.elapsed = Time::default().after(&self.clockwork.pace, step).elapsed;
        trainer.state.place = Place { phase: phase + 1, total, ..Place::default() };
        trainer.observer.save(trainer.state, false)
    }
}

impl Clockwork {
    /// Fresh data and fresh draws.
    fn next_turn(&mut self) {
        self.turns += 1;
        self.batches.clear();
    }

    /// Takes a batch of each data item that has none in this turn.
    fn fetch(&mut self, reads: &[String]) -> Result<(), RunError> {
        for name in reads {
            if !self.batches.contains_key(name)
                && let Some(stream) = self.streams.get_mut(name)
            {
                self.batches.insert(name.clone(), stream.next_batch()?);
            }
        }
        Ok(())
    }
}

/// First values for all that the phase reads and has none.
fn begin(trainer: &mut Trainer, spec: &Spec, phase: &Phase) -> Result<(), RunError> {
    if !trainer.state.place.begun {
        trainer.state.forget(&phase.fresh);
        trainer.state.place.begun = true;
    }
    start::complete(trainer.state, spec, trainer.options.seed, &mut trainer.compiler)?;
    let averaged = averages(phase, spec);
    start::average(trainer.state, &averaged);
    trainer.state.forget_averages(&phase.trained, &averaged);
    Ok(())
}

/// Paths of the weights that statements average.
fn averages(phase: &Phase, spec: &Spec) -> Vec<String> {
    let of = |statement: &Statement| match &statement.act {
        Act::Average(average) => average.weights.iter().map(|(number, _)| spec.weights[*number].path.clone()).collect(),
        _ => Vec::new(),
    };
    flat(&phase.body).into_iter().flat_map(of).collect()
}

fn nodes(body: &[Statement], phase: &Phase, spec: &Spec, trainer: &mut Trainer, rules: &mut usize) -> Result<Vec<Node>, RunError> {
    let mut made = Vec::new();
    for statement in body {
        made.extend(match &statement.act {
            Act::Update(update) => Task::update(spec, update, phase.batch)
                .map(|task| TrainProgram::update(task, spec, &phase.trained, trainer.state, &mut trainer.compiler))
                .transpose()?
                .map(|program| Node::Update(program, update.repeat)),
            Act::Average(average) => {
                let state = &trainer.state;
                let pair = |path: &str| Some((state.number(Kind::Weight, path)?, state.number(Kind::Average, path)?));
                let pairs = average.weights.iter().filter_map(|(number, _)| pair(&spec.weights[*number].path)).collect();
                Task::average(spec, average, phase.batch)
                    .map(|task| TrainProgram::average(task, spec, trainer.state, &mut trainer.compiler))
                    .transpose()?
                    .map(|program| Node::Average { program, from: average.from, pairs })
            }
            Act::Together(list) => Some(Node::Together(nodes(list, phase, spec, trainer, rules)?)),
            Act::Every(duration, list) => Some(Node::Every(*duration, nodes(list, phase, spec, trainer, rules)?)),
            Act::Finally(list) => Some(Node::Finally(nodes(list, phase, spec, trainer, rules)?)),
            Act::Keep(_) | Act::Restart(_) | Act::Finish(_) | Act::Show { .. } | Act::Measure(_) => {
                *rules += 1;
                Some(Node::Rule(statement.span, *rules - 1))
            }
            Act::Checkpoint => Some(Node::Save),
        });
    }
    Ok(made)
}

/// Whether every program can run where tensors stay on a card.
fn can_stay(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| match node {
        Node::Update(program, _) | Node::Average { program, .. } => program.can_stay(),
        Node::Together(list) | Node::Every(_, list) | Node::Finally(list) => can_stay(list),
        Node::Rule(..) | Node::Save => true,
    })
}

/// What is enough for each program.
fn needs(nodes: &[Node]) -> Needs {
    let of = |node: &Node| match node {
        Node::Update(program, _) | Node::Average { program, .. } => program.needs(),
        Node::Together(list) | Node::Every(_, list) | Node::Finally(list) => needs(list),
        Node::Rule(..) | Node::Save => Needs::default(),
    };
    nodes.iter().map(of).fold(Needs::default(), Needs::max)
}

fn saves(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match node {
        Node::Save => true,
        Node::Together(list) | Node::Every(_, list) => saves(list),
        _ => false,
    })
}

/// The streams of a phase, and how many samples the first of them has.
struct Streams {
    by_name: BTreeMap<String, Stream>,
    first_length: u64,
}

fn streams(nodes: &[Node], phase: &Phase, spec: &Spec, trainer: &mut Trainer) -> Result<Streams, RunError> {
    let mut names = Vec::new();
    read(nodes, &mut names);
    let mut streams = Streams { by_name: BTreeMap::new(), first_length: 0 };
    for name in names {
        let Some(number) = spec.data.iter().position(|data| data.name == name) else { continue };
        let data = &spec.data[number];
        let set = trainer.data(spec, number)?;
        if streams.by_name.is_empty() {
            streams.first_length = set.len(Part::Train) as u64;
        }
        let taken = trainer.state.cursors.get(&name).copied().unwrap_or(0);
        let stream = Stream::open(data, set, phase.batch, trainer.options.seed, taken)?;
        streams.by_name.insert(name, stream);
    }
    Ok(streams)
}

/// Names of the data items that programs read, in order.
fn read(nodes: &[Node], names: &mut Vec<String>) {
    for node in nodes {
        match node {
            Node::Update(program, _) | Node::Average { program, .. } => {
                program.reads.iter().for_each(|name| {
                    if !names.contains(name) {
                        names.push(name.clone())
                    }
                });
            }
            Node::Together(list) | Node::Every(_, list) | Node::Finally(list) => read(list, names),
            Node::Rule(..) | Node::Save => {}
        }
    }
}
