//! `a - b`.

use super::elementwise::map_op;

map_op!(Subtract, "subtract", "`a - b`", (a, b) => a - b, draws: [Signed, Signed],
    gradient: |at| vec![Some(at.upstream), at.wanted[1].then(|| at.graph.negated(at.upstream))]);
