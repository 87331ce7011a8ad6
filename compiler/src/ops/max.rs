//! The largest element over axes.

use super::extreme::extreme_op;

extreme_op!(Max, "max",
    "`max(x, over)`: the largest element over axes; the first one takes the gradient",
    start: f64::NEG_INFINITY, join: f64::max);
