//! A printed program on a card: its kernels loaded, its tables there, and its launches bound to memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cudarc::driver::sys;
use segc_compiler::Program;
use segc_compiler::kernel::Place;

use super::card::Card;
use super::fault::CardError;
use super::memory::{Buffer, View};
use super::module::{Function, Module};
use super::planned::Planned;
use super::stream::{Kept, Stream};
use crate::execute::cuda::print::{Act, Argument, Launch, Printed};

/// Memory that a program needs beside inputs and results, in elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// For values between kernels.
    pub arena: usize,
    /// For threads of one kernel, or for a library.
    pub scratch: usize,
}

impl Needs {
    /// What is enough for both.
    pub fn max(self, other: Needs) -> Needs {
        Needs { arena: self.arena.max(other.arena), scratch: self.scratch.max(other.scratch) }
    }

    /// Whether it is enough for another one.
    pub fn covers(self, other: Needs) -> bool {
        self.max(other) == self
    }
}

/// Memory of a card that holds nothing between two programs, so that programs that run one after the other share it. Clones are the same.
#[derive(Clone)]
pub struct Room {
    needs: Needs,
    arena: Buffer,
    scratch: Buffer,
}

impl Room {
    /// As much as is needed.
    ///
    /// # Errors
    /// [`CardError::OutOfMemory`], and what the driver finds.
    pub fn new(card: &Card, needs: Needs) -> Result<Room, CardError> {
        Ok(Room { needs, arena: card.buffer(needs.arena)?, scratch: card.buffer(needs.scratch)? })
    }

    /// What it is enough for.
    pub fn needs(&self) -> Needs {
        self.needs
    }
}

/// A program that is loaded.
pub struct Ready {
    card: Card,
    /// What tells programs apart, so that none runs on what was bound for another.
    number: u64,
    inputs: Vec<usize>,
    /// Place and elements.
    outputs: Vec<(Place, usize)>,
    over: Vec<Option<usize>>,
    last: usize,
    needs: Needs,
    /// The number of the program's kernel, and what is done.
    acts: Vec<(usize, Deed)>,
    guards: Vec<usize>,
    launches: Vec<(Function, Launch)>,
    calls: Vec<Planned>,
    tables: Buffer,
    flag: Buffer,
}

/// What an act does.
#[derive(Clone, Copy, PartialEq)]
enum Deed {
    /// A launch, by number.
    Launch(usize),
    /// Work of a library, by number.
    Call(usize),
    /// What the host computes.
    Host,
}

/// A program with the memory that it works on.
pub struct Bound {
    program: u64,
    arena: View,
    inputs: Vec<View>,
    /// Where each result at [`Place::Result`] goes.
    results: Vec<Option<View>>,
    /// The arguments of each launch.
    pointers: Vec<Vec<sys::CUdeviceptr>>,
    /// What each work of a library reads and writes, and the workspace of all.
    calls: Vec<[sys::CUdeviceptr; 3]>,
    workspace: sys::CUdeviceptr,
    /// All memory that they point to.
    kept: Arc<Vec<Kept>>,
}

