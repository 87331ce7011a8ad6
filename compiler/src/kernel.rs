//! What devices know: kernels over one index space, their bodies short lists of instructions.

use crate::graph::Shape;

/// Scalar functions of a loop's body. Truth is 1 and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Function {
    Copy,
    Negate,
    Exp,
    Log,
    Log1p,
    Sqrt,
    Sin,
    Cos,
    Erf,
    Tanh,
    Sigmoid,
    Softplus,
    Abs,
    Sign,
    Floor,
    Round,
    Not,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Maximum,
    Minimum,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    And,
    Or,
    Select,
}

/// How elements are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Join {
    Sum,
    Max,
    Min,
}

/// One term of a stencil: `weight * x[row - down, column - right]`, zero outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    /// Rows by which the picture is moved down.
    pub down: isize,
    /// Columns by which it is moved to the right.
    pub right: isize,
    /// Its weight.
    pub weight: f64,
}

/// How a convolution slides: `y[n, o, p] = sum over c, k of x~[n, c, stride * p + dilation * k - pad] * w[o, c, k]`, where x~ is x with
/// `input_dilation - 1` zeros between neighbours and zeros outside. Pairs are rows, columns; pads are top, bottom, left, right, and
/// negative ones cut off. Both derivatives of a convolution are convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slide {
    /// Of the windows.
    pub stride: [usize; 2],
    /// Around x~.
    pub pad: [isize; 4],
    /// Of the taps.
    pub dilation: [usize; 2],
    /// Of x.
    pub input_dilation: [usize; 2],
    /// Parts of the channels that do not see each other: `w` is `[o, c / groups, rows, columns]`.
    pub groups: usize,
    /// Whether `w` is that of the convolution whose adjoint this is: `[c, o, rows, columns]`, its taps read backwards. There is one group
    /// then.
    pub turned: bool,
}

/// The windows of a pooling over the last two axes; pads are top, bottom, left, right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Window {
    pub size: [usize; 2],
    pub stride: [usize; 2],
    pub pad: [usize; 4],
}

/// A sparse matrix: for each place of the result the places it is a weighted sum of. One entry of weight one is an exact copy.
pub type Rows = std::sync::Arc<[Vec<(usize, f64)>]>;

/// What a random draw gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chance {
    /// Standard normal.
    Normal,
    /// Between 0 and 1, 1 excluded.
    Uniform,
    /// Whole numbers from 0 to below this.
    Integer(u64),
    /// The numbers of the last axis in random order.
    Permutation,
    /// Beta with these two parameters, as bits of f64.
    Beta(u64, u64),
}

/// A value of a loop's body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand {
    /// The result of an earlier instruction.
    Value(usize),
    /// A scalar that is read once per kernel, by number in [`Loop::scalars`].
    Scalar(usize),
}

/// Where a buffer lies. Before the plan a buffer is the node whose value it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// An input of the program, by number.
    Input(usize),
    /// The arena, from this element on.
    Arena(usize),
    /// A result of the program that is written over an input, by number.
    Result(usize),
}

/// A scalar of a loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<P = Place> {
    /// A number of the program's text.
    Number(f64),
    /// One element of a buffer.
    At(P, usize),
}

/// How a loop reads or writes a buffer: element `outer[o] + row * rows + column * columns` from the buffer's start.
#[derive(Clone, Debug, PartialEq)]
pub struct Access<P = Place> {
    /// The buffer.
    pub place: P,
    /// Start for each index of the outer axes.
    pub outer: Vec<usize>,
    /// Step from row to row.
    pub rows: usize,
    /// Step from column to column.
    pub columns: usize,
}

/// One instruction; its number is its value's.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction<P = Place> {
    /// A scalar everywhere.
    Splat(usize),
    /// Reads.
    Load(Access<P>),
    /// Reads through a stencil; the buffer is complete before the loop starts. Rows and columns are contiguous.
    LoadStencil(Access<P>, Vec<Tap>),
    /// A stencil within rows over a value of this loop; no tap moves down.
    RowStencil(usize, Vec<Tap>),
    /// A function of one to three operands.
    Apply(Function, Vec<Operand>),
}

/// What a loop leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<P = Place> {
    /// Writes a value.
    Store(usize, Access<P>),
    /// Joins a value into elements of the arena.
    Reduce {
        /// The value.
        value: usize,
        /// How.
        join: Join,
        /// Where the results go, one after the other.
        result: P,
        /// Over what.
        over: Over,
    },
}

/// What a loop reduces over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// The whole space: one result.
    All,
    /// Rows and columns: a result for each index of the outer axes.
    Rows,
    /// Columns: a result for each row.
    Columns,
}

