//! A value in a buffer of its own.

use super::elementwise::map_op;

map_op!(Copy, "copy", "a value in a buffer of its own", (x) => x, draws: [Signed], gradient: |at| vec![Some(at.upstream)]);
