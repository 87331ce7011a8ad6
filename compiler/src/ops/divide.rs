//! `a / b`.

use super::elementwise::map_op;

map_op!(Divide, "divide", "`a / b`", (a, b) => a / b, draws: [Signed, Positive], gradient: |at| {
    let part = at.graph.over(at.upstream, at.operands[1]);
    let below = at.wanted[1].then(|| {
        let product = at.graph.times(part, at.node);
        at.graph.negated(product)
    });
    vec![Some(part), below]
});
