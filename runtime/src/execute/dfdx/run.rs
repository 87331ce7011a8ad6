//! A graph on dfdx. Values are computed once, without tape. For what is differentiated, the nodes on the ways from there to the values
//! that it is differentiated by are computed again on a tape.
//!
//! dfdx has no second order. A `grad` whose value another one differentiates is therefore expanded by our rules into ordinary nodes, and
//! only the outermost ones, which nothing differentiates, are left to the tape.

use std::collections::{HashMap, HashSet};

use dfdx::prelude::{Cpu, Device};
use segc_compiler::differentiate::{between, derivative};
use segc_compiler::ops::Derivative;
use segc_compiler::{Graph, NodeId};
use segc_lang::fault::{Fault, Severity};

use super::step::{Call, Step, prepare};
use super::tape::{Flat, Real, Tape};
use crate::outcome::RunError;

/// A graph made ready.
pub(super) struct Ready {
    graph: Graph,
    /// For each node that an output needs, but for `grad` ones.
    steps: Vec<Option<Step>>,
    live: Vec<bool>,
    device: Cpu,
}

impl Ready {
    /// Prepares a graph. Errors: an op that dfdx cannot run, with its place in the spec.
    pub fn new(graph: &Graph) -> Result<Ready, RunError> {
        let (graph, device) = (outermost(graph), Cpu::default());
        let live = graph.live();
        let step = |id: NodeId| -> Result<Option<Step>, RunError> {
            let node = graph.node(id);
            if !live[id.index()] || node.op.name() == "grad" {
                return Ok(None);
            }
            let operands = graph.operands(id);
            let shapes: Vec<&[usize]> = operands.iter().map(|operand| graph.shape(*operand)).collect();
            let step = prepare(&node.op, &shapes, &node.shape, &device).map_err(RunError::Usage)?;
            step.map(Some).ok_or_else(|| RunError::Spec(Box::new(refusal(&graph, id))))
        };
        let steps = graph.ids().map(step).collect::<Result<_, _>>()?;
        Ok(Ready { steps, live, device, graph })
    }

    /// The outputs in order.
    pub fn outputs<E: Real>(&self, inputs: &[Vec<E>]) -> Result<Vec<Vec<E>>, String>
    where
        Cpu: Device<E>,
    {
        let mut run = Run { ready: self, inputs, values: HashMap::new() };
        let mut tape = Tape::new(&self.device, false);
        for id in self.graph.ids().filter(|id| self.live[id.index()]) {
            if self.graph.node(id).op.name() != "grad" {
                let value = run.node(id, &HashMap::new(), &mut tape)?;
                run.values.insert(id, value);
            } else if !run.values.contains_key(&id) {
                run.differentiate(self.graph.operands(id)[0])?;
            }
        }
        let output = |(_, id): &(String, NodeId)| run.values.get(id).map(|value| value.as_vec()).unwrap_or_default();
        Ok(self.graph.outputs.iter().map(output).collect())
    }
}

/// The graph with every `grad` that another one differentiates expanded.
fn outermost(graph: &Graph) -> Graph {
    let live = graph.live();
    let grads: Vec<NodeId> = graph.ids().filter(|id| live[id.index()] && graph.node(*id).op.name() == "grad").collect();
    let mut inner = HashSet::new();
    for &grad in &grads {
        let operands = graph.operands(grad);
        let on = between(graph, operands[0], &[operands[1]]);
        inner.extend(grads.iter().copied().filter(|other| on.get(other.index()) == Some(&true)));
    }
    graph.rebuild(|new, site| match inner.contains(&site.id) {
        true => derivative(new, site.operands[0], site.operands[1]),
        false => site.keep(new),
    })
}

fn refusal(graph: &Graph, id: NodeId) -> Fault {
    let node = graph.node(id);
    Fault {
        code: "not-executable-yet",
        severity: Severity::Error,
        message: format!("dfdx cannot run the op `{}`", node.op.name()),
        labels: node.span.map(|span| (span, "this needs it".into())).into_iter().collect(),
        help: Some("`--on cpu` runs it, and `--on reference` runs it by its definition.".into()),
    }
}

