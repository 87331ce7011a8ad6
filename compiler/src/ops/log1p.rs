//! `log1p(x)`.

use super::elementwise::map_op;

map_op!(Log1p, "log1p", "`log1p(x)`: log(1 + x), exact near 0", (x) => x.ln_1p(), draws: [Positive], gradient: |at| {
    let one = at.graph.number(1.0);
    let shifted = at.graph.plus(at.operands[0], one);
    vec![Some(at.graph.over(at.upstream, shifted))]
});
