//! `softplus(x)`.

use std::sync::Arc;

use super::elementwise::map_op;

map_op!(Softplus, "softplus", "`softplus(x)`: log(1 + exp(x)), without overflow", (x) => x.max(0.0) + (-x.abs()).exp().ln_1p(),
    draws: [Signed], gradient: |at| {
        let slope = at.graph.add(Arc::new(super::Sigmoid), &at.operands);
        vec![Some(at.graph.times(at.upstream, slope))]
    });
