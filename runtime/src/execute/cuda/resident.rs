//! Training on a card: tensors stay there, and a step - all its updates and averages with their batches and clocks - is one graph that is
//! replayed. Losses are kept on the card until somebody reads them.
//!
//! A step that is taken for the first time is launched kernel by kernel, which also loads what the driver loads late; the second time it
//! is recorded. What a graph reads at fixed places is copied there before it is launched: the batch, the clock, what is over of the phase.
//!
//! Once a number is not finite, that program and all that come after it leave the tensors as they were, until the losses are read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use segc_compiler::kernel::Place;

use super::driver::{Bound, Buffer, Card, CardError, Copies, Graph, Ready, Room, Stream, View};
use crate::execute::Executable;

/// Losses and flags that are kept until they are read, in elements.
const KEPT: usize = 1 << 14;

/// What a program reads.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A tensor that stays on the card, by number, with its values at home; they are brought up when it is first read.
    Tensor(usize, &'a [f32]),
    /// Values that are brought up each time.
    Values(&'a [f32]),
}

/// What came of a run of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noted {
    /// The loss, where it has one.
    pub loss: Option<f32>,
    /// Whether everything that its results are made of, and the loss, was finite.
    pub finite: bool,
}

/// Tensors of a training on a card, and the steps that change them.
pub struct Resident {
    card: Card,
    room: Room,
    tensors: BTreeMap<usize, Buffer>,
    changed: BTreeSet<usize>,
    stages: HashMap<Key, (usize, Rc<Stage>)>,
    /// The step at hand.
    step: Vec<Turn>,
    /// Steps that were taken before, with their graph from the second time on.
    steps: HashMap<Vec<Mark>, Option<Graph>>,
    /// Not zero, bit by bit, once a number was not finite.
    halted: Buffer,
    /// Loss and flag of each run of the step at hand.
    notes: Buffer,
    /// Those of the steps before, and how many of them there are.
    kept: Buffer,
    filled: usize,
    /// For each run that was launched and not read, whether it has a loss.
    launched: Vec<bool>,
    /// What was read from the card and not given away yet.
    noted: Vec<Noted>,
    recorded: bool,
}

/// What tells stages apart: place in the step, program, tensors that it reads and replaces.
type Key = (usize, usize, Vec<Option<usize>>);

/// A program at its place in a step, with the memory that it works on.
struct Stage {
    program: Arc<dyn Executable>,
    bound: Bound,
    /// Where values that come each time go, by number of the input.
    values: Vec<(usize, Buffer)>,
    /// Results that are not written over what they replace, by number, and where they go in the end.
    apart: Vec<(usize, View)>,
    copies: Copies,
    /// The number of the loss among the results.
    loss: Option<usize>,
}

/// Results that are not written over what they replace: rooms for those that need one, where they go in the end, how large they are.
#[derive(Default)]
struct Apart {
    rooms: Vec<Option<View>>,
    targets: Vec<(usize, View)>,
    sizes: Vec<usize>,
}

/// A part of a step.
enum Turn {
    Run(usize, Rc<Stage>),
    Copy(usize, usize),
}

/// What tells parts of steps apart: the number of a stage, or from where to where a tensor is copied.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Mark {
    Run(usize),
    Copy(usize, usize),
}

impl Resident {
    /// Nothing is on the card yet. With `recorded` steps become graphs, otherwise they are launched kernel by kernel each time.
    ///
    /// # Errors
    /// No memory is left on the card.
    pub fn new(card: Card, recorded: bool) -> Result<Resident, CardError> {
        Ok(Resident {
            room: Room::new(&card, Default::default())?,
            halted: card.buffer(1)?,
            notes: card.buffer(KEPT)?,
            kept: card.buffer(KEPT)?,
            card,
            recorded,
            tensors: BTreeMap::new(),
            changed: BTreeSet::new(),
            stages: HashMap::new(),
            step: Vec::new(),
            steps: HashMap::new(),
            filled: 0,
            launched: Vec::new(),
            noted: Vec::new(),
        })
    }

    /// Whether a program can run where tensors stay: no part of it is computed by the host, and it looks at its numbers before it replaces
    /// tensors.
    pub fn takes(program: &dyn Executable, targets: &[Option<usize>]) -> bool {
        program.on_card().is_some_and(|ready| ready.is_whole() && (ready.is_guarded() || targets.iter().all(Option::is_none)))
    }

