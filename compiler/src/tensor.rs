//! Dense f64 arrays for the naive definitions of the ops.

/// A row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Sizes, the last axis contiguous.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f64>,
}

impl Tensor {
    /// An array from its elements; their number is the product of the sizes.
    pub fn new(shape: Vec<usize>, data: Vec<f64>) -> Tensor {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Tensor { shape, data }
    }

    /// An array that is computed index by index.
    pub fn from_index(shape: &[usize], mut value: impl FnMut(&[usize]) -> f64) -> Tensor {
        let data = indices(shape).map(|index| value(&index)).collect();
        Tensor { shape: shape.to_vec(), data }
    }

    /// The element at an index.
    pub fn at(&self, index: &[usize]) -> f64 {
        self.data[offset(&self.shape, index)]
    }
}

/// Row-major place of an index.
pub fn offset(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |place, (size, i)| place * size + i)
}

/// Row-major strides of a shape.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// All indices of a shape, row-major.
pub fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let shape = shape.to_vec();
    let total: usize = shape.iter().product();
    (0..total).map(move |flat| {
        let mut rest = flat;
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        index
    })
}
