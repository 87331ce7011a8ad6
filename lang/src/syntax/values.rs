//! Kinds, types and expressions: what may stand for a value, and its axes.

use super::{Group, Name, Path};
use crate::source::Span;

/// A kind: what a formal or param may be.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `paper | code`.
    Choice(Vec<Name>),
    /// A type or a word such as `int`, `fn`, `folder`.
    Type(Type),
}

/// A type with its place.
#[derive(Clone, Debug)]
pub struct Type {
    /// What it is.
    pub kind: TypeKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of types.
#[derive(Clone, Debug)]
pub enum TypeKind {
    /// `[channel: 3, height]`, `int[..a]`, `bool[height, width]`.
    Tensor(Element, Vec<Dim>),
    /// `{ image: image, mask: mask }`.
    Record(Vec<(Name, Type)>),
    /// An alias or a word: `image`, `real`, `int`, `list`, `fn`.
    Word(Name),
}

/// The elements of a tensor type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Real numbers (nothing written).
    Real,
    /// `int`.
    Int,
    /// `bool`.
    Bool,
}

/// One axis of a tensor type.
#[derive(Clone, Debug)]
pub enum Dim {
    /// `..a`: any axes.
    Rest(Name),
    /// `height` or `height: 2 * height`.
    Axis(Name, Option<Expr>),
}

/// An expression with its place.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: Box<ExprKind>,
    /// Its place.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number as written: `0.15`, `60k`, `1e-3`.
    Number(String),
    /// A string.
    Text(String),
    /// A name, through modules: `mask::full`, `size`, `true`, `none`. Has no fields: they are [`ExprKind::Field`].
    Path(Path),
    /// `if c then a else b`.
    If(Expr, Expr, Expr),
    /// `x |> f(y)`.
    Pipe(Expr, Expr),
    /// `a op b`.
    Binary(BinaryOp, Expr, Expr),
    /// `not a`.
    Not(Expr),
    /// `-a`.
    Negate(Expr),
    /// `a..b`.
    Range(Expr, Expr),
    /// `a steps`.
    Duration(Expr, Unit),
    /// `f(a, name: b)`.
    Call(Expr, Vec<Argument>),
    /// `f(e for k in xs)`: the list of all e is the only argument.
    CallEach(Expr, Expr, Vec<Generator>),
    /// `x[channel: 3, token -> key]`.
    Bracket(Expr, Vec<Entry>),
    /// `x.image`.
    Field(Expr, Name),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `[e for k in xs]`.
    ListEach(Expr, Vec<Generator>),
    /// `{ image: i, mask: m }`.
    Record(Vec<(Name, Expr)>),
    /// What could not be parsed; its fault is already reported.
    Broken,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    And,
    Or,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Units of durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unit {
    Steps,
    Samples,
    Epochs,
}

/// An argument.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its label.
    pub label: Option<Name>,
    /// Its value.
    pub value: Expr,
}

/// `for k in xs` or `for [a, b] in xs`.
#[derive(Clone, Debug)]
pub struct Generator {
    /// The names; more than one takes lists apart.
    pub names: Vec<Name>,
    /// Whether the names stand in brackets.
    pub bracketed: bool,
    /// Through what they go.
    pub over: Expr,
}

/// One entry of a bracket.
#[derive(Clone, Debug)]
pub enum Entry {
    /// `token -> key`, `feature -> (head: 6, feature: 64)`, `(head, feature) -> feature`.
    Arrow(Group, Group),
    /// `channel: 3`, `channel: 0..3`.
    Axis(Name, Expr),
    /// `blocks[k]`: a member of a family or list.
    Index(Expr),
}
