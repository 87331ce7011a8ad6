//! An elaborated spec: everything known at compile time is evaluated, the rest are typed terms over named axes.
//!
//! Terms are per sample: the sample axis is implicit. They form a directed acyclic graph, shared structurally: equal terms have
//! equal numbers. Axes of a value have no order in the language; types list them in the order of [`Spec::axes`], which is also
//! the order in which the compiler lays them out, the last one contiguous.

use crate::source::Span;

/// Number of an axis in [`Spec::axes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Axis(pub u16);

/// Number of a term in [`Terms`]. Arguments of a term have smaller numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TermId(pub u32);

/// The elements of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Real numbers.
    Real,
    /// Whole numbers.
    Int,
    /// Truth values.
    Bool,
}

/// The type of a term: elements and sized axes, sorted by [`Axis`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// The elements.
    pub element: Element,
    /// The axes with their sizes, sorted.
    pub axes: Vec<(Axis, usize)>,
}

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
        /// Number in [`Spec::data`].
        data: usize,
        /// `image`, `label`.
        field: String,
    },
    /// A state of a solve, as it is before the step. Per sample.
    State {
        /// Number in [`Spec::solves`].
        solve: usize,
        /// Number of the member.
        member: usize,
        /// Number of the state.
        state: usize,
    },
    /// `args[0]` evaluated on the final states of a solve's member.
    Solved {
        /// Number in [`Spec::solves`].
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
    /// The weight with this number in [`Spec::weights`]. Shared by all samples.
    Weight(usize),
    /// A state of a model as a call finds it: number in [`Spec::buffers`] and in [`Spec::calls`]. Calls of one turn are threaded: the first
    /// finds what the turn before left, the next what the first leaves. Shared by all samples.
    Buffer {
        /// Number of the state.
        buffer: usize,
        /// Number of the call.
        call: usize,
    },
    /// `args: [x]`: x, a result of the call with this number in [`Spec::calls`], which a program that needs x makes.
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
        /// Number in [`Spec::data`].
        data: usize,
        /// Its part.
        part: Part,
    },
    /// `args: [x]`: lets a label through; listed in the report.
    Oracle,
}

/// A term.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What it does.
    pub prim: Prim,
    /// To what.
    pub args: Vec<TermId>,
    /// Its type.
    pub ty: Type,
    /// The expression that it comes from; a merged term keeps the first.
    pub span: Span,
}

/// All terms of a spec.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    list: Vec<Term>,
}

impl Terms {
    /// The term with this number.
    pub fn get(&self, id: TermId) -> &Term {
        &self.list[id.0 as usize]
    }

    /// Appends a term; sharing equal terms is the caller's business.
    pub fn push(&mut self, term: Term) -> TermId {
        self.list.push(term);
        TermId(self.list.len() as u32 - 1)
    }

    /// All of them, to be numbered anew.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Term> {
        self.list.iter_mut()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A compile-time value of a param, as shown and stored.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// `true`.
    Bool(bool),
    /// `32`.
    Int(i64),
    /// `0.15`.
    Real(f64),
    /// A text, choice, file or folder.
    Text(String),
    /// A list.
    List(Vec<ParamValue>),
    /// `none`.
    None,
}

/// A param with its value in this run.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: ParamValue,
    /// Its help text.
    pub help: String,
}

/// Part of a data item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The bare name.
    Whole,
    /// `.train`.
    Train,
    /// `.valid`.
    Valid,
    /// `.test`.
    Test,
}

/// Where a data item's samples come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Pictures {
    /// Procedural scenes with exact masks.
    Scenes {
        /// Two-tone textures from one palette, rather than easy colours.
        hard: bool,
    },
    /// A folder of images, perhaps with a folder of masks of the same stems.
    Folder {
        /// The images.
        photos: String,
        /// Their masks.
        labels: Option<String>,
    },
}

/// Filters of resizing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Filter {
    Nearest,
    Bilinear,
    Bicubic,
}

/// One step of a data pipeline. Labels go through the same geometry, always by nearest neighbour.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The shorter side becomes `side` pixels, the aspect is kept.
    ShorterSide {
        /// Pixels.
        side: usize,
        /// Filter of the image.
        by: Filter,
    },
    /// Both sides become `side` pixels.
    Resize {
        /// Pixels.
        side: usize,
        /// Filter of the image.
        by: Filter,
    },
    /// The centred square of `side` pixels.
    CenterCrop {
        /// Pixels.
        side: usize,
    },
    /// The largest centred square.
    SquareCrop,
    /// Values 0..1 are mapped to `low..high`.
    Range {
        /// What 0 becomes.
        low: f64,
        /// What 1 becomes.
        high: f64,
    },
}

