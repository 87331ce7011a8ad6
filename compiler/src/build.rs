//! Terms over named axes become a graph over ordered axes: a value's axes lie in the order of their declaration.

use std::collections::HashMap;
use std::sync::Arc;

use segc_lang::fault::Fault;
use segc_lang::source::Span;
use segc_lang::spec::{Axis, Binary, Prim, Reduction, Spec, Term, TermId, Type, Unary};

use crate::graph::{Graph, NodeId};
use crate::kernel::Tap;
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

/// Builds the graph of named terms. Solved values and averages are inputs of it. Errors: what no executor runs yet.
pub fn build(spec: &Spec, roots: &[(String, TermId)]) -> Result<Graph, Fault> {
    let mut builder = Builder { spec, graph: Graph::default(), nodes: HashMap::new() };
    for id in needed(spec, roots) {
        let term = spec.terms.get(id);
        builder.graph.place = Some(term.span);
        let node = builder.lower(id, term)?;
        builder.nodes.insert(id, node);
    }
    builder.graph.outputs = roots.iter().map(|(name, id)| (name.clone(), builder.nodes[id])).collect();
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

/// The terms that roots need, operands first, stopping at values that come from outside.
fn needed(spec: &Spec, roots: &[(String, TermId)]) -> Vec<TermId> {
    let mut wanted = std::collections::BTreeSet::new();
    let mut open: Vec<_> = roots.iter().map(|(_, id)| *id).collect();
    while let Some(id) = open.pop() {
        let term = spec.terms.get(id);
        if wanted.insert(id) && !matches!(term.prim, Prim::Solved { .. } | Prim::Average { .. }) {
            open.extend(&term.args);
        }
    }
    wanted.into_iter().collect()
}

struct Builder<'a> {
    spec: &'a Spec,
    graph: Graph,
    nodes: HashMap<TermId, NodeId>,
}

