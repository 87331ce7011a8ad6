//! Means over the images of a run, in the order of the data and in f64, so that they do not depend on threads or on a stop.

use segc_lang::spec::Eval;

use crate::outcome::{Curve, Measured};

/// Sums of what is averaged.
pub(crate) struct Means {
    evals: Vec<(String, Vec<String>)>,
    values: Vec<(String, f64, usize)>,
    curves: Vec<(String, Vec<f64>, usize)>,
    images: usize,
}

impl Means {
    /// The means of evaluations.
    pub fn new(evals: &[&Eval]) -> Means {
        let names = |eval: &&Eval| (eval.name.clone(), eval.values.iter().map(|(value, _)| value.clone()).collect());
        Means { evals: evals.iter().map(names).collect(), values: Vec::new(), curves: Vec::new(), images: 0 }
    }

    /// Adds one image. Figures that are not finite (an overlap of two empty masks) are left out of their mean.
    pub fn add(&mut self, values: &[(String, f64)], curves: &[(String, Vec<f32>)]) {
        self.images += 1;
        for (name, value) in values.iter().filter(|(_, value)| value.is_finite()) {
            match self.values.iter_mut().find(|(known, ..)| known == name) {
                Some((_, sum, count)) => (*sum, *count) = (*sum + value, *count + 1),
                None => self.values.push((name.clone(), *value, 1)),
            }
        }
        for (name, points) in curves {
            let place = self.curves.iter().position(|(known, ..)| known == name).unwrap_or_else(|| {
                self.curves.push((name.clone(), vec![0.0; points.len()], 0));
                self.curves.len() - 1
            });
            let (_, sums, count) = &mut self.curves[place];
            sums.iter_mut().zip(points).for_each(|(sum, point)| *sum += f64::from(*point));
            *count += 1;
        }
    }

    /// How many images were added.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The means, and the curves of solves.
    pub fn finish(self) -> (Vec<Measured>, Vec<Curve>) {
        let mean = |eval: &str, value: &String| {
            let full = full_name(eval, value);
            let (sum, count) = self.values.iter().find(|(name, ..)| *name == full).map_or((0.0, 0), |(_, sum, count)| (*sum, *count));
            (value.clone(), if count == 0 { f64::NAN } else { sum / count as f64 })
        };
        let measured = self
            .evals
            .iter()
            .map(|(eval, values)| Measured {
                name: eval.clone(),
                values: values.iter().map(|value| mean(eval, value)).collect(),
                samples: self.images,
                skipped: None,
            })
            .collect();
        let curve = |(name, sums, count): (String, Vec<f64>, usize)| Curve {
            name,
            points: sums.into_iter().map(|sum| sum / count.max(1) as f64).collect(),
        };
        (measured, self.curves.into_iter().map(curve).collect())
    }
}

/// `eval.value`, or `eval` for a lone value.
pub(super) fn full_name(eval: &str, value: &str) -> String {
    if value.is_empty() { eval.to_owned() } else { format!("{eval}.{value}") }
}
