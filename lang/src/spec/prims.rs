//! What a term does: operations with their attributes, draws, and what comes from outside.

use super::{Axis, Filter, Part};

/// Functions of one value, element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unary {
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
    /// Truth: the other one.
    Not,
}

/// Functions of two values, element by element; one operand's axes contain the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Max,
    Min,
    /// Remainder with the sign of the divisor.
    Modulo,
    // Of numbers, giving truth.
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    // Of truth.
    And,
    Or,
}

/// Reductions over axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Reduction {
    Sum,
    Max,
    Min,
}

/// A distribution; its parameters are the term's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// `args: [mean, deviation]`.
    Normal,
    /// `args: [low, high]`.
    Uniform,
    /// `args: [chance]`; truth.
    Bernoulli,
    /// `args: [low, high]`, both constants: whole numbers from low to high - 1.
    Integers,
    /// Of length one over all axes of the draw.
    Sphere,
    /// `args: [a, b]`, both constants.
    Beta,
    /// The numbers `0..size` of the one axis of the draw in random order.
    Permutation,
    /// `args: [gain]`, a constant; first values of weights only. The axis `out` against the others, signs fixed.
    Orthogonal,
}

/// For whom a draw is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// Every sample.
    Sample,
    /// Every turn: a shared value.
    Batch,
    /// Every step, the same in all its turns: a shared value.
    Step,
    /// Once, before the first step: first values of weights and states.
    Start,
}

/// What time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unit {
    Steps,
    Samples,
    Epochs,
}

/// How a convolution slides over pixels; pairs are down, right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sliding {
    /// Pixels from window to window.
    pub stride: [usize; 2],
    /// Zeros at the top, bottom, left, right.
    pub pad: [usize; 4],
    /// Pixels from tap to tap of the window.
    pub dilation: [usize; 2],
    /// The picture's pixels are so far apart, zeros between them.
    pub input_dilation: [usize; 2],
    /// Parts of the channels that do not see each other.
    pub groups: usize,
}

/// What stands outside of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outside {
    /// Zeros.
    Zero,
    /// The picture mirrored; its outermost pixel is not repeated.
    Reflect,
    /// The outermost pixel.
    Edge,
}

/// A linear map along one axis that is known when compiling. Numbers are exact copies where nothing is averaged.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisMap {
    /// So many more at both ends; negative ones cut off.
    Pad {
        /// In front.
        before: isize,
        /// Behind.
        after: isize,
        /// What stands there.
        with: Outside,
    },
    /// The other way round.
    Reverse,
    /// `y[p] = x[(p - by) mod size]`.
    Roll(isize),
    /// `y[p] = x[step * p]` as long as there are some.
    Every(usize),
    /// Another size. `corners`: the outermost pixels stay where they are; `smooth`: filtered first where it shrinks; `scale`: result
    /// pixels per pixel that the sampling places are computed with, instead of the ratio of the sizes.
    Resize {
        /// The filter.
        by: Filter,
        /// Outermost pixels stay.
        corners: bool,
        /// Filtered first.
        smooth: bool,
        /// The scale to compute with.
        scale: Option<f64>,
    },
    /// Means over windows; `inside`: of the elements inside the picture only.
    Average {
        /// Elements of a window.
        window: usize,
        /// From window to window.
        stride: usize,
        /// Zeros at both ends.
        pad: usize,
        /// Outside does not count.
        inside: bool,
    },
    /// Means over as many windows as the result has places, as equal as can be (adaptive average pooling).
    AverageTo,
    /// Zero insertion by `up`, zeros `before` and `after` (negative: cut off), true convolution with the taps, every `down`th kept.
    Fir {
        /// The taps, normalised by the caller.
        taps: Vec<f64>,
        /// Zero insertion.
        up: usize,
        /// Decimation.
        down: usize,
        /// Zeros in front.
        before: isize,
        /// Zeros behind.
        after: isize,
    },
}