/// One run.
struct Run<'a, E: Real> {
    ready: &'a Ready,
    inputs: &'a [Vec<E>],
    values: HashMap<NodeId, Flat<E>>,
}

impl<E: Real> Run<'_, E>
where
    Cpu: Device<E>,
{
    /// A node's value from its operands': those of `taped` where it has them.
    fn node(&self, id: NodeId, taped: &HashMap<NodeId, Flat<E>>, tape: &mut Tape<E>) -> Result<Flat<E>, String> {
        let graph = &self.ready.graph;
        let ids = graph.operands(id);
        let wanted: Vec<bool> = ids.iter().map(|operand| taped.contains_key(operand)).collect();
        let mut operands: Vec<Flat<E>> = Vec::with_capacity(ids.len());
        for (i, operand) in ids.iter().enumerate() {
            let value = taped.get(operand).or_else(|| self.values.get(operand)).ok_or("an operand is missing")?;
            operands.push(if ids[..i].contains(operand) { tape.again(value)? } else { value.clone() });
        }
        let shapes: Vec<&[usize]> = ids.iter().map(|operand| graph.shape(*operand)).collect();
        let call = Call { operands: &operands, shapes: &shapes, shape: graph.shape(id), wanted: &wanted, inputs: self.inputs };
        self.ready.steps[id.index()].as_ref().ok_or("an op is not ready")?.run(&call, tape)
    }

    /// Computes all derivatives of `y` that the graph asks for.
    fn differentiate(&mut self, y: NodeId) -> Result<(), String> {
        let ready = self.ready;
        let graph = &ready.graph;
        let asked = |id: &NodeId| ready.live[id.index()] && graph.node(*id).op.name() == "grad" && graph.operands(*id)[0] == y;
        let grads: Vec<(NodeId, NodeId)> = graph.ids().filter(asked).map(|id| (id, graph.operands(id)[1])).collect();
        let wrt: HashSet<NodeId> = grads.iter().map(|(_, x)| *x).collect();
        let mut tape = Tape::new(&ready.device, true);
        let taped = self.again(y, &wrt, &mut tape)?;
        let found: Vec<NodeId> = wrt.into_iter().filter(|x| taped.contains_key(x)).collect();
        let slopes = match taped.get(&y) {
            Some(y) => tape.gradients(y, &found.iter().map(|x| taped[x].clone()).collect::<Vec<_>>())?,
            None => Vec::new(),
        };
        let slopes: HashMap<NodeId, Flat<E>> = found.into_iter().zip(slopes).collect();
        for (grad, x) in grads {
            let none = || Tape::<E>::new(&ready.device, false).filled(0.0, graph.shape(x).iter().product());
            let slope = slopes.get(&x).cloned().map_or_else(none, Ok)?;
            self.values.insert(grad, slope);
        }
        Ok(())
    }

    /// The nodes from `wrt` up to `y` that have a slope, computed again on the tape.
    fn again(&self, y: NodeId, wrt: &HashSet<NodeId>, tape: &mut Tape<E>) -> Result<HashMap<NodeId, Flat<E>>, String> {
        let graph = &self.ready.graph;
        let mut needed = HashSet::from([y]);
        for id in graph.ids().rev().filter(|id| *id <= y) {
            if needed.contains(&id) {
                needed.extend(graph.operands(id));
            }
        }
        let mut taped: HashMap<NodeId, Flat<E>> = HashMap::new();
        for id in graph.ids().filter(|id| needed.contains(id)) {
            let smooth = graph.node(id).op.derivative() == Derivative::Every;
            if smooth && graph.operands(id).iter().any(|operand| taped.contains_key(operand)) {
                let value = self.node(id, &taped, tape)?;
                taped.insert(id, value);
            } else if let (true, Some(value)) = (wrt.contains(&id), self.values.get(&id)) {
                taped.insert(id, value.clone());
            }
        }
        Ok(taped)
    }
}
