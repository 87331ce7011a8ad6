//! `log(x)`.

use super::elementwise::map_op;

map_op!(Log, "log", "`log(x)`: natural logarithm", (x) => x.ln(), draws: [Positive],
    gradient: |at| vec![Some(at.graph.over(at.upstream, at.operands[0]))]);
