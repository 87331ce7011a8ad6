//! `a ^ b`.

use std::sync::Arc;

use super::elementwise::map_op;

map_op!(Power, "power", "`a ^ b`", (a, b) => a.powf(b), draws: [Positive, Signed], gradient: |at| {
    let [a, b] = [at.operands[0], at.operands[1]];
    let base = at.wanted[0].then(|| {
        let one = at.graph.number(1.0);
        let less = at.graph.minus(b, one);
        let power = at.graph.pair(Arc::new(Power), a, less);
        let slope = at.graph.times(b, power);
        at.graph.times(at.upstream, slope)
    });
    let exponent = at.wanted[1].then(|| {
        let log = at.graph.add(Arc::new(super::Log), &[a]);
        let slope = at.graph.times(at.node, log);
        at.graph.times(at.upstream, slope)
    });
    vec![base, exponent]
});
