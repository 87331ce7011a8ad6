//! `cos(x)`.

use std::sync::Arc;

use super::elementwise::map_op;

map_op!(Cos, "cos", "`cos(x)`: cosine of an angle in radians", (x) => x.cos(), draws: [Signed], gradient: |at| {
    let sine = at.graph.add(Arc::new(super::Sin), &at.operands);
    let slope = at.graph.negated(sine);
    vec![Some(at.graph.times(at.upstream, slope))]
});