    /// Puts a run of a program behind the step at hand. `targets`: the tensor that each result replaces; what replaces none is the loss.
    /// `replaced` are the values at home of those tensors, in the same order.
    ///
    /// # Errors
    /// [`CardError::Misuse`] for a program that it does not take; no memory is left; what the driver finds.
    pub fn turn(&mut self, program: &Arc<dyn Executable>, inputs: &[Input], replaced: &[Option<(usize, &[f32])>]) -> Result<(), CardError> {
        let targets: &[Option<usize>] = &replaced.iter().map(|one| one.map(|(number, _)| number)).collect::<Vec<_>>();
        let ready = program.on_card().filter(|_| Self::takes(program.as_ref(), targets));
        let ready = ready.ok_or_else(|| CardError::Misuse("a program that needs the host cannot stay on the card".into()))?;
        self.make_room(ready)?;
        let replaced = replaced.iter().flatten().map(|(number, values)| Input::Tensor(*number, values));
        for input in inputs.iter().copied().chain(replaced) {
            self.bring(input)?;
        }
        let (number, stage) = self.stage(program, ready, inputs, targets)?;
        let card = self.card.clone();
        let mut stream = card.stream()?;
        for (at, buffer) in &stage.values {
            if let Input::Values(values) = inputs[*at] {
                stream.upload(&values[..buffer.elements()], &buffer.view())?;
            }
        }
        self.changed.extend(targets.iter().flatten());
        self.step.push(Turn::Run(number, stage));
        Ok(())
    }

    /// Puts a copy of a tensor into another behind the step at hand; both are given with their values at home.
    ///
    /// # Errors
    /// No memory is left; what the driver finds.
    pub fn copy(&mut self, from: (usize, &[f32]), into: (usize, &[f32])) -> Result<(), CardError> {
        for (number, values) in [from, into] {
            self.bring(Input::Tensor(number, values))?;
        }
        self.changed.insert(into.0);
        self.step.push(Turn::Copy(from.0, into.0));
        Ok(())
    }

