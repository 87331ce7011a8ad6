//! `mod(a, b)`.

use super::elementwise::map_op;

map_op!(Modulo, "modulo", "`mod(a, b)`: remainder with the sign of b", (a, b) => a - b * (a / b).floor(), draws: [Signed, Positive],
    none: "it is used on whole numbers");
