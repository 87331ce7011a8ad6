//! `where(on, yes, no)`.

use super::elementwise::map_op;

map_op!(Select, "select", "`where(on, yes, no)`: yes where on is true, else no", (on, yes, no) => if on != 0.0 { yes } else { no },
    draws: [Truth, Signed, Signed], gradient: |at| {
        let none = at.graph.number(0.0);
        let on = at.operands[0];
        vec![
            None,
            at.wanted[1].then(|| at.graph.select(on, at.upstream, none)),
            at.wanted[2].then(|| at.graph.select(on, none, at.upstream)),
        ]
    });
