//! Work that NVIDIA's libraries know, as they ask for it: products of matrices for cuBLASLt, convolutions for cuDNN. Every piece of work
//! has a kernel of its own in the text too, which does it where the library is missing or does not take it.

use segc_compiler::Program;
use segc_compiler::kernel::{Kernel, Place, Slide, Whole};
use segc_compiler::ops::Form;

use super::contract::{Letter, Letters, counted};
use super::{Precision, is_in_arena};

/// Multiplications from which on a library is asked; below it a launch takes longer than the work, whoever does it.
const WORTH: usize = 1 << 20;

/// Which products and convolutions are left to NVIDIA's libraries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Libraries {
    /// None.
    Never,
    /// Large ones.
    #[default]
    Large,
    /// All that the libraries can do.
    Always,
}

/// A kernel of a program as work of a library.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// How operands are read.
    pub precision: Precision,
    /// What is done.
    pub work: Work,
}

/// What a library does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A product of matrices.
    Multiply(Multiply),
    /// A convolution, or its adjoint.
    Convolve(Convolve),
}

/// `result = left * right` for each of some batches, all in single precision; matrices are stored column by column.
#[derive(Clone, Debug, PartialEq)]
pub struct Multiply {
    /// `rows x depth`.
    pub left: Matrix,
    /// `depth x columns`.
    pub right: Matrix,
    /// `rows x columns`; never across.
    pub result: Matrix,
    /// How many products there are.
    pub batches: usize,
    /// What each sum runs over.
    pub depth: usize,
}

/// Matrices as they lie in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Where the first one begins.
    pub at: Place,
    /// Elements of a column, which lie side by side.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Elements from one column to the next.
    pub apart: usize,
    /// Elements from one matrix to the next.
    pub step: usize,
    /// Whether the product reads it transposed.
    pub across: bool,
}

/// A convolution of `picture` by `weight` to `windows`, all of four axes, dense, the last one fastest. Pairs are rows, columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolve {
    /// `[n, c, h, w]`.
    pub picture: (Place, [usize; 4]),
    /// `[o, c / groups, kh, kw]`.
    pub weight: (Place, [usize; 4]),
    /// `[n, o, h', w']`.
    pub windows: (Place, [usize; 4]),
    /// Whether the picture is made of the windows: the adjoint with respect to it.
    pub back: bool,
    /// Around the picture, on both sides of an axis alike.
    pub pad: [usize; 2],
    /// Of the windows.
    pub stride: [usize; 2],
    /// Of the taps.
    pub dilation: [usize; 2],
    /// Parts of the channels that do not see each other.
    pub groups: usize,
}

impl Call {
    /// The two places that it reads and the one that it writes, in this order.
    pub fn places(&self) -> [Place; 3] {
        match &self.work {
            Work::Multiply(product) => [product.left.at, product.right.at, product.result.at],
            Work::Convolve(own) if own.back => [own.windows.0, own.weight.0, own.picture.0],
            Work::Convolve(own) => [own.picture.0, own.weight.0, own.windows.0],
        }
    }
}

/// The work of a program that is left to libraries, with the number of the kernel that does the same. Libraries do not look at the flag;
/// all that they write lies in the arena, from where nothing comes into what is written over inputs once the flag is set.
pub fn calls(program: &Program, precision: Precision, libraries: Libraries) -> Vec<(usize, Call)> {
    let least = match libraries {
        Libraries::Never => return Vec::new(),
        Libraries::Large => WORTH,
        Libraries::Always => 1,
    };
    let one = |(number, kernel): (usize, &Kernel)| {
        let Kernel::Whole(whole) = kernel else { return None };
        let work = work(whole).filter(|work| is_in_arena(&whole.result.0) && work.size() >= least)?;
        Some((number, Call { precision, work }))
    };
    program.kernels.iter().enumerate().filter_map(one).collect()
}

/// An op as work of a library; `None` where none does it.
fn work(whole: &Whole) -> Option<Work> {
    let fits = |shape: &[usize]| i32::try_from(shape.iter().product::<usize>()).is_ok();
    if !whole.operands.iter().all(|(_, shape)| fits(shape)) || !fits(&whole.result.1) {
        return None;
    }
    match whole.op.form() {
        Form::Contract(a, b, to) => multiply(whole, [&a, &b, &to]).map(Work::Multiply),
        Form::Conv(slide) => convolve(whole, &slide).map(Work::Convolve),
        _ => None,
    }
}

impl Work {
    /// Multiplications.
    fn size(&self) -> usize {
        match self {
            Work::Multiply(product) => product.batches * product.result.rows * product.result.columns * product.depth,
            Work::Convolve(own) => own.windows.1.iter().product::<usize>() * own.weight.1[1..].iter().product::<usize>(),
        }
    }
}

