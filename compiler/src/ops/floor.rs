//! `floor(x)`.

use super::elementwise::map_op;

map_op!(Floor, "floor", "`floor(x)`: the next lower whole number", (x) => x.floor(), draws: [Signed], none: "it is a step");
