//! `a * b`.

use super::elementwise::map_op;

map_op!(Multiply, "multiply", "`a * b`", (a, b) => a * b, draws: [Signed, Signed], gradient: |at| {
    let [a, b] = [at.operands[0], at.operands[1]];
    vec![at.wanted[0].then(|| at.graph.times(at.upstream, b)), at.wanted[1].then(|| at.graph.times(at.upstream, a))]
});
