//! `sin(x)`.

use std::sync::Arc;

use super::elementwise::map_op;

map_op!(Sin, "sin", "`sin(x)`: sine of an angle in radians", (x) => x.sin(), draws: [Signed], gradient: |at| {
    let slope = at.graph.add(Arc::new(super::Cos), &at.operands);
    vec![Some(at.graph.times(at.upstream, slope))]
});
