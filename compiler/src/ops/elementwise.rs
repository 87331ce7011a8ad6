//! The one shape of element-wise ops: `map_op!` fills in everything that they share.

/// Declares an element-wise op: name, manual line, body function, f64 definition, derivative, samples' elements.
/// The derivative is `None(reason)` or a closure from [`super::Backward`] to the operands' derivatives.
macro_rules! map_op {
    ($Op:ident, $name:literal, $manual:literal, ($($x:ident),+) => $value:expr, draws: [$($draws:ident),+], none: $why:literal) => {
        map_op!(@op $Op, $name, $manual, ($($x),+) => $value, [$($draws),+],
            $crate::ops::Derivative::None($why), |at: &mut $crate::ops::Backward| vec![None; at.operands.len()]);
    };
    ($Op:ident, $name:literal, $manual:literal, ($($x:ident),+) => $value:expr, draws: [$($draws:ident),+], gradient: $gradient:expr) => {
        map_op!(@op $Op, $name, $manual, ($($x),+) => $value, [$($draws),+], $crate::ops::Derivative::Every, $gradient);
    };
    (@op $Op:ident, $name:literal, $manual:literal, ($($x:ident),+) => $value:expr, [$($draws:ident),+],
        $derivative:expr, $gradient:expr) => {
        #[doc = $manual]
        #[derive(Clone, Copy, Debug)]
        pub struct $Op;

        impl $crate::ops::Op for $Op {
            fn name(&self) -> &'static str {
                $name
            }
            fn shape(&self, operands: &[&[usize]]) -> Result<$crate::graph::Shape, String> {
                $crate::ops::same(operands)
            }
            fn gradient(&self, at: &mut $crate::ops::Backward) -> Vec<Option<$crate::graph::NodeId>> {
                let rule: fn(&mut $crate::ops::Backward) -> Vec<Option<$crate::graph::NodeId>> = $gradient;
                rule(at)
            }
            fn derivative(&self) -> $crate::ops::Derivative {
                $derivative
            }
            fn form(&self) -> $crate::ops::Form {
                $crate::ops::Form::Map($crate::kernel::Function::$Op)
            }
            fn reference(&self, operands: &[&$crate::tensor::Tensor], shape: &[usize]) -> $crate::tensor::Tensor {
                let total: usize = shape.iter().product();
                let value: fn([f64; [$(stringify!($x)),+].len()]) -> f64 = |[$($x),+]| $value;
                let data = (0..total).map(|i| value(std::array::from_fn(|o| operands[o].data[i]))).collect();
                $crate::tensor::Tensor::new(shape.to_vec(), data)
            }
        }

        impl $crate::ops::Room for $Op {
            const NAME: &'static str = $name;
            const MANUAL: &'static str = $manual;
            fn samples() -> Vec<$crate::ops::Sample> {
                $crate::ops::everywhere($Op, &[$($crate::ops::Draws::$draws),+])
            }
        }
    };
}

pub(super) use map_op;
