//! The minimum cut of a picture: which pixels belong to the source when every pixel is tied to a source or to a sink and to its eight
//! neighbours.
//!
//! Dinic's algorithm (1970): flows along shortest ways with room left, found level by level, until none leads from source to sink. No
//! crate fits: the general ones take graphs whose arcs are looked up, and the pixels' arcs are known by place.

/// Neighbours of a pixel as columns and rows, the opposite ones the same number of places from the ends.
pub const NEIGHBOURS: [(isize, isize); 8] = [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)];

/// A picture's network.
pub struct Network {
    /// Pixels of a row.
    pub width: usize,
    /// How strongly each pixel is tied to the source, less how strongly to the sink.
    pub terminal: Vec<f64>,
    /// How strongly each pixel is tied to its neighbours, in the order of [`NEIGHBOURS`]; zero where there is none. Both directions are
    /// the same number.
    pub ties: Vec<[f64; 8]>,
}

impl Network {
    /// For each pixel whether it is on the source's side of a minimum cut, that nearest to the source.
    pub fn source_side(mut self) -> Vec<bool> {
        loop {
            let levels = self.levels();
            let reaches = |(level, terminal): (&u32, &f64)| *level != FAR && *terminal < 0.0;
            if !levels.iter().zip(&self.terminal).any(reaches) {
                return levels.into_iter().map(|level| level != FAR).collect();
            }
            self.block(&levels);
        }
    }

    /// How many steps each pixel is away from the source along ties with room.
    fn levels(&self) -> Vec<u32> {
        let mut levels = vec![FAR; self.terminal.len()];
        let mut open: Vec<usize> = (0..levels.len()).filter(|pixel| self.terminal[*pixel] > 0.0).collect();
        open.iter().for_each(|pixel| levels[*pixel] = 0);
        let mut at = 0;
        while let Some(&pixel) = open.get(at) {
            at += 1;
            for direction in 0..8 {
                if self.ties[pixel][direction] > 0.0 {
                    let next = self.neighbour(pixel, direction);
                    if levels[next] == FAR {
                        levels[next] = levels[pixel] + 1;
                        open.push(next);
                    }
                }
            }
        }
        levels
    }

    /// Flows until no way that leads on level by level has room.
    fn block(&mut self, levels: &[u32]) {
        let mut tried = vec![0; levels.len()];
        for source in 0..levels.len() {
            while self.terminal[source] > 0.0 && self.augment(source, levels, &mut tried) {}
        }
    }

    /// One flow from a pixel to the sink; false where there is no way. `tried` counts the directions of each pixel that lead nowhere.
    fn augment(&mut self, source: usize, levels: &[u32], tried: &mut [usize]) -> bool {
        let mut way: Vec<(usize, usize)> = Vec::new();
        let mut here = source;
        while self.terminal[here] >= 0.0 {
            let leads =
                |direction: &usize| self.ties[here][*direction] > 0.0 && levels[self.neighbour(here, *direction)] == levels[here] + 1;
            match (tried[here]..8).find(leads) {
                Some(direction) => {
                    tried[here] = direction;
                    way.push((here, direction));
                    here = self.neighbour(here, direction);
                }
                None => {
                    tried[here] = 8;
                    let Some((before, _)) = way.pop() else { return false };
                    tried[before] += 1;
                    here = before;
                }
            }
        }
        let room = way.iter().map(|(pixel, direction)| self.ties[*pixel][*direction]);
        let amount = room.fold(self.terminal[source].min(-self.terminal[here]), f64::min);
        self.terminal[source] -= amount;
        self.terminal[here] += amount;
        for (pixel, direction) in way {
            self.ties[pixel][direction] -= amount;
            let next = self.neighbour(pixel, direction);
            self.ties[next][7 - direction] += amount;
        }
        true
    }

    fn neighbour(&self, pixel: usize, direction: usize) -> usize {
        let (across, down) = NEIGHBOURS[direction];
        pixel.wrapping_add_signed(down * self.width as isize + across)
    }
}

const FAR: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Place, Stream};

    fn network(width: usize, height: usize, terminal: Vec<f64>, tie: impl Fn(usize, usize) -> f64) -> Network {
        let inside = |pixel: usize, (across, down): (isize, isize)| {
            let (x, y) = ((pixel % width) as isize + across, (pixel / width) as isize + down);
            ((0..width as isize).contains(&x) && (0..height as isize).contains(&y)).then(|| y as usize * width + x as usize)
        };
        let ties = |pixel| NEIGHBOURS.map(|offset| inside(pixel, offset).map_or(0.0, |other| tie(pixel.min(other), pixel.max(other))));
        Network { width, terminal, ties: (0..width * height).map(ties).collect() }
    }

    /// What a cut costs, but for a constant.
    fn cost(network: &Network, side: &[bool]) -> f64 {
        let terminal: f64 = network.terminal.iter().zip(side).map(|(t, source)| if *source { (-t).max(0.0) } else { t.max(0.0) }).sum();
        let cut = (0..side.len()).flat_map(|pixel| (0..8).map(move |direction| (pixel, direction)));
        let ties: f64 = cut
            .filter(|(pixel, direction)| network.ties[*pixel][*direction] > 0.0)
            .filter(|(pixel, direction)| side[*pixel] && !side[network.neighbour(*pixel, *direction)])
            .map(|(pixel, direction)| network.ties[pixel][direction])
            .sum();
        terminal + ties
    }

    #[test]
    fn no_cut_of_a_small_picture_is_cheaper() {
        for sample in 0..60 {
            let draw = Stream::new(0, "test.cut", Place { sample, ..Place::default() });
            let (width, height) = [(3, 3), (4, 2), (1, 6), (5, 2)][sample as usize % 4];
            let terminal = (0..width * height).map(|pixel| 4.0 * draw.uniform(pixel as u64) - 2.0).collect();
            let tie = |a: usize, b: usize| draw.uniform(100 + (a * 16 + b) as u64);
            let found = network(width, height, terminal, tie);
            let whole = network(width, height, found.terminal.clone(), tie);
            let side = found.source_side();
            let all = (0..1u32 << side.len()).map(|bits| (0..side.len()).map(|pixel| bits >> pixel & 1 == 1).collect::<Vec<_>>());
            let best = all.map(|side| cost(&whole, &side)).fold(f64::INFINITY, f64::min);
            assert!((cost(&whole, &side) - best).abs() < 1e-9, "{sample}");
        }
    }

    #[test]
    fn without_source_or_sink_one_side_has_all() {
        assert_eq!(network(2, 2, vec![0.0, 1.0, 0.0, 0.0], |_, _| 1.0).source_side(), [true; 4]);
        assert_eq!(network(2, 2, vec![0.0, -1.0, 0.0, 0.0], |_, _| 1.0).source_side(), [false; 4]);
    }
}