impl Over {
    /// How a loop over a value of `rank` axes reduces over some of them, ascending; `None` where it cannot.
    pub fn of(rank: usize, over: &[usize]) -> Option<Over> {
        match over.len() {
            reduced if reduced == rank => Some(Over::All),
            2 if *over == [rank - 2, rank - 1] => Some(Over::Rows),
            1 if *over == [rank - 1] => Some(Over::Columns),
            _ => None,
        }
    }
}

/// A fused loop over outer axes, rows and columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop<P = Place> {
    /// Product of the outer axes, rows, columns.
    pub space: [usize; 3],
    /// Scalars read before it starts.
    pub scalars: Vec<Scalar<P>>,
    /// Its body.
    pub body: Vec<Instruction<P>>,
    /// Its results.
    pub effects: Vec<Effect<P>>,
}

/// An op that is run alone, by its definition or by an algorithm of the host.
#[derive(Clone, Debug)]
pub struct Whole<P = Place> {
    /// The op.
    pub op: std::sync::Arc<dyn crate::ops::Op>,
    /// Where its operands lie and their sizes.
    pub operands: Vec<(P, Shape)>,
    /// Where its result goes and its sizes.
    pub result: (P, Shape),
}

/// A kernel.
#[derive(Clone, Debug)]
pub enum Kernel<P = Place> {
    /// A fused loop.
    Loop(Loop<P>),
    /// One op alone.
    Whole(Whole<P>),
}

/// Rows, columns and the product of the other axes of a shape.
pub fn space(shape: &[usize]) -> [usize; 3] {
    match shape {
        [] => [1, 1, 1],
        [columns] => [1, 1, *columns],
        [outer @ .., rows, columns] => [outer.iter().product(), *rows, *columns],
    }
}

impl<P: Copy> Kernel<P> {
    /// The same kernel with other places.
    pub fn placed<Q>(&self, place: impl Fn(P) -> Q) -> Kernel<Q> {
        match self {
            Kernel::Whole(whole) => Kernel::Whole(Whole {
                op: whole.op.clone(),
                operands: whole.operands.iter().map(|(at, shape)| (place(*at), shape.clone())).collect(),
                result: (place(whole.result.0), whole.result.1.clone()),
            }),
            Kernel::Loop(body) => Kernel::Loop(body.placed(place)),
        }
    }

    /// The buffers that it reads.
    pub fn reads(&self) -> Vec<P> {
        match self {
            Kernel::Whole(whole) => whole.operands.iter().map(|(at, _)| *at).collect(),
            Kernel::Loop(body) => {
                let scalars = body.scalars.iter().filter_map(|scalar| match scalar {
                    Scalar::At(at, _) => Some(*at),
                    Scalar::Number(_) => None,
                });
                let loads = body.body.iter().filter_map(|instruction| match instruction {
                    Instruction::Load(access) | Instruction::LoadStencil(access, _) => Some(access.place),
                    _ => None,
                });
                scalars.chain(loads).collect()
            }
        }
    }

    /// The buffers that it writes.
    pub fn writes(&self) -> Vec<P> {
        match self {
            Kernel::Whole(whole) => vec![whole.result.0],
            Kernel::Loop(body) => body
                .effects
                .iter()
                .map(|effect| match effect {
                    Effect::Store(_, access) => access.place,
                    Effect::Reduce { result, .. } => *result,
                })
                .collect(),
        }
    }
}

impl<P: Copy> Loop<P> {
    fn placed<Q>(&self, place: impl Fn(P) -> Q) -> Loop<Q> {
        let access = |a: &Access<P>| Access { place: place(a.place), outer: a.outer.clone(), rows: a.rows, columns: a.columns };
        Loop {
            space: self.space,
            scalars: self
                .scalars
                .iter()
                .map(|scalar| match scalar {
                    Scalar::Number(value) => Scalar::Number(*value),
                    Scalar::At(at, element) => Scalar::At(place(*at), *element),
                })
                .collect(),
            body: self
                .body
                .iter()
                .map(|instruction| match instruction {
                    Instruction::Splat(scalar) => Instruction::Splat(*scalar),
                    Instruction::Load(a) => Instruction::Load(access(a)),
                    Instruction::LoadStencil(a, taps) => Instruction::LoadStencil(access(a), taps.clone()),
                    Instruction::RowStencil(value, taps) => Instruction::RowStencil(*value, taps.clone()),
                    Instruction::Apply(function, operands) => Instruction::Apply(*function, operands.clone()),
                })
                .collect(),
            effects: self
                .effects
                .iter()
                .map(|effect| match effect {
                    Effect::Store(value, a) => Effect::Store(*value, access(a)),
                    Effect::Reduce { value, join, result, over } => {
                        Effect::Reduce { value: *value, join: *join, result: place(*result), over: *over }
                    }
                })
                .collect(),
        }
    }
}
