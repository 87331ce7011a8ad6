//! `a != b`.

use super::elementwise::map_op;

map_op!(NotEqual, "not_equal", "`a != b`", (a, b) => f64::from(a != b), draws: [Signed, Signed], none: "a comparison is a step");
