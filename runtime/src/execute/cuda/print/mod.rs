//! A program as CUDA C: its text, and the launches that run it. Nothing here needs a device, so every kernel can be compiled and run in
//! tests where there is none.

mod apart;
mod body;
mod contract;
mod conv;
mod index;
mod library;
mod loops;
mod maps;
mod parts;
mod random;
mod reduction;
mod show;
mod text;
mod tiles;

use std::sync::Arc;

use segc_compiler::Program;
use segc_compiler::kernel::{Kernel, Place, Whole};
use segc_compiler::ops::Form;
use segc_compiler::plan::Buffer;

pub use apart::{common, copy};
pub use library::{Call, Convolve, Libraries, Matrix, Multiply, Work, calls};
use text::Text;

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
    /// Kernels, by number, whose acts a library may do in their place; see [`calls`].
    pub calls: Vec<(usize, Call)>,
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

/// Elements that a block looks at for numbers that are not finite.
const CHUNK: usize = 1 << 14;

/// A program as CUDA C, all of it by kernels of its own: no work is left to libraries.
///
/// Functions are named after what they do and a hash of their text, so that a name means the same function in every program that was
/// printed with the same precision. Sums are joined in an order that depends on sizes alone.
pub fn printed(program: &Program, precision: Precision) -> Printed {
    let mut text = Text::default();
    let guarded = program.over.iter().any(Option::is_some) && program.last < program.kernels.len();
    for (number, kernel) in program.kernels.iter().enumerate() {
        text.begin(number, guarded && number >= program.last);
        match kernel {
            Kernel::Loop(body) => loops::print(&mut text, body),
            Kernel::Whole(whole) => {
                if !is_in_arena(&whole.result.0) || alone(&mut text, whole).is_none() {
                    text.host();
                }
            }
        }
    }
    let guards = if guarded { guards(program, &mut text) } else { Vec::new() };
    let spaces = program.kernels.iter().map(|kernel| if let Kernel::Loop(body) = kernel { body.space.iter().product() } else { 0 });
    let sizes = program.inputs.iter().map(|(_, shape)| shape.iter().product()).chain([program.arena]).chain(spaces);
    let before = prelude(precision, index_type(sizes));
    let draws = program.kernels.iter().any(|kernel| matches!(kernel, Kernel::Whole(whole) if matches!(whole.op.form(), Form::Random(..))));
    text.finish(&format!("{before}{}", if draws { include_str!("random.cuh") } else { "" }), guards)
}

/// Whether a place is one where kernels that run alone write.
fn is_in_arena(place: &Place) -> bool {
    matches!(place, Place::Arena(_))
}

/// The launch that looks for numbers that are not finite among what lives when results over inputs begin to be written.
fn guards(program: &Program, text: &mut Text) -> Vec<Launch> {
    let mut chunks = Vec::new();
    let mut count = 0;
    for Buffer { at, elements, .. } in program.buffers.iter().filter(|buffer| buffer.lives(program.last)) {
        for from in (0..*elements).step_by(CHUNK) {
            let start = (at + from) as u64;
            chunks.extend([start as u32, (start >> 32) as u32, CHUNK.min(elements - from) as u32]);
            count += 1;
        }
    }
    if count == 0 {
        return Vec::new();
    }
    let arguments = vec![Argument::At(Place::Arena(0)), text.table(chunks), Argument::Flag];
    vec![Launch { name: Arc::from("segc_guard"), grid: [count, 1, 1], block: [256, 1, 1], shared: 0, arguments }]
}

/// What stands before all functions.
fn prelude(precision: Precision, index: &str) -> String {
    let operand = match precision {
        Precision::F32 => "return x;",
        Precision::Tf32 => {
            "const unsigned bits = __float_as_uint(x);\n    return segc_is_finite(x) ? __uint_as_float((bits + 0x1000u) & 0xffffe000u) : x;"
        }
        Precision::Bf16 => {
            "const unsigned bits = __float_as_uint(x);\n    \
             return segc_is_finite(x) ? __uint_as_float((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u) : x;"
        }
    };
    let rounded = format!(
        "// As products of matrices and convolutions read their operands.\nINSIDE float segc_operand(float x)\n{{\n    {operand}\n}}\n"
    );
    format!("{}\ntypedef {index} index_t;\n\n{rounded}", include_str!("prelude.cuh"))
}

/// The type of places in buffers of these sizes.
fn index_type(sizes: impl Iterator<Item = usize>) -> &'static str {
    if sizes.max().unwrap_or(0) < 1 << 31 { "unsigned" } else { "unsigned long long" }
}

/// Prints an op that runs alone. `None` where the host must do it.
fn alone(text: &mut Text, whole: &Whole) -> Option<()> {
    let fits = |shape: &[usize]| u32::try_from(shape.iter().product::<usize>()).is_ok();
    if !whole.operands.iter().all(|(_, shape)| fits(shape)) || !fits(&whole.result.1) {
        return None;
    }
    match whole.op.form() {
        Form::Contract(a, b, to) => return contract::print(text, whole, [&a, &b, &to]),
        Form::Conv(slide) => return conv::print(text, whole, &slide),
        Form::Reduce(join, over) => maps::reduce(text, whole, join, &over),
        Form::Permute(order) => parts::permute(text, whole, &order),
        Form::Concat(axis) => parts::concat(text, whole, axis),
        Form::Slice(axis, from) => parts::slice(text, whole, axis, from),
        Form::Embed(axis, from) => parts::embed(text, whole, axis, from),
        Form::PickAt(axis) => parts::pick_at(text, whole, axis),
        Form::ArgMax(axis) => maps::arg_max(text, whole, axis),
        Form::MaxPool { window, place } => maps::max_pool(text, whole, &window, place),
        Form::Resample(axis, rows) => maps::resample(text, whole, axis, &rows),
        Form::Gather(batch) => parts::gather(text, whole, batch),
        Form::Scatter(batch) => parts::scatter(text, whole, batch),
        Form::Shift(batch) => parts::shift(text, whole, batch),
        Form::Random(chance, path) => random::print(text, whole, chance, &path),
        // Without operands it is a table of numbers.
        Form::Whole if whole.operands.is_empty() => maps::numbers(text, whole, &whole.op.reference(&[], &whole.result.1)),
        _ => return None,
    }
    Some(())
}
