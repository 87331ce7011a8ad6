//! `abs(x)`.

use std::sync::Arc;

use super::elementwise::map_op;

map_op!(Abs, "abs", "`abs(x)`: without its sign; the slope at 0 is 0", (x) => x.abs(), draws: [Signed], gradient: |at| {
    let sign = at.graph.add(Arc::new(super::Sign), &at.operands);
    vec![Some(at.graph.times(at.upstream, sign))]
});
