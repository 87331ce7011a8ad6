//! `tanh(x)`.

use super::elementwise::map_op;

map_op!(Tanh, "tanh", "`tanh(x)`: hyperbolic tangent", (x) => x.tanh(), draws: [Signed], gradient: |at| {
    let square = at.graph.times(at.node, at.node);
    let one = at.graph.number(1.0);
    let slope = at.graph.minus(one, square);
    vec![Some(at.graph.times(at.upstream, slope))]
});
