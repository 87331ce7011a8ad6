//! Graphs by the definitions of their ops, in f64.

use segc_compiler::Graph;
use segc_compiler::build::Leaf;
use segc_compiler::ops::Form;
use segc_compiler::tensor::Tensor;

/// The outputs of a graph whose leaves `given` knows.
pub fn outputs(graph: &Graph, given: &dyn Fn(&Leaf) -> Tensor) -> Vec<Tensor> {
    let live = graph.live();
    let mut made: Vec<Option<Tensor>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        let operands: Vec<&Tensor> = graph.operands(id).iter().filter_map(|operand| made[operand.index()].as_ref()).collect();
        let value = match node.op.form() {
            Form::Input(number) => given(&graph.leaves[number]),
            _ => node.op.reference(&operands, &node.shape),
        };
        assert_eq!(value.shape, node.shape, "{:?}", node.op);
        made[id.index()] = Some(value);
    }
    graph.outputs.iter().filter_map(|(_, id)| made[id.index()].clone()).collect()
}
