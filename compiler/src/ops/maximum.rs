//! The larger of two values.

use std::sync::Arc;

use super::elementwise::map_op;

map_op!(Maximum, "maximum", "`max(a, b)`: the larger one; equal values send the gradient to the first",
    (a, b) => if a.is_nan() || a >= b { a } else { b }, draws: [Signed, Signed], gradient: |at| {
        let [a, b] = [at.operands[0], at.operands[1]];
        let first = at.graph.add(Arc::new(super::LessEqual), &[b, a]);
        let none = at.graph.number(0.0);
        vec![Some(at.graph.select(first, at.upstream, none)), at.wanted[1].then(|| at.graph.select(first, none, at.upstream))]
    });
