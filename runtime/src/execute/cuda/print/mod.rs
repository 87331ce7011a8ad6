//! A program as CUDA C: its text, and the launches that run it. Nothing here needs a device, so every kernel can be compiled and run in
//! tests where there is none.

use std::sync::Arc;

use segc_compiler::kernel::Place;

/// How products of matrices and convolutions read their operands; sums are always in single precision, everything else is too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Rounded to the 10 bits of mantissa of TF32, to nearest, ties away from zero.
    Tf32,
    /// Rounded to bf16, to nearest even.
    Bf16,
}

/// A program in CUDA C.
#[derive(Clone, Debug)]
pub struct Printed {
    /// One translation unit in the C subset of CUDA C. Kernels that differ only in where their buffers lie are one function.
    pub source: String,
    /// What runs, in order, with the number of the program's kernel that it belongs to.
    pub acts: Vec<(usize, Act)>,
    /// Launches that set the flag if anything that results over inputs are made of is not finite; they run before the acts of
    /// [`segc_compiler::Program::last`].
    pub guards: Vec<Launch>,
    /// Whole numbers that kernels look up.
    pub tables: Vec<u32>,
    /// Elements of memory that launches of one kernel share, beside the arena.
    pub scratch: usize,
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A kernel is launched.
    Launch(Launch),
    /// An algorithm of the host, or an op by its definition, on copies of the operands; cannot be captured.
    Host,
}

/// A launch of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The function's name in the source. It begins with `sync_` where threads of a block wait for each other.
    pub name: Arc<str>,
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Bytes of shared memory that are given at the launch.
    pub shared: u32,
    /// Its arguments; all are pointers.
    pub arguments: Vec<Argument>,
}

/// An argument of a kernel: a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// `float*` to the first element of a buffer.
    At(Place),
    /// `float*` into [`Printed::scratch`], in elements.
    Scratch(usize),
    /// `const unsigned*` into [`Printed::tables`], in elements.
    Table(usize),
    /// `unsigned*` to the flag: not zero once a number that results depend on is not finite. Kernels that write results over inputs
    /// leave them alone then.
    Flag,
}
