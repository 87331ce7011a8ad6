//! The smallest element over axes.

use super::extreme::extreme_op;

extreme_op!(Min, "min",
    "`min(x, over)`: the smallest element over axes; the first one takes the gradient",
    start: f64::INFINITY, join: f64::min);
