//! `a + b`.

use super::elementwise::map_op;

map_op!(Add, "add", "`a + b`", (a, b) => a + b, draws: [Signed, Signed], gradient: |at| vec![Some(at.upstream); 2]);