/// The primitive of a term. Where nothing else is said the result's axes are those of the arguments together.
#[derive(Clone, Debug, PartialEq)]
pub enum Prim {
    /// A number known at compile time, without axes.
    Const(f64),
    /// A field of a data item: `images.image`. Per sample.
    Field {
        /// Number in [`super::Spec::data`].
        data: usize,
        /// `image`, `label`.
        field: String,
    },
    /// A state of a solve, as it is before the step. Per sample.
    State {
        /// Number in [`super::Spec::solves`].
        solve: usize,
        /// Number of the member.
        member: usize,
        /// Number of the state.
        state: usize,
    },
    /// `args[0]` evaluated on the final states of a solve's member.
    Solved {
        /// Number in [`super::Spec::solves`].
        solve: usize,
        /// Number of the member.
        member: usize,
    },
    /// `args: [x]`.
    Unary(Unary),
    /// `args: [a, b]`.
    Binary(Binary),
    /// `args: [on, yes, no]`; the result has the axes of the largest.
    Where,
    /// `args: [x]`; the axes over which it goes are gone.
    Reduce(Reduction, Vec<Axis>),
    /// `args: [x]`; place of the first largest along the axis, as int.
    ArgMax(Axis),
    /// `args: [x]`; places of the elements along the axis from the smallest to the largest, as int.
    Order(Axis),
    /// `args: [a, b]`: shared axes align, those listed are summed over.
    Dot(Vec<Axis>),
    /// `0, 1, .., size - 1` along an axis, as int.
    Index(Axis),
    /// `args: [x]`: repeated along the axes that the result has and x has not.
    Spread,
    /// `args`: equal types, side by side along a new axis.
    Stack(Axis),
    /// `args`: joined along an axis that all have.
    Concat(Axis),
    /// `args: [x]`: `x[axis: at]`.
    Pick(Axis, usize),
    /// `args: [x, i]`: `x[axis: i]` with an int of run time. Axes that i shares with x align; those of its own are axes of the result.
    PickAt(Axis),
    /// `args: [x]`: a linear map along an axis; the result's size of it is in the type.
    Along(Axis, AxisMap),
    /// `args: [x, w]` with `w: [out, channel / groups, row, column]`: cross-correlation; x's `channel` becomes `out`, called `channel`.
    /// Further axes of x are mapped over.
    Conv2d(Sliding),
    /// `args: [x, w]` with `w: [channel, out / groups, row, column]`: the adjoint of [`Prim::Conv2d`] with the same sliding, which has
    /// no input dilation. The result's size is in the type.
    Conv2dTransposed(Sliding),
    /// `args: [x]`: the largest of each window over `height` and `width`; outside of the picture nothing is larger.
    MaxPool {
        /// Rows and columns of a window.
        window: [usize; 2],
        /// From window to window.
        stride: [usize; 2],
        /// Pixels outside at the top, bottom, left, right.
        pad: [usize; 4],
    },
    /// The weight with this number in [`super::Spec::weights`]. Shared by all samples.
    Weight(usize),
    /// The moving average of the weight with this number, as it is before the statement that computes the next one. Shared by all samples.
    Averaged(usize),
    /// A state of a model as a call finds it: number in [`super::Spec::buffers`] and in [`super::Spec::calls`]. Calls of one turn
    /// are threaded: the first
    /// finds what the turn before left, the next what the first leaves. Shared by all samples.
    Buffer {
        /// Number of the state.
        buffer: usize,
        /// Number of the call.
        call: usize,
    },
    /// `args: [x]`: x, a result of the call with this number in [`super::Spec::calls`], which a program that needs x makes.
    Called(usize),
    /// `args: [x]`: the values of all samples side by side along an axis: a shared value.
    Batch(Axis),
    /// The place of this sample in its batch, as int. Per sample.
    SampleIndex,
    /// How much of the present phase is over, a real number without axes. Shared by all samples.
    Elapsed(Unit),
    /// `args: [x]`: `x[axis: from..to]`; the size is in the type.
    Slice(Axis, usize),
    /// `args: [x]`: `x[from -> to]`.
    Rename(Axis, Axis),
    /// `args: [x]`: `x[axis -> (a: n, b: m)]`, the first varies slowest.
    Split(Axis, Vec<(Axis, usize)>),
    /// `args: [x]`: `x[(a, b) -> axis]`, the first varies slowest.
    Merge(Vec<Axis>, Axis),
    /// `args: [x, right, down]`: x moved over the pixels along `width` and `height`, zeros come in; whole moves are exact, broken ones
    /// are bilinear.
    Translate {
        /// The axis of `down`.
        height: Axis,
        /// The axis of `right`.
        width: Axis,
    },
    /// `args: [x]`: the value, without gradient.
    Stop,
    /// `args: [y, x]`: derivative of y, which has no axes, with respect to the term x; the type of x.
    Grad,
    /// A random draw; `args` are the distribution's parameters, `path` its key.
    Draw {
        /// From what.
        from: Distribution,
        /// The name path that keys it.
        path: String,
        /// For whom it is made anew.
        per: Per,
    },
    /// An algorithm of the host, evaluation only: `components`, `kmeans`. `numbers` are its compile-time arguments in the order of its
    /// signature.
    Host {
        /// Its name.
        name: String,
        /// Compile-time arguments.
        numbers: Vec<f64>,
    },
    /// `average(args[0], over: data)`: the mean over a whole data set, a shared value.
    Average {
        /// Number in [`super::Spec::data`].
        data: usize,
        /// Its part.
        part: Part,
    },
    /// `args: [x]`: lets a label through; listed in the report.
    Oracle,
}
