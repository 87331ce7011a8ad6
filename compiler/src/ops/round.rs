//! `round(x)`.

use super::elementwise::map_op;

map_op!(Round, "round", "`round(x)`: the nearest whole number, halves to the even one", (x) => x.round_ties_even(), draws: [Signed],
    none: "it is a step");
