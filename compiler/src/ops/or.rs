//! `a or b`.

use super::elementwise::map_op;

map_op!(Or, "or", "`a or b`", (a, b) => f64::from(a != 0.0 || b != 0.0), draws: [Truth, Truth], none: "truth has no slope");
