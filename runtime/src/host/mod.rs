//! Algorithms of the host: what needs sizes that depend on values and no gradient. Never inside a step.
//!
//! An algorithm is a plain function of arrays and compile-time numbers; its signature stands in `stdlib/host.seg` under the same
//! name, arrays and numbers in the order of its parameters.

mod bilateral;
mod clusters;
mod components;
mod grabcut;
mod kmeans;
mod mincut;

/// Values with their sizes, the last one contiguous.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The sizes.
    pub shape: Vec<usize>,
    /// As many values as the sizes say; truth is 1 and 0.
    pub values: Vec<f32>,
}

/// A host algorithm: its arrays and its compile-time numbers, each in the order of the signature.
pub type Algorithm = fn(&[Array], &[f64]) -> Array;

/// The algorithm of a name, if there is one.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// Names of all algorithms.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALGORITHMS.iter().map(|(name, _)| *name)
}

const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("bilateral", bilateral::bilateral),
    ("boxes", components::boxes),
    ("components", components::components),
    ("grabcut", grabcut::grabcut),
    ("kmeans", kmeans::kmeans),
    ("largest_box", components::largest_box),
];

impl Array {
    /// The last two sizes, height and width; missing ones are 1.
    fn height_width(&self) -> (usize, usize) {
        let from_end = |i: usize| self.shape.len().checked_sub(i).map_or(1, |at| self.shape[at]);
        (from_end(2), from_end(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_its_signature() {
        let library = include_str!("../../../stdlib/host.seg");
        for name in names() {
            assert!(library.contains(&format!("builtin host fn {name}(")), "{name}");
            assert!(algorithm(name).is_some());
        }
        assert!(algorithm("none_such").is_none());
    }

    /// Mean IoU of masks over the 500 generated scenes that are held out, at 32 x 32 pixels in -1..1.
    pub(super) fn iou_on_scenes(hard: bool, segment: impl Fn(Array) -> Array) -> f64 {
        use segc_lang::spec::{Data, Part, Pictures, Step};
        let span = segc_lang::source::Span { source: segc_lang::source::SourceId(0), start: 0, end: 0 };
        let steps = vec![Step::CenterCrop { side: 32 }, Step::Range { low: -1.0, high: 1.0 }];
        let data = Data { name: "images".into(), source: Pictures::Scenes { hard }, steps, size: (32, 32), span };
        let set = crate::data::open(&data, 0).unwrap();
        let iou = |index| {
            let sample = set.sample(Part::Test, index).unwrap();
            let mask = segment(Array { shape: vec![3, 32, 32], values: sample.image().to_vec() }).values;
            let pairs = || mask.iter().zip(sample.label().unwrap()).map(|(&m, &g)| (m > 0.5, g > 0.5));
            pairs().filter(|&(m, g)| m && g).count() as f64 / pairs().filter(|&(m, g)| m || g).count() as f64
        };
        (0..500).map(iou).sum::<f64>() / 500.0
    }
}
