//! `-x`.

use super::elementwise::map_op;

map_op!(Negate, "negate", "`-x`: the other sign", (x) => -x, draws: [Signed], gradient: |at| vec![Some(at.graph.negated(at.upstream))]);
