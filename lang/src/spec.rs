//! An elaborated spec: everything known at compile time is evaluated, the rest are typed terms over named axes.
//!
//! Terms are per sample: the sample axis is implicit. They form a directed acyclic graph, shared structurally: equal terms have
//! equal numbers. Axes of a value have no order in the language; types list them in the order of [`Spec::axes`], which is also
//! the order in which the compiler lays them out, the last one contiguous.

pub mod official;
mod prims;
mod reach;
mod train;

pub use prims::{AxisMap, Binary, Distribution, Outside, Per, Prim, Reduction, Sliding, Unary, Unit};
pub use reach::{Reached, belongs};
pub use train::{Act, Average, Duration, Phase, Statement, Update, UpdateTerms, flat};

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

    /// The terms that some are made of, themselves among them.
    pub fn below(&self, roots: &[TermId]) -> Vec<&Term> {
        let mut seen = vec![false; self.list.len()];
        let (mut open, mut found) = (roots.to_vec(), Vec::new());
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut seen[id.0 as usize], true) {
                let term = self.get(id);
                found.push(term);
                open.extend(&term.args);
            }
        }
        found
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
        /// A text that says which image is for training, validation, test.
        split: Option<String>,
    },
    /// Two digits on a coloured ground.
    Digits {
        /// Pixels of a side.
        side: usize,
        /// The folder of the MNIST files, which a run needs.
        from: Option<String>,
    },
    /// What is computed for every sample of other data, once, when the first phase that reads it starts.
    Collected {
        /// Number in [`Spec::data`] and part.
        over: (usize, Part),
        /// Names and values, over the fields of that data. All models are settled in them, also where the spec is elaborated for a
        /// phase that trains.
        fields: Vec<(String, TermId)>,
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
    /// A square of `side` pixels, in training anywhere, otherwise the centred one.
    RandomCrop {
        /// Pixels.
        side: usize,
    },
    /// In training a rectangle of random area and aspect at a random place, otherwise the largest centred square, brought to a square of
    /// `side` pixels.
    RandomResizedCrop {
        /// Pixels.
        side: usize,
        /// Least and most of the picture's area.
        scale: (f64, f64),
        /// Least and most of width over height.
        ratio: (f64, f64),
        /// Filter of the image.
        by: Filter,
    },
    /// Of each channel the mean is subtracted, and it is divided by the deviation.
    Normalise {
        /// Of red, green, blue.
        mean: [f64; 3],
        /// The same.
        deviation: [f64; 3],
    },
    /// The mirror image, in training only.
    Flip {
        /// Probability.
        chance: f64,
    },
    /// Of every part so many samples, beginning with sample `number * of`.
    Chunk {
        /// Number of the chunk.
        number: usize,
        /// Samples of a chunk; the last one may have fewer.
        of: usize,
    },
    /// The samples with the largest values of a field without axes, in their order; of equal ones the first.
    Most {
        /// How many, or as many as there are.
        count: usize,
        /// The field.
        by: String,
    },
}

impl Step {
    /// Whether it draws something new for each sample that training takes.
    pub fn is_random(&self) -> bool {
        matches!(self, Step::RandomCrop { .. } | Step::RandomResizedCrop { .. } | Step::Flip { .. })
    }

    /// Whether it leaves some of the samples, as they are.
    pub fn selects(&self) -> bool {
        matches!(self, Step::Chunk { .. } | Step::Most { .. })
    }
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
    /// Height and width after the pipeline; zeros for collected fields that have none, or not all the same.
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
    /// Its axes in the order in which its declaration lists them.
    pub order: Vec<Axis>,
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
    /// Its axes in the order in which its declaration lists them.
    pub order: Vec<Axis>,
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

/// One line of a `names` item ([`official`] says what it means).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Official {
    /// The official name: `{i}` stands for a number, `*` for any text; empty for what the file does not have.
    pub name: String,
    /// Path of the weight, state or part: `block[i].attend.qkv.w` as `block.{i}.attend.qkv.w`; none where nothing uses the tensor.
    pub path: Option<String>,
    /// How the official tensor's axes are laid out, each a list of axes with an optional size; empty where it is laid out as ours.
    pub layout: Vec<Vec<(Axis, Option<usize>)>>,
    /// The line's place.
    pub span: Span,
}

/// A model whose weights and states come from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pretrained {
    /// Path of the model: `dino`, of a family `G.0`.
    pub model: String,
    /// The file, as the spec or the command line names it.
    pub file: String,
    /// Number of its map in [`Spec::names`].
    pub names: usize,
    /// Where the model says so.
    pub span: Span,
}

/// What an evaluation goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Number in [`Spec::data`] and part.
    Data(usize, Part),
    /// So many samples that need no data: draws only.
    Samples(usize),
}

/// An evaluation: each value is averaged over the samples.
#[derive(Clone, Debug)]
pub struct Eval {
    /// Its name.
    pub name: String,
    /// What it goes over.
    pub over: Over,
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
    /// Models whose weights come from files.
    pub pretrained: Vec<Pretrained>,
    /// The values that [`crate::params::Overrides::wanted`] asks for. Fields of records and members of lists follow after a dot.
    pub wanted: Vec<(String, TermId)>,
    /// The per-image optimisations.
    pub solves: Vec<Solve>,
    /// The training phases in the order in which they run.
    pub phases: Vec<Phase>,
    /// The evaluations.
    pub evals: Vec<Eval>,
    /// What is written.
    pub output: Option<Output>,
    /// Places where `oracle` lets a label through.
    pub oracles: Vec<Span>,
    /// What `run` refuses, empty for a spec that it executes.
    pub pending: Vec<Pending>,
}