impl Ready {
    /// Compiles and loads what a program was printed as. The printed program must be that of the program: its kernels are trusted to stay
    /// inside the buffers that they are given. Work that a library takes ([`Printed::calls`]) is done by it, all other by the kernels.
    ///
    /// # Errors
    /// [`CardError::Compile`], [`CardError::OutOfMemory`] for its tables, and what the driver finds.
    pub fn new(card: &Card, program: &Program, printed: &Printed) -> Result<Ready, CardError> {
        let module = Module::new(card, &printed.source)?;
        let (numbers, calls) = taken(card, printed)?;
        let own = || printed.acts.iter().filter(|(kernel, _)| !numbers.contains_key(kernel));
        let mut shared: HashMap<&str, u32> = HashMap::new();
        let all = || own().filter_map(|(_, act)| if let Act::Launch(launch) = act { Some(launch) } else { None });
        for launch in all().chain(&printed.guards) {
            let most = shared.entry(&launch.name).or_default();
            *most = launch.shared.max(*most);
        }
        let functions: HashMap<&str, Function> =
            shared.into_iter().map(|(name, shared)| Ok((name, module.function(name, shared)?))).collect::<Result<_, CardError>>()?;
        let mut launches = Vec::new();
        let mut add = |launch: &Launch| {
            launches.push((functions[&*launch.name].clone(), launch.clone()));
            launches.len() - 1
        };
        let mut acts: Vec<(usize, Deed)> = Vec::new();
        for (kernel, act) in &printed.acts {
            let deed = match (numbers.get(kernel), act) {
                (Some(call), _) => Deed::Call(*call),
                (None, Act::Launch(launch)) => Deed::Launch(add(launch)),
                (None, Act::Host) => Deed::Host,
            };
            // One call stands for all launches of its kernel.
            if !matches!(deed, Deed::Call(_)) || acts.last() != Some(&(*kernel, deed)) {
                acts.push((*kernel, deed));
            }
        }
        let guards = printed.guards.iter().map(&mut add).collect();
        let workspace = calls.iter().map(Planned::workspace).max().unwrap_or(0);
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        static PROGRAMS: AtomicU64 = AtomicU64::new(0);
        Ok(Ready {
            card: card.clone(),
            number: PROGRAMS.fetch_add(1, Ordering::Relaxed),
            inputs: program.inputs.iter().map(|(_, shape)| elements(shape)).collect(),
            outputs: program.outputs.iter().map(|(_, place, shape)| (*place, elements(shape))).collect(),
            over: program.over.clone(),
            last: program.last,
            needs: Needs { arena: program.arena, scratch: printed.scratch.max(workspace.div_ceil(4)) },
            acts,
            guards,
            launches,
            calls,
            tables: tables(card, &printed.tables)?,
            flag: card.buffer(1)?,
        })
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Memory that a run needs beside inputs and results.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether all of it runs on the card, so that it can be recorded.
    pub fn is_whole(&self) -> bool {
        self.acts.iter().all(|(_, deed)| *deed != Deed::Host)
    }

    /// Whether numbers that are not finite set the flag before results are written over inputs.
    pub fn is_guarded(&self) -> bool {
        !self.guards.is_empty()
    }

    /// Binds it to memory: a view for each input, in the order of [`Program::inputs`], and one for each result, in the order of
    /// [`Program::outputs`], that lies at [`Place::Result`] and is not written over an input ([`Program::over`]); others need none.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where one is missing, is of another card or has another size, and where a library reads one that is a part of
    /// a buffer from within.
    pub fn bind(&self, room: &Room, inputs: Vec<View>, results: Vec<Option<View>>) -> Result<Bound, CardError> {
        if !room.needs.covers(self.needs) || inputs.len() != self.inputs.len() {
            return Err(CardError::Misuse("a program on the card was given too little room, or other inputs than it has".into()));
        }
        let results = self.results(&inputs, results)?;
        let sized = inputs.iter().zip(&self.inputs).all(|(view, size)| view.elements() >= *size);
        let here = inputs.iter().chain(results.iter().flatten()).all(|view| view.lies_on(&self.card.0));
        if !sized || !here || !room.arena.view().lies_on(&self.card.0) {
            return Err(CardError::Misuse("a program on the card was given an input of another size or card".into()));
        }
        let workspace = room.scratch.view().address();
        let (arena, program) = (room.arena.view(), self.number);
        let mut bound = Bound { program, arena, inputs, results, pointers: Vec::new(), calls: Vec::new(), workspace, kept: Arc::default() };
        let address = |argument: &Argument| {
            Ok(match argument {
                Argument::At(place) => self.view(&bound, *place)?.address(),
                Argument::Scratch(at) => room.scratch.part(*at, 0)?.address(),
                Argument::Table(at) => self.tables.part(*at, 0)?.address(),
                Argument::Flag => self.flag.view().address(),
            })
        };
        let pointers = self.launches.iter().map(|(_, launch)| launch.arguments.iter().map(address).collect());
        let pointers = pointers.collect::<Result<_, CardError>>()?;
        bound.calls = self.calls.iter().map(|call| self.addresses(&bound, call)).collect::<Result<_, _>>()?;
        let own = [&room.arena, &room.scratch, &self.tables, &self.flag].map(Buffer::view);
        let views = own.iter().chain(&bound.inputs).chain(bound.results.iter().flatten());
        bound.kept = Arc::new(views.map(|view| view.owner().clone() as Kept).collect());
        bound.pointers = pointers;
        Ok(bound)
    }

    /// Puts the whole program on a stream.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where a part of it is computed by the host ([`Ready::is_whole`]) or it is bound elsewhere; what the driver
    /// finds.
    pub fn launch_all(&self, stream: &mut Stream, bound: &Bound) -> Result<(), CardError> {
        self.begin(stream)?;
        (0..self.acts.len()).try_for_each(|act| self.launch(stream, bound, act))?;
        self.end(stream, bound)
    }

    /// The program's kernel that each act belongs to, and whether the host computes it.
    pub fn acts(&self) -> impl Iterator<Item = (usize, bool)> {
        self.acts.iter().map(|(kernel, deed)| (*kernel, *deed == Deed::Host))
    }

    /// What comes before the first act: nothing was found not to be finite.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn begin(&self, stream: &mut Stream) -> Result<(), CardError> {
        if self.guards.is_empty() { Ok(()) } else { stream.zero(&self.flag.view()) }
    }

