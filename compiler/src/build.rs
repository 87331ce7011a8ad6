//! Terms over named axes become a graph over ordered axes: a value's axes lie in the order of their declaration, in a program of many
//! samples behind those of the samples.

mod axes;
mod draws;
mod moves;
mod order;
mod pictures;

use std::collections::HashMap;
use std::sync::Arc;

use segc_lang::fault::Fault;
use segc_lang::source::Span;
use segc_lang::spec::{Axis, Binary, Prim, Spec, Term, TermId, Type, Unary};

use crate::graph::{Graph, NodeId, Shape};
use crate::ops::{self, Op};

/// What an input stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// A field of the sample at hand.
    Field(usize, String),
    /// A state of the member of a solve that the program belongs to.
    State(usize),
    /// A value of a solved member, by its `Solved` term.
    Solved(TermId),
    /// A mean over a data set, by its `Average` term.
    Average(TermId),
    /// A weight, by number.
    Weight(usize),
    /// The moving average of a weight, by the weight's number.
    Averaged(usize),
    /// A state of a model before the turn, by number.
    Buffer(usize),
    /// Where in the run a program stands, as numbers below 2^16, exact in f32, the lowest part first: four of the seed, the phase, the
    /// turn, two of the step. Shape `[8]`.
    Clock,
    /// Number of each sample in two parts below 2^16, the lower first. Shape `[batch, 2]`, `[2]` for a program of one sample.
    Samples,
    /// How much of the phase is over.
    Elapsed(segc_lang::spec::Unit),
}

/// What is asked of [`build`] beside the terms. The default is a program of one sample that leaves no states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Request {
    /// Samples that the program computes at a time. Values that differ from sample to sample then have a leading axis of them, those
    /// that all samples share have none. Without it a program computes one sample, and there is no such axis.
    pub batch: Option<usize>,
    /// Whether what the calls leave in the states of their models is computed too: outputs `next.<path>`.
    pub states: bool,
}

/// Builds the graph of named terms. Solved values and averages are inputs of it. The applications of nets with states that the terms
/// need are made in the order of [`segc_lang::spec::Call::order`]: the first finds the state before the turn, each further one what the
/// former leaves. Errors: a batch without samples; what no executor runs yet; applications that need what a later one leaves; a batch of
/// another size than the spec was elaborated for.
pub fn build(spec: &Spec, roots: &[(String, TermId)], request: &Request) -> Result<Graph, Fault> {
    if request.batch == Some(0) {
        return Err(no_samples(spec, roots));
    }
    let plan = order::order(spec, roots, request.states)?;
    let mut builder = Builder { spec, batch: request.batch, plan: &plan, graph: Graph::default(), values: HashMap::new() };
    for &id in &plan.terms {
        let term = spec.terms.get(id);
        builder.graph.place = Some(term.span);
        let value = builder.lower(id, term)?;
        builder.values.insert(id, value);
    }
    builder.graph.outputs = roots.iter().map(|(name, id)| (name.clone(), builder.values[id].node)).collect();
    for &(buffer, next) in &plan.left {
        let node = builder.next(buffer, next)?;
        builder.graph.outputs.push((format!("next.{}", spec.buffers[buffer].path), node));
    }
    match builder.graph.fault() {
        Some(why) => Err(Fault {
            code: "internal",
            severity: segc_lang::fault::Severity::Error,
            message: format!("the compiler built a graph that does not fit: {why}"),
            labels: Vec::new(),
            help: Some("This is a defect of segc: please report it with the spec.".into()),
        }),
        None => Ok(builder.graph),
    }
}

/// Means over a batch of none would be NaN.
fn no_samples(spec: &Spec, roots: &[(String, TermId)]) -> Fault {
    let place = roots.first().map(|(_, id)| spec.terms.get(*id).span);
    Fault {
        code: "bad-size",
        severity: segc_lang::fault::Severity::Error,
        message: "a batch has no samples".into(),
        labels: place.map(|span| (span, "this would be computed for none".into())).into_iter().collect(),
        help: Some("Ask for at least one sample.".into()),
    }
}

/// An axis of a value while the graph is built; the samples come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dim {
    Samples,
    Axis(Axis),
}

