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
    Sqrt,
    Sin,
    Erf,
    Tanh,
    Sigmoid,
    Softplus,
    Abs,
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
#[allow(missing_docs)]
pub enum Distribution {
    Normal,
    Uniform,
    Bernoulli,
    Integers,
    Sphere,
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
    /// `args: [x, i]`: `x[axis: i]`, i an int without axes of its own beyond x's.
    PickAt(Axis),
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