    /// One act, with the guards before it where they stand there.
    ///
    /// # Errors
    /// As [`Ready::launch_all`].
    pub fn launch(&self, stream: &mut Stream, bound: &Bound, act: usize) -> Result<(), CardError> {
        let first = |act: usize| self.acts[act].0 >= self.last && (act == 0 || self.acts[act - 1].0 < self.last);
        if first(act) {
            self.guards.iter().try_for_each(|guard| self.start(stream, bound, *guard))?;
        }
        match self.acts[act].1 {
            Deed::Launch(launch) => self.start(stream, bound, launch),
            Deed::Call(call) => self.call(stream, bound, call),
            Deed::Host => Err(CardError::Misuse("a part of the program is computed by the host and cannot be recorded".into())),
        }
    }

    /// What comes after the last act: the guards where no act comes behind them.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn end(&self, stream: &mut Stream, bound: &Bound) -> Result<(), CardError> {
        if self.acts.iter().any(|(kernel, _)| *kernel >= self.last) {
            return Ok(());
        }
        self.guards.iter().try_for_each(|guard| self.start(stream, bound, *guard))
    }

    /// Whether the last run left results over inputs as they were, since what they are made of is not finite. Waits for the card.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn held(&self, stream: &mut Stream) -> Result<bool, CardError> {
        if self.guards.is_empty() {
            return Ok(false);
        }
        let mut flag = [0.0f32];
        stream.download(&self.flag.view(), &mut flag)?;
        Ok(flag[0].to_bits() != 0)
    }

    /// The flag of [`Ready::held`]: one element, whose bits are not all zero where results were left as they were.
    pub fn flag(&self) -> View {
        self.flag.view()
    }

    /// Where a result lies after a run; its buffer holds it until the room is used again.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where it is bound elsewhere.
    pub fn output(&self, bound: &Bound, number: usize) -> Result<View, CardError> {
        let (place, elements) = self.outputs[number];
        self.view(bound, place)?.part(0, elements)
    }

    /// A buffer of the program, from its first element to the end of the memory that it lies in.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where it is bound elsewhere.
    pub fn view(&self, bound: &Bound, place: Place) -> Result<View, CardError> {
        if bound.program != self.number {
            return Err(elsewhere());
        }
        match place {
            Place::Input(number) => bound.inputs.get(number).cloned().ok_or_else(elsewhere),
            Place::Result(number) => bound.results.get(number).cloned().flatten().ok_or_else(elsewhere),
            Place::Arena(at) => bound.arena.part(at, bound.arena.elements().saturating_sub(at)),
        }
    }

    /// Where each result at [`Place::Result`] goes.
    fn results(&self, inputs: &[View], given: Vec<Option<View>>) -> Result<Vec<Option<View>>, CardError> {
        let over = |number: usize| self.over.get(number).copied().flatten();
        let mut given = given.into_iter();
        let one = |(number, (place, elements)): (usize, &(Place, usize))| {
            let own = given.next().flatten();
            if !matches!(place, Place::Result(_)) {
                return Ok(None);
            }
            let view = over(number).map_or(own, |input| Some(inputs[input].clone()));
            match view {
                Some(view) if view.elements() == *elements => Ok(Some(view)),
                _ => Err(CardError::Misuse(format!("result {number} of a program on the card needs a buffer of {elements} elements"))),
            }
        };
        self.outputs.iter().enumerate().map(one).collect()
    }

    /// Where the work of a library lies.
    fn addresses(&self, bound: &Bound, call: &Planned) -> Result<[sys::CUdeviceptr; 3], CardError> {
        let at = |place: Place| Ok::<_, CardError>(self.view(bound, place)?.address());
        let [from, other, to] = call.places;
        let addresses = [at(from)?, at(other)?, at(to)?];
        if call.takes(&addresses) {
            return Ok(addresses);
        }
        Err(CardError::Misuse("an input that a library reads begins where a buffer does".into()))
    }

    fn call(&self, stream: &mut Stream, bound: &Bound, call: usize) -> Result<(), CardError> {
        if bound.program != self.number || !Arc::ptr_eq(stream.inner(), &self.card.0) {
            return Err(elsewhere());
        }
        stream.keep([bound.kept.clone() as Kept]);
        // SAFETY: the addresses were made for this work, as aligned as it has to be, from memory of this card that `bound` keeps alive,
        // with a workspace as large as `Ready::needs`; freeing waits for the stream, and a graph keeps it by itself.
        unsafe { stream.call(&self.calls[call], bound.calls[call], bound.workspace) }
    }

    fn start(&self, stream: &mut Stream, bound: &Bound, launch: usize) -> Result<(), CardError> {
        if bound.program != self.number || !Arc::ptr_eq(stream.inner(), &self.card.0) {
            return Err(elsewhere());
        }
        stream.keep([bound.kept.clone() as Kept]);
        let (function, what) = &self.launches[launch];
        // SAFETY: the pointers were made for this launch from memory of this card that `bound` keeps alive; freeing waits for the stream,
        // and a graph keeps it by itself. Kernels stay inside their buffers: that is what `Ready::new` asks of who printed them.
        unsafe { stream.launch(function, [what.grid, what.block], what.shared, &bound.pointers[launch]) }
    }
}

/// The work of a printed program that libraries take, by the number of its kernel, and as they have planned it.
fn taken(card: &Card, printed: &Printed) -> Result<(HashMap<usize, usize>, Vec<Planned>), CardError> {
    let (mut numbers, mut calls) = (HashMap::new(), Vec::new());
    for (kernel, call) in &printed.calls {
        if let Some(planned) = Planned::new(card, call)? {
            numbers.insert(*kernel, calls.len());
            calls.push(planned);
        }
    }
    Ok((numbers, calls))
}

/// Whole numbers on a card, bit by bit.
fn tables(card: &Card, numbers: &[u32]) -> Result<Buffer, CardError> {
    let buffer = card.buffer(numbers.len())?;
    let bits: Vec<f32> = numbers.iter().map(|number| f32::from_bits(*number)).collect();
    card.stream()?.upload(&bits, &buffer.view())?;
    Ok(buffer)
}

fn elsewhere() -> CardError {
    CardError::Misuse("a program on the card runs on what was bound for it".into())
}