/// A value while the graph is built: its node and the node's axes with their sizes, in the node's order.
#[derive(Clone, Debug)]
struct Value {
    node: NodeId,
    dims: Vec<(Dim, usize)>,
}

impl Value {
    fn place(&self, dim: Dim) -> usize {
        self.dims.iter().position(|(own, _)| *own == dim).unwrap_or(usize::MAX)
    }

    fn size(&self, dim: Dim) -> usize {
        self.dims.iter().find(|(own, _)| *own == dim).map_or(1, |(_, size)| *size)
    }

    fn has(&self, dim: Dim) -> bool {
        self.dims.iter().any(|(own, _)| *own == dim)
    }

    fn is_per_sample(&self) -> bool {
        self.has(Dim::Samples)
    }
}

struct Builder<'a> {
    spec: &'a Spec,
    batch: Option<usize>,
    plan: &'a order::Order,
    graph: Graph,
    values: HashMap<TermId, Value>,
}

impl Builder<'_> {
    fn lower(&mut self, id: TermId, term: &Term) -> Result<Value, Fault> {
        Ok(match &term.prim {
            Prim::Const(value) => Value { node: self.graph.number(*value), dims: Vec::new() },
            Prim::Field { data, field } => self.input(Leaf::Field(*data, field.clone()), &term.ty, true),
            Prim::State { state, .. } => self.input(Leaf::State(*state), &term.ty, true),
            Prim::Solved { .. } => self.input(Leaf::Solved(id), &term.ty, true),
            Prim::Average { .. } => self.input(Leaf::Average(id), &term.ty, false),
            Prim::Weight(number) => self.input(Leaf::Weight(*number), &term.ty, false),
            Prim::Averaged(number) => self.input(Leaf::Averaged(*number), &term.ty, false),
            Prim::Elapsed(unit) => self.input(Leaf::Elapsed(*unit), &term.ty, false),
            Prim::Buffer { buffer, .. } => self.buffer(id, *buffer, term)?,
            Prim::Called(_) | Prim::Oracle => self.arg(term, 0),
            Prim::Unary(function) => self.one(term, unary(*function)),
            Prim::Stop => self.one(term, Arc::new(ops::Stop)),
            Prim::Binary(function) => self.binary(*function, term),
            Prim::Where => {
                let sides = [0, 1, 2].map(|i| self.arg(term, i));
                let dims = self.joint(term, &sides);
                let operands = sides.map(|side| self.expanded(&side, &dims));
                Value { node: self.graph.add(Arc::new(ops::Select), &operands), dims }
            }
            Prim::Spread => {
                let x = self.arg(term, 0);
                let dims = self.joint(term, std::slice::from_ref(&x));
                Value { node: self.expanded(&x, &dims), dims }
            }
            Prim::Grad => self.grad(term),
            Prim::Host { name, numbers } => self.host(name, numbers, term)?,
            Prim::Draw { from, path, per } => self.draw(*from, path, *per, term)?,
            Prim::Batch(axis) => self.side_by_side(*axis, term)?,
            Prim::SampleIndex => match self.batch {
                Some(size) => Value { node: self.graph.add(Arc::new(ops::Iota { size }), &[]), dims: vec![(Dim::Samples, size)] },
                None => Value { node: self.graph.number(0.0), dims: Vec::new() },
            },
            Prim::Translate { height, width } => self.translate(term, *height, *width),
            Prim::Conv2d(sliding) => self.conv2d(term, *sliding)?,
            Prim::Conv2dTransposed(sliding) => self.conv2d_transposed(term, *sliding)?,
            Prim::MaxPool { window, stride, pad } => {
                let window = crate::kernel::Window { size: *window, stride: *stride, pad: *pad };
                self.max_pool(term, window)?
            }
            _ => self.along_axes(term),
        })
    }

    /// A leaf; where it is not shared it has the samples' axis.
    fn input(&mut self, leaf: Leaf, ty: &Type, per_sample: bool) -> Value {
        let samples = self.batch.filter(|_| per_sample).map(|size| (Dim::Samples, size));
        let dims: Vec<_> = samples.into_iter().chain(named(ty)).collect();
        Value { node: self.leaf(leaf, sizes(&dims)), dims }
    }

    fn leaf(&mut self, leaf: Leaf, shape: Shape) -> NodeId {
        let number = self.graph.leaves.iter().position(|known| *known == leaf).unwrap_or_else(|| {
            self.graph.leaves.push(leaf);
            self.graph.leaves.len() - 1
        });
        self.graph.add(Arc::new(ops::Input { number, shape }), &[])
    }

    /// What a call finds in a state: before the turn, or what the former call leaves. No gradient passes.
    fn buffer(&mut self, id: TermId, buffer: usize, term: &Term) -> Result<Value, Fault> {
        let Some(next) = self.plan.found.get(&id) else {
            return Ok(self.input(Leaf::Buffer(buffer), &term.ty, false));
        };
        let left = self.next(buffer, *next)?;
        Ok(Value { node: self.graph.add(Arc::new(ops::Stop), &[left]), dims: named(&term.ty).collect() })
    }

    /// The next value of a state, of the state's type.
    fn next(&mut self, buffer: usize, next: TermId) -> Result<NodeId, Fault> {
        let value = self.values[&next].clone();
        if value.is_per_sample() {
            let message = format!("the state `{}` is shared, its next value differs from sample to sample", self.spec.buffers[buffer].path);
            return Err(Fault::error("not-executable-yet", message, self.spec.terms.get(next).span, "differs from sample to sample")
                .help("Reduce it over `batch(..)` first."));
        }
        let dims: Vec<_> = named(&self.spec.buffers[buffer].ty).collect();
        Ok(self.expanded(&value, &dims))
    }

    fn grad(&mut self, term: &Term) -> Value {
        let (y, x) = (self.arg(term, 0), self.arg(term, 1));
        let total = if y.is_per_sample() { self.graph.sum(y.node, &[0]) } else { y.node };
        Value { node: self.graph.add(Arc::new(ops::Grad), &[total, x.node]), dims: x.dims }
    }

    fn host(&mut self, name: &str, numbers: &[f64], term: &Term) -> Result<Value, Fault> {
        let operands: Vec<_> = (0..term.args.len()).map(|i| self.arg(term, i)).collect();
        if operands.iter().any(Value::is_per_sample) {
            return Err(not_yet("an algorithm of the host over many samples at a time", term.span));
        }
        let numbers = numbers.iter().map(|value| value.to_bits()).collect();
        let dims: Vec<_> = named(&term.ty).collect();
        let op = ops::Host { algorithm: name.to_owned(), numbers, shape: sizes(&dims) };
        Ok(Value { node: self.graph.add(Arc::new(op), &operands.iter().map(|x| x.node).collect::<Vec<_>>()), dims })
    }

    fn arg(&self, term: &Term, i: usize) -> Value {
        self.values[&term.args[i]].clone()
    }

    /// An op of the first argument that keeps its axes.
    fn one(&mut self, term: &Term, op: Arc<dyn Op>) -> Value {
        let x = self.arg(term, 0);
        Value { node: self.graph.add(op, &[x.node]), dims: x.dims }
    }

    /// The axes of a term's result: those of its type, and the samples' where one of its parts has it.
    fn joint(&self, term: &Term, parts: &[Value]) -> Vec<(Dim, usize)> {
        let samples = self.batch.filter(|_| parts.iter().any(Value::is_per_sample)).map(|size| (Dim::Samples, size));
        samples.into_iter().chain(named(&term.ty)).collect()
    }

    /// A value repeated to the axes `dims`; those that it has stand there in its order.
    fn expanded(&mut self, x: &Value, dims: &[(Dim, usize)]) -> NodeId {
        let places: Vec<_> = (0..dims.len()).filter(|at| x.has(dims[*at].0)).collect();
        self.graph.expand(x.node, &sizes(dims), &places)
    }

    fn binary(&mut self, function: Binary, term: &Term) -> Value {
        let sides = [0, 1].map(|i| self.arg(term, i));
        let dims = self.joint(term, &sides);
        let [a, b] = sides.map(|side| self.expanded(&side, &dims));
        let (op, flipped): (Arc<dyn Op>, bool) = match function {
            Binary::Add => (Arc::new(ops::Add), false),
            Binary::Subtract => (Arc::new(ops::Subtract), false),
            Binary::Multiply => (Arc::new(ops::Multiply), false),
            Binary::Divide => (Arc::new(ops::Divide), false),
            Binary::Power => (Arc::new(ops::Power), false),
            Binary::Max => (Arc::new(ops::Maximum), false),
            Binary::Min => (Arc::new(ops::Minimum), false),
            Binary::Modulo => (Arc::new(ops::Modulo), false),
            Binary::Equal => (Arc::new(ops::Equal), false),
            Binary::NotEqual => (Arc::new(ops::NotEqual), false),
            Binary::Less => (Arc::new(ops::Less), false),
            Binary::LessEqual => (Arc::new(ops::LessEqual), false),
            Binary::Greater => (Arc::new(ops::Less), true),
            Binary::GreaterEqual => (Arc::new(ops::LessEqual), true),
            Binary::And => (Arc::new(ops::And), false),
            Binary::Or => (Arc::new(ops::Or), false),
        };
        let node = match function {
            Binary::Power if self.graph.as_number(b) == Some(2.0) => self.graph.times(a, a),
            _ if flipped => self.graph.add(op, &[b, a]),
            _ => self.graph.add(op, &[a, b]),
        };
        Value { node, dims }
    }

    /// A value with its axes in another order.
    fn permuted(&mut self, x: Value, to: &[Dim]) -> Value {
        let order: Vec<usize> = to.iter().map(|dim| x.place(*dim)).collect();
        if order.iter().copied().eq(0..x.dims.len()) {
            return x;
        }
        let dims = order.iter().map(|place| x.dims[*place]).collect();
        Value { node: self.graph.add(Arc::new(ops::Permute { order }), &[x.node]), dims }
    }

    /// A value with its axes in their proper order.
    fn ordered(&mut self, x: Value) -> Value {
        let mut sorted: Vec<Dim> = x.dims.iter().map(|(dim, _)| *dim).collect();
        sorted.sort_unstable();
        self.permuted(x, &sorted)
    }

    /// The same elements with other axes.
    fn reshaped(&mut self, x: Value, dims: Vec<(Dim, usize)>) -> Value {
        let shape = sizes(&dims);
        let node = if self.graph.shape(x.node) == shape { x.node } else { self.graph.add(Arc::new(ops::Reshape { shape }), &[x.node]) };
        Value { node, dims }
    }
}

