//! k-means: points in clusters around their means.

use crate::rng::Stream;

/// Points of one dimension.
pub struct Points(pub Vec<Vec<f64>>);

impl Points {
    /// The cluster of every point: k-means++ with the numbers of `draw`, then at most `rounds` rounds of Lloyd's algorithm, fewer where
    /// nothing changes.
    pub fn clusters(&self, count: usize, rounds: usize, draw: &Stream) -> Vec<usize> {
        let mut centres = self.spread_out(count, draw);
        let mut clusters = self.nearest(&centres);
        for _ in 0..rounds {
            self.recentre(&clusters, &mut centres);
            let next = self.nearest(&centres);
            if std::mem::replace(&mut clusters, next) == clusters {
                break;
            }
        }
        clusters
    }

    /// The nearest centre of every point, the first of equals.
    fn nearest(&self, centres: &[Vec<f64>]) -> Vec<usize> {
        let nearest = |point: &Vec<f64>| {
            let distances = centres.iter().map(|centre| distance(point, centre));
            distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(cluster, _)| cluster)
        };
        self.0.iter().map(nearest).collect()
    }

    /// Centres become means; one without points stays.
    fn recentre(&self, clusters: &[usize], centres: &mut [Vec<f64>]) {
        let mut sums: Vec<(f64, Vec<f64>)> = centres.iter().map(|centre| (0.0, vec![0.0; centre.len()])).collect();
        for (point, &cluster) in self.0.iter().zip(clusters) {
            let (count, sum) = &mut sums[cluster];
            *count += 1.0;
            sum.iter_mut().zip(point).for_each(|(sum, value)| *sum += value);
        }
        for (centre, (count, sum)) in centres.iter_mut().zip(sums) {
            if count > 0.0 {
                *centre = sum.iter().map(|sum| sum / count).collect();
            }
        }
    }

    /// k-means++: each further centre is a point drawn with odds of its squared distance to the nearest centre before it.
    fn spread_out(&self, count: usize, draw: &Stream) -> Vec<Vec<f64>> {
        let points = &self.0;
        if points.is_empty() {
            return vec![Vec::new(); count];
        }
        let first = draw.integer(count as u64, points.len() as u64) as usize;
        let mut centres: Vec<Vec<f64>> = vec![points[first].clone()];
        let mut distances: Vec<f64> = vec![f64::INFINITY; points.len()];
        for number in 1..count {
            let newest = &centres[number - 1];
            distances.iter_mut().zip(points).for_each(|(known, point)| *known = known.min(distance(point, newest)));
            let mut left = draw.uniform(number as u64) * distances.iter().sum::<f64>();
            let passed = |distance: &f64| {
                left -= distance;
                left < 0.0
            };
            let chosen = distances.iter().position(passed).unwrap_or(0);
            centres.push(points[chosen].clone());
        }
        centres
    }
}

fn distance(point: &[f64], centre: &[f64]) -> f64 {
    point.iter().zip(centre).map(|(value, centre)| (value - centre).powi(2)).sum()
}
