//! `sqrt(x)`.

use super::elementwise::map_op;

map_op!(Sqrt, "sqrt", "`sqrt(x)`: square root", (x) => x.sqrt(), draws: [Positive], gradient: |at| {
    let half = at.graph.scaled(at.upstream, 0.5);
    vec![Some(at.graph.over(half, at.node))]
});