    /// Launches the step at hand.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn launch(&mut self) -> Result<(), CardError> {
        if self.step.is_empty() {
            return Ok(());
        }
        let marks: Vec<Mark> = self.step.iter().map(Turn::mark).collect();
        let runs: Vec<bool> = self.step.iter().filter_map(Turn::has_loss).collect();
        if self.filled + 2 * runs.len() > KEPT {
            self.drain()?;
        }
        let card = self.card.clone();
        let mut stream = card.stream()?;
        match self.steps.get(&marks) {
            Some(Some(graph)) => stream.replay(graph)?,
            Some(None) if self.recorded => {
                let graph = stream.capture(|stream| self.put(stream))?;
                stream.replay(&graph)?;
                self.steps.insert(marks, Some(graph));
            }
            _ => {
                self.put(&mut stream)?;
                self.steps.insert(marks, None);
            }
        }
        let size = 2 * runs.len();
        stream.copy(&self.notes.part(0, size)?, &self.kept.part(self.filled, size)?)?;
        self.filled += size;
        self.launched.extend(runs);
        self.step.clear();
        Ok(())
    }

    /// Launches the step at hand, waits for the card, and gives what came of each run since the last time, in order.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn read(&mut self) -> Result<Vec<Noted>, CardError> {
        self.launch()?;
        self.drain()?;
        Ok(std::mem::take(&mut self.noted))
    }

    /// The tensors that were changed since the last time; they are then told as unchanged.
    pub fn changed(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.changed)
    }

    /// Brings a tensor home.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where it is not on the card or has another size; what the driver finds.
    pub fn fetch(&mut self, number: usize, to: &mut [f32]) -> Result<(), CardError> {
        let view = self.tensor(number)?;
        self.card.stream()?.download(&view, to)
    }

    /// Forgets all tensors: those at home are others now.
    pub fn forget(&mut self) {
        self.tensors.clear();
        self.changed.clear();
        self.stages.clear();
        self.steps.clear();
    }

    /// A larger room where a program needs one. What was bound to the smaller one is forgotten.
    fn make_room(&mut self, ready: &Ready) -> Result<(), CardError> {
        let needs = self.room.needs();
        if needs.covers(ready.needs()) {
            return Ok(());
        }
        // Stages of the step at hand are bound to the room that there was.
        self.launch()?;
        self.stages.clear();
        self.steps.clear();
        self.room = Room::new(&self.card, needs.max(ready.needs()))?;
        Ok(())
    }

    fn bring(&mut self, input: Input) -> Result<(), CardError> {
        let Input::Tensor(number, values) = input else { return Ok(()) };
        if !self.tensors.contains_key(&number) {
            let buffer = self.card.buffer(values.len())?;
            self.card.stream()?.upload(values, &buffer.view())?;
            self.tensors.insert(number, buffer);
        }
        Ok(())
    }

    fn tensor(&self, number: usize) -> Result<View, CardError> {
        let missing = || CardError::Misuse(format!("tensor {number} of the training is not on the card"));
        Ok(self.tensors.get(&number).ok_or_else(missing)?.view())
    }

    /// The stage of a program at the end of the step at hand, and its number.
    fn stage(
        &mut self,
        program: &Arc<dyn Executable>,
        ready: &Ready,
        inputs: &[Input],
        targets: &[Option<usize>],
    ) -> Result<(usize, Rc<Stage>), CardError> {
        let place = self.step.iter().filter(|turn| matches!(turn, Turn::Run(..))).count();
        if 2 * (place + 1) > KEPT {
            return Err(CardError::Misuse(format!("a step of more than {} updates cannot stay on the card", KEPT / 2)));
        }
        let tensors = inputs.iter().map(|input| if let Input::Tensor(number, _) = input { Some(*number) } else { None });
        // The program stays at its address: the stage owns a share of it.
        let key = (place, Arc::as_ptr(program).cast::<()>() as usize, tensors.chain(targets.iter().copied()).collect());
        if let Some((number, stage)) = self.stages.get(&key) {
            return Ok((*number, stage.clone()));
        }
        let (mut views, mut values) = (Vec::new(), Vec::new());
        for ((at, input), (_, shape)) in inputs.iter().enumerate().zip(&program.program().inputs) {
            views.push(match input {
                Input::Tensor(number, _) => self.tensor(*number)?,
                Input::Values(_) => {
                    let buffer = self.card.buffer(shape.iter().product())?;
                    values.push((at, buffer.clone()));
                    buffer.view()
                }
            });
        }
        let Apart { rooms, targets: apart, sizes } = self.apart(program.as_ref(), targets)?;
        let bound = ready.bind(&self.room, views, rooms)?;
        let copies = Copies::new(&self.card, &sizes)?;
        let loss = targets.iter().position(Option::is_none);
        let stage = Rc::new(Stage { program: program.clone(), bound, values, apart, copies, loss });
        let number = self.stages.len();
        self.stages.insert(key, (number, stage.clone()));
        Ok((number, stage))
    }

    /// Where results go that are not written over what they replace.
    fn apart(&self, program: &dyn Executable, targets: &[Option<usize>]) -> Result<Apart, CardError> {
        let program = program.program();
        let mut all = Apart::default();
        for (number, ((_, place, shape), target)) in program.outputs.iter().zip(targets).enumerate() {
            let elements = shape.iter().product();
            let over = program.over.get(number).copied().flatten().is_some();
            let own = matches!(place, Place::Result(_)) && !over;
            all.rooms.push(if own { Some(self.card.buffer(elements)?.view()) } else { None });
            if let Some(target) = target.filter(|_| !over) {
                all.targets.push((number, self.tensor(target)?));
                all.sizes.push(elements);
            }
        }
        Ok(all)
    }

    /// Puts the step at hand on a stream.
    fn put(&self, stream: &mut Stream) -> Result<(), CardError> {
        let mut place = 0;
        for turn in &self.step {
            match turn {
                Turn::Run(_, stage) => {
                    let [loss, flag] = [self.notes.part(2 * place, 1)?, self.notes.part(2 * place + 1, 1)?];
                    stage.put(stream, &self.halted.view(), &loss, &flag)?;
                    place += 1;
                }
                Turn::Copy(from, into) => stream.copy(&self.tensor(*from)?, &self.tensor(*into)?)?,
            }
        }
        Ok(())
    }

    /// Waits for the card and takes what it has noted.
    fn drain(&mut self) -> Result<(), CardError> {
        if self.filled == 0 {
            return Ok(());
        }
        let mut all = vec![0.0f32; self.filled];
        self.card.stream()?.download(&self.kept.part(0, self.filled)?, &mut all)?;
        for (pair, has_loss) in all.as_chunks::<2>().0.iter().zip(self.launched.drain(..)) {
            let loss = has_loss.then_some(pair[0]);
            self.noted.push(Noted { loss, finite: pair[1].to_bits() == 0 && loss.is_none_or(f32::is_finite) });
        }
        self.filled = 0;
        Ok(())
    }
}

impl Turn {
    fn mark(&self) -> Mark {
        match self {
            Turn::Run(number, _) => Mark::Run(*number),
            Turn::Copy(from, into) => Mark::Copy(*from, *into),
        }
    }

    /// Of a run, whether it has a loss.
    fn has_loss(&self) -> Option<bool> {
        match self {
            Turn::Run(_, stage) => Some(stage.loss.is_some()),
            Turn::Copy(..) => None,
        }
    }
}

impl Stage {
    /// Puts the program on a stream, with its loss and its flag to be noted. It begins with the flag of all that came before.
    fn put(&self, stream: &mut Stream, halted: &View, loss: &View, flag: &View) -> Result<(), CardError> {
        let ready = self.program.on_card().ok_or_else(|| CardError::Misuse("a program has left the card".into()))?;
        stream.copy(halted, &ready.flag())?;
        for act in 0..ready.acts().count() {
            ready.launch(stream, &self.bound, act)?;
        }
        ready.end(stream, &self.bound)?;
        for (number, to) in &self.apart {
            self.copies.put(stream, &ready.flag(), &ready.output(&self.bound, *number)?, to)?;
        }
        stream.copy(&ready.flag(), flag)?;
        stream.copy(&ready.flag(), halted)?;
        match self.loss {
            Some(number) => stream.copy(&ready.output(&self.bound, number)?.part(0, 1)?, loss),
            None => Ok(()),
        }
    }
}
