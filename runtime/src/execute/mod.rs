//! Executors: a `Program` is prepared once and run on many samples, one sample per run, from several threads at a time.

mod ceiling;
mod compile;
mod cpu;
pub mod cuda;
mod definition;
#[cfg(feature = "dfdx")]
pub mod dfdx;
mod finding;
mod processor;
mod profile;
mod reference;

use std::time::Duration;

use segc_compiler::Program;

use crate::outcome::RunError;
pub use ceiling::{Ceiling, ceiling};
pub(crate) use compile::graph_hash;
pub use compile::{Compiler, replaced};
pub use cpu::Cpu;
pub use cuda::Cuda;
#[cfg(feature = "dfdx")]
pub use dfdx::Dfdx;
pub(crate) use finding::finite;
pub use finding::{Finding, Statistics};
pub use processor::{Processor, processor};
pub use profile::{KernelProfile, Profiler, ProgramProfile};
pub use reference::Reference;

/// Something that runs programs.
pub trait Device: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;
    /// Whether it runs programs that write results over inputs ([`Program::over`]).
    fn writes_over(&self) -> bool {
        false
    }
    /// Who computes first values of weights in its place, so that trainings begin with the same bits; none: itself.
    fn beginner(&self) -> Option<Box<dyn Device>> {
        None
    }
    /// A home on the device for the tensors of a training, where it has memory of its own; `recorded`: steps become graphs. Errors: none
    /// is left.
    fn resident(&self, _recorded: bool) -> Result<Option<cuda::Resident>, RunError> {
        Ok(None)
    }
    /// Makes a program ready to run. Errors: an algorithm of the host that does not exist, an op that the device cannot run.
    fn prepare(&self, program: Program) -> Result<Box<dyn Executable>, RunError>;
}

/// A program that is ready to run.
pub trait Executable: Send + Sync {
    /// The program.
    fn program(&self) -> &Program;
    /// The program on a card, if that is where it is.
    fn on_card(&self) -> Option<&cuda::driver::Ready> {
        None
    }
    /// What one thread needs beside inputs and outputs.
    fn needs(&self) -> Needs {
        Needs::default()
    }
    /// Memory for one thread; [`Scratch::outputs`] has the outputs' sizes.
    fn scratch(&self) -> Scratch {
        Scratch { room: Room::new(self.needs()), ..Scratch::without_room(self.program()) }
    }
    /// Runs on inputs in the order of [`Program::inputs`] and leaves the results in the scratch's outputs. A result that is written over
    /// an input ([`Program::over`]) holds that input's values before; the input itself is then not read.
    /// Errors: an algorithm of the host that fails.
    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String>;
    /// Runs like [`Executable::run`] and says how long each kernel took. Errors: an algorithm of the host that fails.
    fn timed(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<Vec<Duration>, String> {
        self.run(inputs, scratch)?;
        Ok(Vec::new())
    }
    /// Runs like [`Executable::run`] and stops at the first kernel that makes NaN or an infinity from finite numbers; the outputs are
    /// then not set. Errors: an algorithm of the host that fails.
    fn check(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<Option<Finding>, String> {
        self.run(inputs, scratch)?;
        Ok(finding::of_results(self.program(), inputs, scratch))
    }
}

/// How much memory running a program takes, in elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    arena: usize,
    scalars: usize,
    common: usize,
    own: usize,
    /// How many have memory of their own.
    hands: usize,
}

impl Needs {
    /// What is enough for both.
    pub fn max(self, other: Needs) -> Needs {
        Needs {
            arena: self.arena.max(other.arena),
            scalars: self.scalars.max(other.scalars),
            common: self.common.max(other.common),
            own: self.own.max(other.own),
            hands: self.hands.max(other.hands),
        }
    }

    /// In bytes.
    pub fn bytes(&self) -> u64 {
        4 * (self.arena + self.scalars + self.common + self.own * self.hands) as u64
    }
}

/// Memory that holds nothing between two runs, so that programs that run one after the other can share it.
#[derive(Clone, Debug, Default)]
pub struct Room {
    arena: Lines,
    scalars: Vec<f32>,
    common: Lines,
    own: Vec<Lines>,
}

impl Room {
    /// As much as is needed.
    pub fn new(needs: Needs) -> Room {
        Room {
            arena: Lines::new(needs.arena),
            scalars: vec![0.0; needs.scalars],
            common: Lines::new(needs.common),
            own: vec![Lines::new(needs.own); needs.hands],
        }
    }
}

/// What one thread needs to run a program.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// The results of the last run, in the order of [`Program::outputs`]; those over inputs are empty but for the time of a run.
    pub outputs: Vec<Vec<f32>>,
    /// Whether results over inputs were left as they were, since what they are made of is not finite.
    pub held: bool,
    /// The rest.
    pub room: Room,
}

/// Elements of a cache line.
const LINE: usize = 16;

/// Memory that begins with a cache line, so that wide loads do not straddle two.
#[derive(Debug, Default)]
struct Lines {
    room: Vec<f32>,
    start: usize,
    length: usize,
}

impl Lines {
    fn new(length: usize) -> Lines {
        let room = vec![0.0f32; length + LINE];
        let start = room.as_ptr().align_offset(4 * LINE).min(LINE);
        Lines { room, start, length }
    }
}

impl Clone for Lines {
    fn clone(&self) -> Lines {
        // A copy lies elsewhere and has a start of its own.
        let mut copy = Lines::new(self.length);
        copy.copy_from_slice(self);
        copy
    }
}

impl std::ops::Deref for Lines {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.room[self.start..self.start + self.length]
    }
}

impl std::ops::DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.room[self.start..self.start + self.length]
    }
}

impl Scratch {
    /// Results only; room is to come from elsewhere.
    pub fn without_room(program: &Program) -> Scratch {
        let size = |shape: &[usize], over: &Option<usize>| if over.is_some() { 0 } else { shape.iter().product() };
        let outputs = program.outputs.iter().zip(&program.over).map(|((.., shape), over)| vec![0.0; size(shape, over)]).collect();
        Scratch { outputs, ..Scratch::default() }
    }
}
