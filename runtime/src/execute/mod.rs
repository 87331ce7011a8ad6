//! Executors: a `Program` is prepared once and run on many samples, one sample per run, from several threads at a time.

mod cpu;
mod reference;

use segc_compiler::Program;

pub use cpu::Cpu;
pub use reference::Reference;

/// Something that runs programs.
pub trait Device: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;
    /// Makes a program ready to run. Errors: an algorithm of the host that does not exist.
    fn prepare(&self, program: Program) -> Result<Box<dyn Executable>, String>;
}

/// A program that is ready to run.
pub trait Executable: Send + Sync {
    /// The program.
    fn program(&self) -> &Program;
    /// Memory for one thread; [`Scratch::outputs`] has the outputs' sizes.
    fn scratch(&self) -> Scratch;
    /// Runs on inputs in the order of [`Program::inputs`] and leaves the results in the scratch's outputs.
    /// Errors: an algorithm of the host that fails.
    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String>;
}

/// What one thread needs to run a program.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// The results of the last run, in the order of [`Program::outputs`].
    pub outputs: Vec<Vec<f32>>,
    arena: Vec<f32>,
    tiles: Vec<f32>,
    scalars: Vec<f32>,
    padded: Vec<f32>,
}

impl Scratch {
    fn of(program: &Program) -> Scratch {
        let outputs = program.outputs.iter().map(|(_, _, shape)| vec![0.0; shape.iter().product()]).collect();
        Scratch { outputs, ..Scratch::default() }
    }
}
