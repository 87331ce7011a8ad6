//! `sigmoid(x)`.

use super::elementwise::map_op;

map_op!(Sigmoid, "sigmoid", "`sigmoid(x)`: 1 / (1 + exp(-x))", (x) => 1.0 / (1.0 + (-x).exp()), draws: [Signed], gradient: |at| {
    let one = at.graph.number(1.0);
    let rest = at.graph.minus(one, at.node);
    let slope = at.graph.times(at.node, rest);
    vec![Some(at.graph.times(at.upstream, slope))]
});
