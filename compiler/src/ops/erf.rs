//! `erf(x)`.

use std::sync::Arc;

use super::elementwise::map_op;

map_op!(Erf, "erf", "`erf(x)`: error function", (x) => libm::erf(x), draws: [Signed], gradient: |at| {
    let square = at.graph.times(at.operands[0], at.operands[0]);
    let exponent = at.graph.negated(square);
    let bell = at.graph.add(Arc::new(super::Exp), &[exponent]);
    let slope = at.graph.scaled(bell, std::f64::consts::FRAC_2_SQRT_PI);
    vec![Some(at.graph.times(at.upstream, slope))]
});
