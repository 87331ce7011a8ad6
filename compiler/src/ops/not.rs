//! `not x`.

use super::elementwise::map_op;

map_op!(Not, "not", "`not x`: the other truth value", (x) => 1.0 - x, draws: [Truth], none: "truth has no slope");
