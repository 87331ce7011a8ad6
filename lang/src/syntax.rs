//! The syntax tree: what is written, with the place of everything.

mod items;
mod values;

pub use items::Item;
pub use values::{Argument, BinaryOp, Dim, Element, Entry, Expr, ExprKind, Generator, Kind, Type, TypeKind, Unit};

use crate::source::{SourceId, Span};

/// A word with its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The word.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// `std::mask` or `shifted.front.mask`: segments joined by `::`, then fields joined by `.`.
#[derive(Clone, Debug)]
pub struct Path {
    /// At least one segment.
    pub segments: Vec<Name>,
    /// Fields behind the last segment.
    pub fields: Vec<Name>,
    /// All of it.
    pub span: Span,
}

/// One file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its source.
    pub source: SourceId,
    /// The `//!` lines, without the marker.
    pub head: Vec<String>,
    /// `edition N`.
    pub edition: Option<(u32, Span)>,
    /// The items in the order of the text.
    pub items: Vec<Item>,
}

/// What can stand at the top of a file.
#[derive(Clone, Debug)]
pub enum ItemKind {
    /// `use std::gan, std::mask` or `use "./mine.seg" as mine`.
    Use(Vec<Use>),
    /// `extend "../perturbgan.seg" with shifted = scaled`.
    Extend(Extend),
    /// `axis channel, height "of images"`.
    Axis(Vec<Name>, Option<Text>),
    /// `type mask = [height, width]`.
    Alias(Name, Type),
    /// `param sigma: real = 0.15 * size in 0..9 "help"`.
    Param(Param),
    /// `variant paper = base { size = 128 }`.
    Variant(Variant),
    /// `data images = pictures(photos)`.
    Data(Binding),
    /// `names dino_names { "cls_token" : first [(one: 1), feature] }`.
    Names(Name, Vec<NameRule>),
    /// `fn`, `builtin fn`, `builtin host fn`.
    Fn(Fn),
    /// `net conv(out: int)(x: image) -> image = ..`.
    Net(Net),
    /// `frozen model dino = .. from FILE names MAP`.
    Model(Model),
    /// `scene world { .. }`.
    Scene(Name, Vec<Statement>),
    /// `perturb shifted = world with { .. }`.
    Perturb(Perturb),
    /// `let x = ..`.
    Let(Binding),
    /// `draw z ~ normal[feature: 64]`.
    Draw(Draw),
    /// `loss generator = ..`.
    Loss(Binding),
    /// `solve cut[side in starts] for rounds steps { .. }`.
    Solve(Solve),
    /// `train grow .. { .. }`.
    Train(Train),
    /// `eval test over images.test = ..`.
    Eval(Eval),
    /// `output masks = found over images`.
    Output(Output),
    /// `accept "idle-perturbation": "the control, which must fail"`.
    Accept(Accept),
    /// What could not be parsed; its fault is already reported.
    Broken,
}

/// A string with its place, without the quotes.
#[derive(Clone, Debug)]
pub struct Text {
    /// What is between the quotes.
    pub text: String,
    /// The place, with the quotes.
    pub span: Span,
}

/// One entry of `use`.
#[derive(Clone, Debug)]
pub struct Use {
    /// `std::gan` as a path, or a file as a string.
    pub target: UseTarget,
    /// `as name`.
    pub rename: Option<Name>,
}

/// What `use` names.
#[derive(Clone, Debug)]
pub enum UseTarget {
    /// A module of the library, or (in the library) a sibling.
    Module(Path),
    /// A file, relative to the file that uses it.
    File(Text),
}

/// `extend FILE with A = B, ..`.
#[derive(Clone, Debug)]
pub struct Extend {
    /// The extended file.
    pub file: Text,
    /// Definitions put in the place of some of its own.
    pub with: Vec<Set>,
}

/// `path = expr` in `with` and `variant`.
#[derive(Clone, Debug)]
pub struct Set {
    /// What is set.
    pub target: Path,
    /// To what.
    pub value: Expr,
}

/// A param.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its kind, where it is written.
    pub kind: Option<Kind>,
    /// Its default.
    pub default: Expr,
    /// `in LOW..HIGH`.
    pub range: Option<Expr>,
    /// Help text.
    pub help: Option<Text>,
}