/// A data item.
#[derive(Clone, Debug)]
pub struct Data {
    /// Its name.
    pub name: String,
    /// Its source.
    pub source: Pictures,
    /// Its pipeline.
    pub steps: Vec<Step>,
    /// Height and width after the pipeline.
    pub size: (usize, usize),
    /// Where it is defined.
    pub span: Span,
}

/// A per-image optimisation with all members of its family.
#[derive(Clone, Debug)]
pub struct Solve {
    /// Its name.
    pub name: String,
    /// How many steps each member takes.
    pub rounds: usize,
    /// The members in the order of the family; one for a solve that is none.
    pub members: Vec<Member>,
    /// Where it is defined.
    pub span: Span,
}

/// A member of a solve.
#[derive(Clone, Debug)]
pub struct Member {
    /// Name to show: `cut[1/2]`.
    pub name: String,
    /// Its states.
    pub states: Vec<State>,
    /// Its scalar `let`s, which are watched while it runs: name and term.
    pub watched: Vec<(String, TermId)>,
}

/// A state of a member.
#[derive(Clone, Debug)]
pub struct State {
    /// Its name.
    pub name: String,
    /// The term [`Prim::State`] that stands for it.
    pub leaf: TermId,
    /// Its first value.
    pub first: TermId,
    /// Its next value, over the leaves.
    pub next: TermId,
}

/// A weight of a model.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Model, parts, families, name: `critic.block.8.conv_1.w`.
    pub path: String,
    /// Its type.
    pub ty: Type,
    /// Its first value, a shared term of its type or without axes.
    pub start: TermId,
    /// Where it is declared.
    pub span: Span,
}

/// A state of a model.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Model, parts, families, name: `critic.block.8.conv_1.scale.u`.
    pub path: String,
    /// Its type.
    pub ty: Type,
    /// Its first value, a shared term of its type or without axes.
    pub start: TermId,
    /// Where it is declared.
    pub span: Span,
}

/// An application of a net that has states.
#[derive(Clone, Debug)]
pub struct Call {
    /// States that it finds and leaves: number in [`Spec::buffers`] and the next value, where it has one.
    pub states: Vec<(usize, Option<TermId>)>,
    /// Places in the text from the spec inwards: calls of one turn are made in their order, equal places in the order of the list.
    pub order: Vec<Span>,
}

/// One line of a `names` item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Official {
    /// The official name; `{i}` stands for a number.
    pub name: String,
    /// Path of the weight or state: `block[i].attend.qkv.w` as `block.{i}.attend.qkv.w`.
    pub path: String,
    /// How the official tensor's axes are laid out, each a list of axes with an optional size; empty where it is laid out as ours.
    pub layout: Vec<Vec<(Axis, Option<usize>)>>,
}

/// An evaluation: each value is averaged over the samples.
#[derive(Clone, Debug)]
pub struct Eval {
    /// Its name.
    pub name: String,
    /// Number in [`Spec::data`] and part.
    pub over: (usize, Part),
    /// Name and scalar term; a lone value has the empty name.
    pub values: Vec<(String, TermId)>,
    /// Whether a value comes from ground truth, so that data without labels skips it.
    pub needs_labels: bool,
    /// Where it is defined.
    pub span: Span,
}

/// What a run writes as pictures.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name, the name of the folder.
    pub name: String,
    /// The mask, `[height, width]` between 0 and 1.
    pub value: TermId,
    /// Number in [`Spec::data`].
    pub data: usize,
}

/// Something that is parsed and checked but that `run` does not execute yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What, in words: "training phases".
    pub what: String,
    /// Where.
    pub span: Span,
}

/// An elaborated spec.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Stem of the file.
    pub name: String,
    /// Names of the axes in the order of their declaration.
    pub axes: Vec<String>,
    /// The params of this run.
    pub params: Vec<Param>,
    /// The data items.
    pub data: Vec<Data>,
    /// All terms.
    pub terms: Terms,
    /// The weights of models that something applies, sorted by path.
    pub weights: Vec<Weight>,
    /// The states of models that something applies.
    pub buffers: Vec<Buffer>,
    /// Applications of nets with states.
    pub calls: Vec<Call>,
    /// Maps from official names to paths, by name of the item.
    pub names: Vec<(String, Vec<Official>)>,
    /// The values that [`crate::params::Overrides::wanted`] asks for. Fields of records and members of lists follow after a dot.
    pub wanted: Vec<(String, TermId)>,
    /// The per-image optimisations.
    pub solves: Vec<Solve>,
    /// The evaluations.
    pub evals: Vec<Eval>,
    /// What is written.
    pub output: Option<Output>,
    /// Places where `oracle` lets a label through.
    pub oracles: Vec<Span>,
    /// What `run` refuses, empty for a spec that it executes.
    pub pending: Vec<Pending>,
}
