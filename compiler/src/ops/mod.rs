//! The ops: one file each, one line each in [`TABLE`]. An op's file holds its manual line, shape rule, gradient rule (built from
//! ordinary ops, so that derivatives of derivatives come by themselves), lowering, naive f64 definition and samples.

mod elementwise;
mod exactness;
mod extreme;

use std::fmt::Debug;
use std::sync::Arc;

use crate::graph::{Graph, NodeId, Shape};
use crate::kernel::{Chance, Function, Join, Rows, Slide, Tap, Window};
use crate::tensor::Tensor;

/// What an op must say of itself. Nothing has a default.
pub trait Op: Debug + Send + Sync {
    /// Its name, also its file's.
    fn name(&self) -> &'static str;
    /// Sizes of its result; words when the operands do not fit.
    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String>;
    /// Derivatives of the operands from that of the result, `None` where there is none.
    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>>;
    /// Whether it has a derivative, and why not.
    fn derivative(&self) -> Derivative;
    /// How devices run it.
    fn form(&self) -> Form;
    /// Its definition, naive and in f64.
    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor;
}

/// An op that stands in the table.
pub trait Room: Op {
    /// Its name.
    const NAME: &'static str;
    /// One line of the manual.
    const MANUAL: &'static str;
    /// Operands that every executor is tested on: an op and the sizes of its operands. Elements are drawn from (0.2, 1.8), of which all
    /// ops are defined; integer operands say so by [`Draws::Whole`].
    fn samples() -> Vec<Sample>;
}

/// One sample of an op.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The op with its attributes.
    pub op: Arc<dyn Op>,
    /// Sizes and elements of its operands.
    pub operands: Vec<(Shape, Draws)>,
}

/// What a sample's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draws {
    /// Real numbers between 0.2 and 1.8.
    Positive,
    /// Real numbers between -2 and 2.
    Signed,
    /// 0 or 1.
    Truth,
    /// Whole numbers from 0 to below this.
    Whole(usize),
}

/// What the gradient rule may use.
pub struct Backward<'a> {
    /// The graph that grows.
    pub graph: &'a mut Graph,
    /// The node itself.
    pub node: NodeId,
    /// Its operands.
    pub operands: Vec<NodeId>,
    /// The derivative of its result, of its shape.
    pub upstream: NodeId,
    /// Which operands' derivatives are asked for.
    pub wanted: Vec<bool>,
}

/// Whether an op has a derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivative {
    /// Of every order.
    Every,
    /// None, with the reason.
    None(&'static str),
}

/// How devices run an op.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// A value from outside, by number.
    Input(usize),
    /// A number.
    Constant(f64),
    /// Element by element in a loop's body.
    Map(Function),
    /// A repeated value: where its axes stand in the result.
    Expand(Vec<usize>),
    /// One index of an axis: a view.
    Pick(usize, usize),
    /// A weighted sum of moved copies over the last two axes.
    Stencil(Vec<Tap>),
    /// Joined over axes.
    Reduce(Join, Vec<usize>),
    /// The same elements in another shape: a view.
    Reshape,
    /// An index of an axis that the second operand gives; alone unless the axis is split into planes.
    PickAt(usize),
    /// Place of the first largest element along an axis; alone unless the axis is split into planes.
    ArgMax(usize),
    /// Alone: einsum of two operands; letters of the operands' and the result's axes.
    Contract(Vec<u8>, Vec<u8>, Vec<u8>),
    /// Alone: a convolution `[n, c, h, w] x [o, c / groups, kh, kw] -> [n, o, h', w']`.
    Conv(Slide),
    /// Alone: the largest of windows over the last two axes; with `place` where it stands, `row * width + column`.
    MaxPool {
        /// The windows.
        window: Window,
        /// Whether its place is asked for instead of itself.
        place: bool,
    },
    /// Alone: axes in another order; for each axis of the result the operand's.
    Permute(Vec<usize>),
    /// Alone: joined along an axis.
    Concat(usize),
    /// Alone: a part of an axis, from here on.
    Slice(usize, usize),
    /// Alone: a part put into a longer axis of zeros, from here on.
    Embed(usize, usize),
    /// Alone: a sparse linear map along an axis.
    Resample(usize, Rows),
    /// Alone: `x: [b.., k, r..]`, `i: [b.., m..]` -> `[b.., m.., r..]`; the number of axes `b`.
    Gather(usize),
    /// Alone, the adjoint: `x: [b.., m.., r..]`, `i: [b.., m..]` -> `[b.., k, r..]`; the number of axes `b`.
    Scatter(usize),
    /// Alone: `x: [b.., r.., h, w]` moved by whole pixels `right: [b..]`, `down: [b..]`, zeros come in; the number of axes `b`.
    Shift(usize),
    /// Alone: a random draw. Operands: the clock, and the samples' numbers where it is per sample.
    Random(Chance, String),
    /// Alone, by its definition.
    Whole,
    /// Alone, by an algorithm of the host with numbers.
    Host(String, Vec<f64>),
}