/// A variant.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name.
    pub name: Name,
    /// The variant that it starts from.
    pub base: Option<Path>,
    /// What it sets.
    pub sets: Vec<Set>,
    /// What the paper says that it comes to.
    pub reported: Vec<Figure>,
}

/// A figure of the paper, to stand beside that of a run: `test.iou: 0.72`.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The evaluation and its value.
    pub of: Path,
    /// The number as written.
    pub number: String,
}

/// A name that may be a family: `G`, `G[k in 0..n]`, `d[0]`.
#[derive(Clone, Debug)]
pub struct Binder {
    /// The name.
    pub name: Name,
    /// The index.
    pub family: Option<Family>,
}

/// The index of a family.
#[derive(Clone, Debug)]
pub enum Family {
    /// `[k in 0..n]`.
    Over(Name, Expr),
    /// `[0]`: one case of a recurrence.
    At(Expr),
}

/// `binder: type = value`.
#[derive(Clone, Debug)]
pub struct Binding {
    /// What is bound.
    pub binder: Binder,
    /// Its type, where it is written.
    pub ty: Option<Type>,
    /// Its meaning.
    pub value: Expr,
}

/// One line of a `names` map.
#[derive(Clone, Debug)]
pub struct NameRule {
    /// Official name, with `{i}` for indices.
    pub official: Text,
    /// Our path, an expression of fields and indices.
    pub ours: Expr,
    /// How the official tensor lays out its axes.
    pub layout: Option<Vec<Group>>,
}

/// `(height: 4, width)` or a single `token`: axes that make one axis together.
#[derive(Clone, Debug)]
pub struct Group {
    /// The axes, the first varies slowest.
    pub dims: Vec<Dim>,
    /// Whether it was written with brackets.
    pub grouped: bool,
    /// The place.
    pub span: Span,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Fn {
    /// Whether it is written in the language.
    pub origin: Origin,
    /// Its name.
    pub name: Name,
    /// Its arguments.
    pub formals: Vec<Formal>,
    /// Its result type.
    pub result: Option<Type>,
    /// Its body; builtins have none, and neither have signatures of the library whose body is not written yet.
    pub body: Option<Body>,
}

/// Where a function's meaning is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the language.
    Written,
    /// In the compiler: `builtin fn`.
    Builtin,
    /// An algorithm of the host: `builtin host fn`.
    Host,
}

/// A net.
#[derive(Clone, Debug)]
pub struct Net {
    /// Its name.
    pub name: Name,
    /// What builds it.
    pub builds: Vec<Formal>,
    /// What it is applied to.
    pub inputs: Vec<Formal>,
    /// Its result type.
    pub result: Option<Type>,
    /// Its body; a signature of the library whose body is not written yet has none.
    pub body: Option<Body>,
}

/// A formal argument.
#[derive(Clone, Debug)]
pub struct Formal {
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: Option<Kind>,
    /// Its default.
    pub default: Option<Expr>,
}

/// A body: statements and a value. `= e` is a body without statements.
#[derive(Clone, Debug)]
pub struct Body {
    /// The statements in the order of the text.
    pub statements: Vec<Statement>,
    /// The value.
    pub value: Expr,
}

/// A statement of a body, scene, perturbation or solve.
#[derive(Clone, Debug)]
pub struct Statement {
    /// All of it.
    pub span: Span,
    /// What it is.
    pub kind: StatementKind,
}

/// The kinds of statements.
#[derive(Clone, Debug)]
pub enum StatementKind {
    /// `let x = ..`.
    Let(Binding),
    /// `draw z ~ ..`.
    Draw(Draw),
    /// `weight w: [..] ~ init`.
    Weight(Stored),
    /// `state m = ..`.
    State(Stored),
    /// `next m = ..`.
    Next(Name, Expr),
    /// `part a, b = conv(3)`.
    Part(Vec<Binder>, Expr),
    /// `layer front = { .. }`.
    Layer(Binding),
    /// `front.mask: ..` of a perturbation.
    Slot(Binder, Vec<Name>, Expr),
    /// What could not be parsed; its fault is already reported.
    Broken,
}

