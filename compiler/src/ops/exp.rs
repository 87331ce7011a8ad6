//! `exp(x)`.

use super::elementwise::map_op;

map_op!(Exp, "exp", "`exp(x)`: e to the power of x", (x) => x.exp(), draws: [Signed],
    gradient: |at| vec![Some(at.graph.times(at.upstream, at.node))]);
