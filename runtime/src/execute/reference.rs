//! The reference executor: the graph node by node, by the naive f64 definition of each op. Slow and easy to believe.

use segc_compiler::graph::NodeId;
use segc_compiler::ops::Form;
use segc_compiler::tensor::Tensor;
use segc_compiler::{Graph, Program};

use super::{Device, Executable, Finding, Scratch, Statistics};
use crate::host::{Array, algorithm};
use crate::outcome::RunError;

/// Runs graphs by definition.
pub struct Reference;

struct Prepared {
    program: Program,
}

impl Device for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn prepare(&self, program: Program) -> Result<Box<dyn Executable>, RunError> {
        Ok(Box::new(Prepared { program }))
    }
}

impl Executable for Prepared {
    fn program(&self) -> &Program {
        &self.program
    }

    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String> {
        let values = evaluate(&self.program.graph, inputs)?;
        self.leave(&values, scratch);
        Ok(())
    }

    fn check(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<Option<Finding>, String> {
        let graph = &self.program.graph;
        let values = evaluate(graph, inputs)?;
        let numbers = |id: NodeId| values[id.index()].iter().flat_map(|value| &value.data).map(|x| *x as f32).collect::<Vec<f32>>();
        for (number, id) in graph.ids().filter(|id| values[id.index()].is_some()).enumerate() {
            let statistics = |id: NodeId| Statistics::new(graph, id, &numbers(id));
            let made = statistics(id);
            let reads: Vec<Statistics> = graph.operands(id).into_iter().map(statistics).collect();
            let own = !matches!(graph.node(id).op.form(), Form::Input(_) | Form::Constant(_)) && !made.is_finite();
            if let Some(finding) = own.then(|| Finding::new(graph, number, &[id], reads, vec![made])).flatten() {
                return Ok(Some(finding));
            }
        }
        self.leave(&values, scratch);
        Ok(None)
    }
}

impl Prepared {
    fn leave(&self, values: &[Option<Tensor>], scratch: &mut Scratch) {
        for ((_, id), output) in self.program.graph.outputs.iter().zip(&mut scratch.outputs) {
            let Some(value) = &values[id.index()] else { continue };
            output.iter_mut().zip(&value.data).for_each(|(to, from)| *to = *from as f32);
        }
    }
}

/// All values that the outputs need.
pub(super) fn evaluate(graph: &Graph, inputs: &[&[f32]]) -> Result<Vec<Option<Tensor>>, String> {
    let live = graph.live();
    let mut values: Vec<Option<Tensor>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        values[id.index()] = Some(node(graph, id, &values, inputs)?);
    }
    Ok(values)
}

fn node(graph: &Graph, id: NodeId, values: &[Option<Tensor>], inputs: &[&[f32]]) -> Result<Tensor, String> {
    let node = graph.node(id);
    let operands: Vec<&Tensor> = graph.operands(id).iter().filter_map(|operand| values[operand.index()].as_ref()).collect();
    match node.op.form() {
        Form::Input(number) => Ok(Tensor::new(node.shape.clone(), inputs[number].iter().map(|x| f64::from(*x)).collect())),
        Form::Host(name, numbers) => {
            let array = |x: &&Tensor| Array { shape: x.shape.clone(), values: x.data.iter().map(|v| *v as f32).collect() };
            let arrays: Vec<Array> = operands.iter().map(array).collect();
            let result = algorithm(&name).ok_or(format!("there is no algorithm `{name}`"))?(&arrays, &numbers);
            Ok(Tensor::new(node.shape.clone(), result.values.into_iter().map(f64::from).collect()))
        }
        _ => Ok(node.op.reference(&operands, &node.shape)),
    }
}