impl Builder<'_> {
    fn lower(&mut self, id: TermId, term: &Term) -> Result<NodeId, Fault> {
        Ok(match &term.prim {
            Prim::Const(value) => self.graph.number(*value),
            Prim::Field { data, field } => self.input(Leaf::Field(*data, field.clone()), &term.ty),
            Prim::State { state, .. } => self.input(Leaf::State(*state), &term.ty),
            Prim::Solved { .. } => self.input(Leaf::Solved(id), &term.ty),
            Prim::Average { .. } => self.input(Leaf::Average(id), &term.ty),
            Prim::Unary(function) => {
                let x = self.arg(term, 0);
                self.graph.add(unary(*function), &[x])
            }
            Prim::Binary(function) => self.binary(*function, term),
            Prim::Where => {
                let operands = [0, 1, 2].map(|i| self.spread(term, i));
                self.graph.add(Arc::new(ops::Select), &operands)
            }
            Prim::Spread => self.spread(term, 0),
            Prim::Stop => self.one(term, Arc::new(ops::Stop)),
            Prim::Oracle => self.arg(term, 0),
            Prim::Grad => {
                let operands = [self.arg(term, 0), self.arg(term, 1)];
                self.graph.add(Arc::new(ops::Grad), &operands)
            }
            Prim::Host { name, numbers } => {
                let operands: Vec<_> = (0..term.args.len()).map(|i| self.arg(term, i)).collect();
                let numbers = numbers.iter().map(|value| value.to_bits()).collect();
                self.graph.add(Arc::new(ops::Host { algorithm: name.clone(), numbers, shape: sizes(&term.ty) }), &operands)
            }
            Prim::Translate { height, width } => self.translate(term, *height, *width)?,
            Prim::Draw { .. } => return Err(not_yet("random draws", term.span)),
            _ => self.along_axes(term)?,
        })
    }

    /// The primitives that speak about axes.
    fn along_axes(&mut self, term: &Term) -> Result<NodeId, Fault> {
        let place = |axis: &Axis| self.place(term, 0, *axis);
        Ok(match &term.prim {
            Prim::Reduce(kind, axes) => {
                let mut over: Vec<_> = axes.iter().map(place).collect();
                over.sort_unstable();
                let op: Arc<dyn Op> = match kind {
                    Reduction::Sum => Arc::new(ops::Sum { over }),
                    Reduction::Max => Arc::new(ops::Max { over }),
                    Reduction::Min => Arc::new(ops::Min { over }),
                };
                self.one(term, op)
            }
            Prim::ArgMax(axis) => self.one(term, Arc::new(ops::ArgMax { axis: place(axis) })),
            Prim::Index(axis) => self.graph.add(Arc::new(ops::Iota { size: size(&term.ty, *axis) }), &[]),
            Prim::Pick(axis, at) => self.one(term, Arc::new(ops::Pick { axis: place(axis), at: *at })),
            Prim::PickAt(axis) => {
                if !self.spec.terms.get(term.args[1]).ty.axes.is_empty() {
                    return Err(not_yet("an index of run time that has axes", term.span));
                }
                let operands = [self.arg(term, 0), self.arg(term, 1)];
                self.graph.add(Arc::new(ops::PickAt { axis: self.place(term, 0, *axis) }), &operands)
            }
            Prim::Slice(axis, from) => {
                let op = ops::Slice { axis: place(axis), from: *from, size: size(&term.ty, *axis) };
                self.one(term, Arc::new(op))
            }
            Prim::Dot(_) => self.dot(term),
            Prim::Stack(axis) => self.stack(term, *axis),
            Prim::Concat(axis) => {
                let operands: Vec<_> = (0..term.args.len()).map(|i| self.arg(term, i)).collect();
                let axis = self.place(term, 0, *axis);
                self.graph.add(Arc::new(ops::Concat { axis }), &operands)
            }
            Prim::Rename(from, to) => {
                let axes = self.axes(term, 0).iter().map(|axis| if axis == from { *to } else { *axis }).collect();
                let x = self.arg(term, 0);
                self.ordered(x, axes, &term.ty)
            }
            Prim::Split(axis, into) => {
                let axes: Vec<Axis> = self.axes(term, 0);
                let at = self.place(term, 0, *axis);
                let mut shape = sizes(&self.spec.terms.get(term.args[0]).ty);
                shape.splice(at..=at, into.iter().map(|(_, size)| *size));
                let mut split = axes;
                split.splice(at..=at, into.iter().map(|(axis, _)| *axis));
                let x = self.one(term, Arc::new(ops::Reshape { shape }));
                self.ordered(x, split, &term.ty)
            }
            Prim::Merge(from, into) => self.merge(term, from, *into),
            _ => return Err(not_yet("this primitive", term.span)),
        })
    }

    fn input(&mut self, leaf: Leaf, ty: &Type) -> NodeId {
        let number = self.graph.leaves.iter().position(|known| *known == leaf).unwrap_or_else(|| {
            self.graph.leaves.push(leaf);
            self.graph.leaves.len() - 1
        });
        self.graph.add(Arc::new(ops::Input { number, shape: sizes(ty) }), &[])
    }

    fn arg(&self, term: &Term, i: usize) -> NodeId {
        self.nodes[&term.args[i]]
    }

    fn axes(&self, term: &Term, i: usize) -> Vec<Axis> {
        self.spec.terms.get(term.args[i]).ty.axes.iter().map(|(axis, _)| *axis).collect()
    }

    fn place(&self, term: &Term, i: usize, axis: Axis) -> usize {
        self.axes(term, i).iter().position(|own| *own == axis).unwrap_or(usize::MAX)
    }

    fn one(&mut self, term: &Term, op: Arc<dyn Op>) -> NodeId {
        let x = self.arg(term, 0);
        self.graph.add(op, &[x])
    }

    /// An argument expanded to the axes of the result.
    fn spread(&mut self, term: &Term, i: usize) -> NodeId {
        let own = self.axes(term, i);
        let places: Vec<_> = (0..term.ty.axes.len()).filter(|at| own.contains(&term.ty.axes[*at].0)).collect();
        let x = self.arg(term, i);
        self.graph.expand(x, &sizes(&term.ty), &places)
    }

    fn binary(&mut self, function: Binary, term: &Term) -> NodeId {
        let (a, b) = (self.spread(term, 0), self.spread(term, 1));
        let op: Arc<dyn Op> = match function {
            Binary::Add => Arc::new(ops::Add),
            Binary::Subtract => Arc::new(ops::Subtract),
            Binary::Multiply => Arc::new(ops::Multiply),
            Binary::Divide => Arc::new(ops::Divide),
            Binary::Power => Arc::new(ops::Power),
            Binary::Max => Arc::new(ops::Maximum),
            Binary::Min => Arc::new(ops::Minimum),
            Binary::Modulo => Arc::new(ops::Modulo),
            Binary::Equal => Arc::new(ops::Equal),
            Binary::NotEqual => Arc::new(ops::NotEqual),
            Binary::Less => Arc::new(ops::Less),
            Binary::LessEqual => Arc::new(ops::LessEqual),
            Binary::Greater => return self.graph.add(Arc::new(ops::Less), &[b, a]),
            Binary::GreaterEqual => return self.graph.add(Arc::new(ops::LessEqual), &[b, a]),
            Binary::And => Arc::new(ops::And),
            Binary::Or => Arc::new(ops::Or),
        };
        if function == Binary::Power && self.graph.as_number(b) == Some(2.0) {
            return self.graph.times(a, a);
        }
        self.graph.add(op, &[a, b])
    }

    fn translate(&mut self, term: &Term, height: Axis, width: Axis) -> Result<NodeId, Fault> {
        let by = |i: usize| match self.spec.terms.get(term.args[i]).prim {
            Prim::Const(value) if value.fract() == 0.0 => Ok(value as isize),
            _ => Err(not_yet("a translation that is known at run time only, or by broken pixels", term.span)),
        };
        let (right, down) = (by(1)?, by(2)?);
        let mut axes = self.axes(term, 0);
        axes.retain(|axis| *axis != height && *axis != width);
        axes.extend([height, width]);
        let x = self.arg(term, 0);
        let last = self.permuted(x, &self.axes(term, 0), &axes);
        let moved = self.graph.add(Arc::new(ops::Stencil { taps: vec![Tap { down, right, weight: 1.0 }] }), &[last]);
        Ok(self.ordered(moved, axes, &term.ty))
    }

    fn dot(&mut self, term: &Term) -> NodeId {
        let letters = |axes: &[Axis]| -> Vec<u8> { axes.iter().map(|axis| axis.0 as u8).collect() };
        let result = term.ty.axes.iter().map(|(axis, _)| axis.0 as u8).collect();
        let op = ops::Dot { a: letters(&self.axes(term, 0)), b: letters(&self.axes(term, 1)), result };
        let operands = [self.arg(term, 0), self.arg(term, 1)];
        self.graph.add(Arc::new(op), &operands)
    }

    fn stack(&mut self, term: &Term, axis: Axis) -> NodeId {
        let at = term.ty.axes.iter().position(|(own, _)| *own == axis).unwrap_or(0);
        let mut shape = sizes(&term.ty);
        shape[at] = 1;
        let slices: Vec<_> = (0..term.args.len())
            .map(|i| {
                let x = self.arg(term, i);
                self.graph.add(Arc::new(ops::Reshape { shape: shape.clone() }), &[x])
            })
            .collect();
        self.graph.add(Arc::new(ops::Concat { axis: at }), &slices)
    }

    fn merge(&mut self, term: &Term, from: &[Axis], into: Axis) -> NodeId {
        let own = self.axes(term, 0);
        let mut together: Vec<Axis> = own.iter().copied().filter(|axis| !from.contains(axis)).collect();
        let at = together.len();
        together.extend(from);
        let x = self.arg(term, 0);
        let x = self.permuted(x, &own, &together);
        let mut shape = self.graph.shape(x).to_vec();
        let merged = shape.drain(at..).product();
        shape.push(merged);
        together.truncate(at);
        together.push(into);
        let x = self.graph.add(Arc::new(ops::Reshape { shape }), &[x]);
        self.ordered(x, together, &term.ty)
    }

    /// A value whose axes stand in the order `axes`, brought into the order of the type.
    fn ordered(&mut self, x: NodeId, axes: Vec<Axis>, ty: &Type) -> NodeId {
        let sorted: Vec<Axis> = ty.axes.iter().map(|(axis, _)| *axis).collect();
        self.permuted(x, &axes, &sorted)
    }

    fn permuted(&mut self, x: NodeId, from: &[Axis], to: &[Axis]) -> NodeId {
        if from == to {
            return x;
        }
        let order = to.iter().filter_map(|axis| from.iter().position(|own| own == axis)).collect();
        self.graph.add(Arc::new(ops::Permute { order }), &[x])
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

fn sizes(ty: &Type) -> Vec<usize> {
    ty.axes.iter().map(|(_, size)| *size).collect()
}

fn size(ty: &Type, axis: Axis) -> usize {
    ty.axes.iter().find(|(own, _)| *own == axis).map_or(0, |(_, size)| *size)
}

fn not_yet(what: &str, span: Span) -> Fault {
    Fault::error("not-executable-yet", format!("{what} cannot be executed yet"), span, "used here")
        .help("`segc check` accepts it; a later version will run it.")
}
