//! `a <= b`.

use super::elementwise::map_op;

map_op!(LessEqual, "less_equal", "`a <= b`, and `b >= a`", (a, b) => f64::from(a <= b), draws: [Signed, Signed],
    none: "a comparison is a step");
