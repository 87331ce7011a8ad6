//! What `max` and `min` over axes share: `extreme_op!` fills it in.

/// Declares an extreme over axes: name, manual line, the neutral element, how two elements are joined.
macro_rules! extreme_op {
    ($Op:ident, $name:literal, $manual:literal, start: $start:expr, join: $join:expr) => {
        #[doc = $manual]
        #[derive(Clone, Debug)]
        pub struct $Op {
            /// The axes, ascending.
            pub over: Vec<usize>,
        }

        impl $crate::ops::Op for $Op {
            fn name(&self) -> &'static str {
                <$Op as $crate::ops::Room>::NAME
            }

            fn shape(&self, operands: &[&[usize]]) -> Result<$crate::graph::Shape, String> {
                $crate::ops::reduced(operands, &self.over)
            }

            fn gradient(&self, at: &mut $crate::ops::Backward) -> Vec<Option<$crate::graph::NodeId>> {
                let first = $crate::ops::arg_max::first_extreme(at.graph, at.operands[0], at.node, &self.over);
                let shape = at.graph.shape(at.operands[0]).to_vec();
                let spread = at.graph.expand(at.upstream, &shape, &$crate::ops::kept(&shape, &self.over));
                let none = at.graph.number(0.0);
                vec![Some(at.graph.select(first, spread, none))]
            }

            fn derivative(&self) -> $crate::ops::Derivative {
                $crate::ops::Derivative::Every
            }

            fn form(&self) -> $crate::ops::Form {
                $crate::ops::Form::Reduce($crate::kernel::Join::$Op, self.over.clone())
            }

            fn reference(&self, operands: &[&$crate::tensor::Tensor], shape: &[usize]) -> $crate::tensor::Tensor {
                $crate::ops::fold(operands[0], &self.over, shape, $start, $join)
            }
        }

        impl $crate::ops::Room for $Op {
            const NAME: &'static str = $name;
            const MANUAL: &'static str = $manual;

            fn samples() -> Vec<$crate::ops::Sample> {
                $crate::ops::reduction_samples(|over| std::sync::Arc::new($Op { over }), $crate::ops::Draws::Signed)
            }
        }
    };
}

pub(super) use extreme_op;