fn unary(function: Unary) -> Arc<dyn Op> {
    match function {
        Unary::Negate => Arc::new(ops::Negate),
        Unary::Exp => Arc::new(ops::Exp),
        Unary::Log => Arc::new(ops::Log),
        Unary::Log1p => Arc::new(ops::Log1p),
        Unary::Sqrt => Arc::new(ops::Sqrt),
        Unary::Sin => Arc::new(ops::Sin),
        Unary::Cos => Arc::new(ops::Cos),
        Unary::Erf => Arc::new(ops::Erf),
        Unary::Tanh => Arc::new(ops::Tanh),
        Unary::Sigmoid => Arc::new(ops::Sigmoid),
        Unary::Softplus => Arc::new(ops::Softplus),
        Unary::Abs => Arc::new(ops::Abs),
        Unary::Sign => Arc::new(ops::Sign),
        Unary::Floor => Arc::new(ops::Floor),
        Unary::Round => Arc::new(ops::Round),
        Unary::Not => Arc::new(ops::Not),
    }
}

fn named(ty: &Type) -> impl Iterator<Item = (Dim, usize)> {
    ty.axes.iter().map(|(axis, size)| (Dim::Axis(*axis), *size))
}

fn sizes(dims: &[(Dim, usize)]) -> Shape {
    dims.iter().map(|(_, size)| *size).collect()
}

fn not_yet(what: &str, span: Span) -> Fault {
    Fault::error("not-executable-yet", format!("{what} cannot be executed yet"), span, "used here")
        .help("`segc check` accepts it; a later version will run it.")
}