/// A weight or a state.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: Option<Type>,
    /// Whether the value is drawn (`~`) rather than given (`=`).
    pub drawn: bool,
    /// Its first value.
    pub value: Expr,
}

/// `draw a, b ~ distribution per batch`.
#[derive(Clone, Debug)]
pub struct Draw {
    /// What is drawn.
    pub binders: Vec<Binder>,
    /// From what.
    pub from: Expr,
    /// How often; per sample where nothing is written.
    pub per: Option<Per>,
}

/// How often something is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// For each sample.
    Sample,
    /// For each forward's batch.
    Batch,
    /// For each step.
    Step,
}

/// A model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Whether it promises that no phase updates it.
    pub frozen: bool,
    /// Its name.
    pub binder: Binder,
    /// The net that it is an instance of.
    pub net: Expr,
    /// `from FILE names MAP`.
    pub from: Option<(Expr, Path)>,
}

/// A perturbation.
#[derive(Clone, Debug)]
pub struct Perturb {
    /// Its name.
    pub binder: Binder,
    /// The scene that it starts from.
    pub base: Expr,
    /// Lets, draws and slots.
    pub statements: Vec<Statement>,
}

/// A per-image optimisation.
#[derive(Clone, Debug)]
pub struct Solve {
    /// Its name.
    pub binder: Binder,
    /// How long.
    pub duration: Expr,
    /// Lets, draws, states and nexts.
    pub statements: Vec<Statement>,
}

/// A training phase.
#[derive(Clone, Debug)]
pub struct Train {
    /// Its name.
    pub binder: Binder,
    /// The phase before it.
    pub after: Option<Path>,
    /// Its own params and data.
    pub with: Vec<Set>,
    /// How long.
    pub duration: Expr,
    /// `batch N`.
    pub batch: Option<Expr>,
    /// `fresh A, B`.
    pub fresh: Vec<Path>,
    /// What a step does.
    pub statements: Vec<TrainStatement>,
}

/// A statement of a training phase.
#[derive(Clone, Debug)]
pub struct TrainStatement {
    /// All of it.
    pub span: Span,
    /// What it is.
    pub kind: TrainKind,
}

/// The kinds of training statements.
#[derive(Clone, Debug)]
pub enum TrainKind {
    /// `update A, B by L with rule ..`.
    Update(Update),
    /// `together if C { updates }`.
    Together(Option<Expr>, Vec<TrainStatement>),
    /// `ema A decay D from N steps`.
    Average(Vec<Path>, Expr, Option<Expr>),
    /// `every N steps { .. }`.
    Every(Expr, Vec<TrainStatement>),
    /// `finally { .. }`.
    Finally(Vec<TrainStatement>),
    /// `keep best by E`.
    Keep(Expr),
    /// `restart when E`.
    Restart(Expr),
    /// `finish when E`.
    Finish(Expr),
    /// `show N of A, B`.
    Show(Expr, Vec<Expr>),
    /// `measure A, B`.
    Measure(Vec<Path>),
    /// `checkpoint`.
    Checkpoint,
    /// What could not be parsed; its fault is already reported.
    Broken,
}

/// An update.
#[derive(Clone, Debug)]
pub struct Update {
    /// The models.
    pub models: Vec<Path>,
    /// The loss.
    pub by: Path,
    /// The optimiser.
    pub with: Expr,
    /// `but RULE on PARTS`.
    pub but: Option<(Expr, Vec<Path>)>,
    /// `clip E`.
    pub clip: Option<Expr>,
    /// `repeat E`.
    pub repeat: Option<Expr>,
}

/// An evaluation.
#[derive(Clone, Debug)]
pub struct Eval {
    /// Its name.
    pub name: Name,
    /// `over DATA`.
    pub over: Option<Expr>,
    /// `with NAME = VALUE`.
    pub with: Vec<Set>,
    /// What is measured.
    pub value: Expr,
}

/// A warning that the spec makes on purpose.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The warning's code.
    pub code: Text,
    /// Why.
    pub reason: Text,
}

/// What a run writes as pictures.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name; `masks` is the folder of the run directory.
    pub name: Name,
    /// The mask.
    pub value: Expr,
    /// The data.
    pub over: Expr,
}
