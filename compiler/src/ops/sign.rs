//! The sign of a number, the slope of `abs`.

use super::elementwise::map_op;

map_op!(Sign, "sign", "-1, 0 or 1, the slope of `abs`", (x) => if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }, draws: [Signed],
    none: "it is a step");