/// A sum of products as a product of matrices; `None` where letters do not lie as those of matrices do.
fn multiply(whole: &Whole, letters: [&[u8]; 3]) -> Option<Multiply> {
    let [(a, _), (b, _)] = whole.operands.as_slice() else { return None };
    let Letters { batches, rows, columns, depths } = counted(whole, letters)?;
    if depths.iter().any(|letter| letter.steps[0].is_none() || letter.steps[1].is_none()) {
        return None;
    }
    let [batch, row, column, depth] = [one(&batches)?, one(&rows)?, one(&columns)?, one(&depths)?];
    let step = |side: usize| batch.steps[side].unwrap_or(0);
    let made = |lines: &Letter, others: &Letter, left: (Place, usize), right: (Place, usize)| {
        let result = matrix(whole.result.0, [lines, others], 2, step(2)).filter(|result| !result.across)?;
        // The right side is `depth x columns`: read as it lies where it lies along the depth.
        let right = matrix(right.0, [others, &depth], right.1, step(right.1))?;
        let right = Matrix { across: !right.across, ..right };
        let left = matrix(left.0, [lines, &depth], left.1, step(left.1))?;
        Some(Multiply { left, right, result, batches: batch.size, depth: depth.size })
    };
    made(&row, &column, (*a, 0), (*b, 1)).or_else(|| made(&column, &row, (*b, 1), (*a, 0)))
}

/// Letters that are run through like a single one; `None` where they are not.
fn one(letters: &[Letter]) -> Option<Letter> {
    let mut list: Vec<&Letter> = letters.iter().filter(|letter| letter.size != 1).collect();
    list.sort_by_key(|letter| std::cmp::Reverse(letter.steps.iter().flatten().next().copied()));
    let Some((last, outer)) = list.split_last() else { return Some(Letter { size: 1, steps: [Some(0); 3] }) };
    outer.iter().rev().try_fold(**last, |all, letter| {
        let follows = |side: usize| letter.steps[side] == all.steps[side].map(|step| step * all.size);
        (0..3).all(follows).then_some(Letter { size: all.size * letter.size, ..all })
    })
}

/// A matrix of lines and others on one side; across where its columns run along the others.
fn matrix(at: Place, [lines, others]: [&Letter; 2], side: usize, step: usize) -> Option<Matrix> {
    let stored = |own: &Letter, other: &Letter, across: bool| {
        let [near, far] = [own, other].map(|letter| letter.steps[side].unwrap_or(0));
        let apart = if other.size == 1 { own.size } else { far };
        let whole = (own.size == 1 || near == 1) && apart >= own.size;
        whole.then_some(Matrix { at, rows: own.size, columns: other.size, apart, step, across })
    };
    stored(lines, others, false).or_else(|| stored(others, lines, true))
}

/// A convolution as cuDNN knows it; `None` for pads that are not alike on both sides, where zeros lie between the pixels of what is no
/// adjoint, and for weights larger than the result.
fn convolve(whole: &Whole, slide: &Slide) -> Option<Convolve> {
    let [x, w] = whole.operands.as_slice() else { return None };
    let four = |(place, shape): &(Place, Vec<usize>)| Some((*place, <[usize; 4]>::try_from(shape.as_slice()).ok()?));
    let ([read, weight], made) = ([four(x)?, four(w)?], four(&whole.result)?);
    let before = [slide.pad[0], slide.pad[2]];
    let taps = [weight.1[2], weight.1[3]];
    let (picture, windows, pad, stride) = if slide.turned {
        // The adjoint of the convolution whose strides are the zeros between the pixels here.
        let pad = [0, 1].map(|axis| (slide.dilation[axis] * (taps[axis] - 1)) as isize - before[axis]);
        (made, read, pad, slide.input_dilation)
    } else {
        (read, made, before, slide.stride)
    };
    let apart = if slide.turned { slide.stride } else { slide.input_dilation };
    let pad = [usize::try_from(pad[0]).ok()?, usize::try_from(pad[1]).ok()?];
    let fits = |axis: usize| {
        let reach = slide.dilation[axis] * (taps[axis] - 1) + 1;
        let room = (picture.1[2 + axis] + 2 * pad[axis]).checked_sub(reach);
        room.is_some_and(|room| room / stride[axis] + 1 == windows.1[2 + axis])
    };
    // A weight larger than what is made: few sums, all of them long, as in the gradient of a weight. Kernels here add them up in parts
    // side by side, which cuDNN does for gradients only.
    let few = !slide.turned && weight.1[2] * weight.1[3] > windows.1[2] * windows.1[3];
    let groups = slide.groups.max(1);
    (apart == [1, 1] && fits(0) && fits(1) && !few).then_some(Convolve {
        picture,
        weight,
        windows,
        back: slide.turned,
        pad,
        stride,
        dilation: slide.dilation,
        groups,
    })
}
