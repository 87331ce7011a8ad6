//! Short ways to add the common nodes; scalars are expanded to the other side's shape.

use std::sync::Arc;

use super::{Graph, NodeId};
use crate::ops;

impl Graph {
    /// A number.
    pub fn number(&mut self, value: f64) -> NodeId {
        self.add(Arc::new(ops::Constant::new(value)), &[])
    }

    /// `value` along all axes of a shape.
    pub fn filled(&mut self, value: f64, shape: &[usize]) -> NodeId {
        let number = self.number(value);
        self.expand(number, shape, &[])
    }

    /// `x` repeated to `shape`; `places` says for each axis of x where it stands there.
    pub fn expand(&mut self, x: NodeId, shape: &[usize], places: &[usize]) -> NodeId {
        if self.shape(x) == shape {
            return x;
        }
        self.add(Arc::new(ops::Expand { shape: shape.to_vec(), places: places.to_vec() }), &[x])
    }

    /// `x` summed over axes, which are gone.
    pub fn sum(&mut self, x: NodeId, over: &[usize]) -> NodeId {
        if over.is_empty() {
            return x;
        }
        self.add(Arc::new(ops::Sum { over: over.to_vec() }), &[x])
    }

    /// An element-wise op of two values, of which one may be a scalar.
    pub fn pair(&mut self, op: Arc<dyn ops::Op>, a: NodeId, b: NodeId) -> NodeId {
        let shape = if self.shape(a).is_empty() { self.shape(b).to_vec() } else { self.shape(a).to_vec() };
        let [a, b] = [a, b].map(|x| if self.shape(x).is_empty() { self.expand(x, &shape, &[]) } else { x });
        self.add(op, &[a, b])
    }

    /// `a + b`.
    pub fn plus(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.pair(Arc::new(ops::Add), a, b)
    }

    /// `a - b`.
    pub fn minus(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.pair(Arc::new(ops::Subtract), a, b)
    }

    /// `a * b`.
    pub fn times(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.pair(Arc::new(ops::Multiply), a, b)
    }

    /// `a / b`.
    pub fn over(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.pair(Arc::new(ops::Divide), a, b)
    }

    /// `a * number`.
    pub fn scaled(&mut self, a: NodeId, by: f64) -> NodeId {
        let by = self.number(by);
        self.times(a, by)
    }

    /// `-a`.
    pub fn negated(&mut self, a: NodeId) -> NodeId {
        self.add(Arc::new(ops::Negate), &[a])
    }

    /// `yes` where `on`, else `no`.
    pub fn select(&mut self, on: NodeId, yes: NodeId, no: NodeId) -> NodeId {
        let shape = self.shape(on).to_vec();
        let [yes, no] = [yes, no].map(|x| if self.shape(x).is_empty() { self.expand(x, &shape, &[]) } else { x });
        self.add(Arc::new(ops::Select), &[on, yes, no])
    }

    /// The value of a node that is a number, also through an expansion.
    pub fn as_number(&self, id: NodeId) -> Option<f64> {
        match self.node(id).op.form() {
            ops::Form::Constant(value) => Some(value),
            ops::Form::Expand(_) => self.as_number(self.operands(id)[0]),
            _ => None,
        }
    }
}