/// A line of the table.
pub struct Entry {
    /// Name of the op.
    pub name: &'static str,
    /// Its manual line.
    pub manual: &'static str,
    /// Its samples.
    pub samples: fn() -> Vec<Sample>,
}

const fn entry<R: Room>() -> Entry {
    Entry { name: R::NAME, manual: R::MANUAL, samples: R::samples }
}

macro_rules! table {
    ($($file:ident: $($Op:ident)+;)*) => {
        $(mod $file; pub use $file::{$($Op),+};)*
        /// All ops.
        pub static TABLE: &[Entry] = &[$($(entry::<$Op>()),+),*];
    };
}

table! {
    input: Input;
    constant: Constant;
    iota: Iota;
    copy: Copy;
    negate: Negate;
    exp: Exp;
    log: Log;
    log1p: Log1p;
    sqrt: Sqrt;
    sin: Sin;
    cos: Cos;
    erf: Erf;
    tanh: Tanh;
    sigmoid: Sigmoid;
    softplus: Softplus;
    abs: Abs;
    sign: Sign;
    floor: Floor;
    round: Round;
    not: Not;
    add: Add;
    subtract: Subtract;
    multiply: Multiply;
    divide: Divide;
    power: Power;
    maximum: Maximum;
    minimum: Minimum;
    modulo: Modulo;
    equal: Equal;
    not_equal: NotEqual;
    less: Less;
    less_equal: LessEqual;
    and: And;
    or: Or;
    select: Select;
    sum: Sum;
    max: Max;
    min: Min;
    arg_max: ArgMax;
    order: Order;
    dot: Dot;
    expand: Expand;
    reshape: Reshape;
    permute: Permute;
    pick: Pick;
    pick_at: PickAt;
    slice: Slice;
    embed: Embed;
    concat: Concat;
    stencil: Stencil;
    shift: Shift;
    resample: Resample;
    conv2d: Conv2d;
    max_pool: MaxPool;
    max_pool_place: MaxPoolPlace;
    gather: Gather;
    scatter: Scatter;
    random: Random;
    orthonormal: Orthonormal;
    stop: Stop;
    grad: Grad;
    host: Host;
}

pub use conv2d::adjoint;
pub use exactness::Exactness;
pub use random::{elements, stream};

/// The one shape that all operands have.
fn same(operands: &[&[usize]]) -> Result<Shape, String> {
    match operands {
        [first, rest @ ..] if rest.iter().all(|shape| shape == first) => Ok(first.to_vec()),
        _ => Err("the operands differ in shape".into()),
    }
}

/// A sample of one element-wise op over the shapes that matter: none, odd, size one.
fn everywhere(op: impl Op + Clone + 'static, operands: &[Draws]) -> Vec<Sample> {
    [vec![], vec![1], vec![5, 7], vec![3, 4, 9], vec![2, 3, 1, 6]]
        .into_iter()
        .map(|shape: Shape| Sample { op: Arc::new(op.clone()), operands: operands.iter().map(|d| (shape.clone(), *d)).collect() })
        .collect()
}

/// The axes that a reduction keeps.
fn kept(shape: &[usize], over: &[usize]) -> Vec<usize> {
    (0..shape.len()).filter(|axis| !over.contains(axis)).collect()
}

/// A shape without one axis.
fn without(shape: &[usize], axis: usize) -> Shape {
    shape.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, size)| *size).collect()
}

/// The shape that a reduction leaves.
fn reduced(operands: &[&[usize]], over: &[usize]) -> Result<Shape, String> {
    match operands {
        [x] if over.iter().all(|axis| *axis < x.len()) && over.windows(2).all(|pair| pair[0] < pair[1]) => {
            Ok(kept(x, over).into_iter().map(|axis| x[axis]).collect())
        }
        _ => Err("no such axes".into()),
    }
}

/// A naive reduction.
fn fold(x: &Tensor, over: &[usize], shape: &[usize], start: f64, join: impl Fn(f64, f64) -> f64) -> Tensor {
    let keep = kept(&x.shape, over);
    let mut result = Tensor::new(shape.to_vec(), vec![start; shape.iter().product()]);
    for (index, value) in crate::tensor::indices(&x.shape).zip(&x.data) {
        let place = crate::tensor::offset(shape, &keep.iter().map(|&axis| index[axis]).collect::<Vec<_>>());
        result.data[place] = join(result.data[place], *value);
    }
    result
}

/// Samples of a reduction: all axes, the inner ones, an outer one.
fn reduction_samples(op: impl Fn(Vec<usize>) -> Arc<dyn Op>, draws: Draws) -> Vec<Sample> {
    let cases = [
        (vec![9], vec![0]),
        (vec![5, 37], vec![0, 1]),
        (vec![3, 6, 8], vec![1, 2]),
        (vec![3, 6, 8], vec![0]),
        (vec![4, 5], vec![1]),
        (vec![1, 1], vec![0, 1]),
    ];
    cases.into_iter().map(|(shape, over)| Sample { op: op(over), operands: vec![(shape, draws)] }).collect()
}
