//! Samples that were computed for every sample of other data, and are kept in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use segc_lang::spec::{Data, Part, Pictures, Spec, Step, Type};

use super::field::{Field, Values};
use super::pipeline::{Cut, Prepared};
use super::{DataSet, Sample, Skipped};
use crate::outcome::RunError;

/// Takes what is computed for the samples of a data item, one after the other in their order, and makes a data set of it.
pub struct Collector {
    name: String,
    steps: Vec<Step>,
    /// Height and width of the fields that have pixels.
    pixels: BTreeMap<String, Option<(usize, usize)>>,
    samples: Vec<Arc<Prepared>>,
}

/// The data set; all parts are the whole set.
struct Collected {
    steps: Vec<Step>,
    fields: BTreeSet<String>,
    samples: Vec<Arc<Prepared>>,
}

impl Collector {
    /// For a data item of a spec with collected fields.
    pub fn new(spec: &Spec, data: &Data) -> Collector {
        let fields = match &data.source {
            Pictures::Collected { fields, .. } => fields.as_slice(),
            _ => &[],
        };
        let pixels = fields.iter().map(|(name, id)| (name.clone(), pixels(spec, &spec.terms.get(*id).ty))).collect();
        Collector { name: data.name.clone(), steps: data.steps.clone(), pixels, samples: Vec::new() }
    }

    /// Takes a sample with all fields of the item. Of a set that keeps only the best no more than twice as many are in memory.
    pub fn push(&mut self, sample: Sample) {
        let Sample { stem, fields, frame } = sample;
        let field = |(name, values): (String, Vec<f32>)| {
            let pixels = self.pixels.get(&name).copied().flatten();
            (name, Field { values: Values::Floats(values), pixels })
        };
        let fields: BTreeMap<String, Field> = fields.into_iter().map(field).collect();
        let (height, width) = fields.values().find_map(|field| field.pixels).unwrap_or_default();
        let cut = Cut { pixels: (width, height), window: frame.window };
        self.samples.push(Arc::new(Prepared { stem, fields, cut, photo: frame.photo }));
        if let Some(Step::Most { count, by }) = self.steps.iter().find(|step| step.selects())
            && self.samples.len() >= 2 * count
        {
            most(&mut self.samples, *count, by);
        }
    }

    /// The data set, with what `most` and `chunk` leave.
    ///
    /// # Errors
    /// [`RunError::Data`] if nothing is left.
    pub fn finish(mut self) -> Result<Box<dyn DataSet>, RunError> {
        for step in &self.steps {
            match step {
                Step::Most { count, by } => most(&mut self.samples, *count, by),
                Step::Chunk { number, of } => {
                    let rest = self.samples.split_off(self.samples.len().min(number.saturating_mul(*of)));
                    self.samples = rest.into_iter().take(*of).collect();
                }
                _ => {}
            }
        }
        if self.samples.is_empty() {
            return Err(RunError::Data(format!("data `{}`: no sample was collected", self.name)));
        }
        Ok(Box::new(Collected { steps: self.steps, fields: self.pixels.into_keys().collect(), samples: self.samples }))
    }
}

/// Height and width of values whose last two axes are those of pixels.
fn pixels(spec: &Spec, ty: &Type) -> Option<(usize, usize)> {
    let [.., (rows, height), (columns, width)] = ty.axes.as_slice() else { return None };
    let named = [rows, columns].map(|axis| spec.axes.get(usize::from(axis.0)).map(String::as_str));
    (named == [Some("height"), Some("width")]).then_some((*height, *width))
}

/// Leaves the samples with the largest first value of a field, in their order; of equal ones the first. What is not a number is small.
fn most(samples: &mut Vec<Arc<Prepared>>, count: usize, by: &str) {
    let score = |sample: &Prepared| match sample.fields.get(by).map(|field| &field.values) {
        Some(Values::Floats(values)) => values.first().copied().filter(|value| !value.is_nan()).unwrap_or(f32::NEG_INFINITY),
        _ => f32::NEG_INFINITY,
    };
    let mut order: Vec<(usize, f32)> = samples.iter().map(|sample| score(sample)).enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut kept: Vec<usize> = order.into_iter().take(count).map(|(place, _)| place).collect();
    kept.sort_unstable();
    *samples = kept.into_iter().map(|place| samples[place].clone()).collect();
}

impl DataSet for Collected {
    fn len(&self, _part: Part) -> usize {
        self.samples.len()
    }

    fn has(&self, field: &str) -> bool {
        self.fields.contains(field)
    }

    fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn prepared(&self, _part: Part, index: usize) -> Result<Arc<Prepared>, Skipped> {
        let known = self.samples.get(index).cloned();
        known.ok_or_else(|| Skipped { file: "collected".into(), why: format!("there is no sample {index}") })
    }

    fn photo(&self, _part: Part, _index: usize) -> Result<image::RgbImage, Skipped> {
        Err(Skipped { file: "collected".into(), why: "what was collected has no photographs".into() })
    }

    fn skipped(&self) -> &[Skipped] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use segc_lang::source::{SourceId, Span};
    use segc_lang::spec::{Axis, Element, Prim, Term, TermId};

    use super::*;
    use crate::data::{Frame, Stream};

    const SPAN: Span = Span { source: SourceId(0), start: 0, end: 0 };

    /// A spec with the fields `image` of 1 x 4 x 4 pixels and `score`.
    fn spec(steps: Vec<Step>, side: usize) -> Spec {
        let mut spec = Spec { axes: ["channel", "height", "width"].map(String::from).to_vec(), ..Spec::default() };
        let picture: Vec<(Axis, usize)> = vec![(Axis(0), 1), (Axis(1), 4), (Axis(2), 4)];
        let types = [("image", picture), ("score", vec![])];
        let fields = types.map(|(name, axes)| {
            let ty = Type { element: Element::Real, axes };
            (name.to_owned(), spec.terms.push(Term { prim: Prim::Const(0.0), args: Vec::<TermId>::new(), ty, span: SPAN }))
        });
        let source = Pictures::Collected { over: (0, Part::Train), fields: fields.to_vec() };
        spec.data.push(Data { name: "lessons".into(), source, steps, size: (side, side), span: SPAN });
        spec
    }

    fn collected(steps: Vec<Step>, side: usize, scores: &[f32]) -> (Spec, Result<Box<dyn DataSet>, RunError>) {
        let spec = spec(steps, side);
        let mut collector = Collector::new(&spec, &spec.data[0]);
        for (number, score) in scores.iter().enumerate() {
            let image = (0..16).map(|pixel| (16 * number + pixel) as f32).collect();
            let fields = [("image".to_owned(), image), ("score".to_owned(), vec![*score])].into();
            let frame = Frame { photo: (4, 4), window: (0.0, 0.0, 4.0, 4.0) };
            collector.push(Sample { stem: format!("{number}"), fields, frame });
        }
        (spec, collector.finish())
    }

    fn stems(set: &dyn DataSet) -> Vec<String> {
        (0..set.len(Part::Train)).map(|index| set.sample(Part::Train, index).unwrap().stem).collect()
    }

    #[test]
    fn the_best_are_kept_in_their_order() {
        let most = |count| vec![Step::Most { count, by: "score".into() }];
        let scores = [1.0, 5.0, f32::NAN, 3.0, 5.0, -2.0, 5.0, 0.5];
        assert_eq!(stems(&*collected(most(2), 4, &scores).1.unwrap()), ["1", "4"]);
        assert_eq!(stems(&*collected(most(4), 4, &scores).1.unwrap()), ["1", "3", "4", "6"]);
        assert_eq!(stems(&*collected(most(20), 4, &scores).1.unwrap()).len(), 8);
        let parts = [most(4), vec![Step::Chunk { number: 1, of: 3 }]].concat();
        assert_eq!(stems(&*collected(parts, 4, &scores).1.unwrap()), ["6"]);
        assert!(collected(vec![Step::Chunk { number: 3, of: 3 }], 4, &scores).1.is_err());
    }

    #[test]
    fn fields_with_pixels_are_cut_and_others_left() {
        let (spec, set) = collected(vec![Step::RandomCrop { side: 2 }], 2, &[0.25, 0.75]);
        let set: Arc<dyn DataSet> = set.unwrap().into();
        let centre = set.sample(Part::Whole, 1).unwrap();
        assert_eq!(centre.fields["image"], [21.0, 22.0, 25.0, 26.0]);
        assert_eq!(centre.fields["score"], [0.75]);
        assert!(set.has("score") && !set.has_labels());
        let batch = Stream::open(&spec.data[0], set, 4, 0, 0).unwrap().next_batch().unwrap();
        assert_eq!((batch.fields["image"].len(), batch.fields["score"].len()), (16, 4));
        assert!(batch.fields["image"].chunks(4).all(|cut| cut[1] == cut[0] + 1.0 && cut[2] == cut[0] + 4.0));
    }
}
