//! Random numbers without state: every draw is a function of its key and its place.
//!
//! Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turns 128 counter bits into 128 random
//! bits. The key comes from the seed and the name path of the draw, the counter from where in the run the draw stands, so neither
//! formatting, fusion, threads, order nor resuming change a draw.
//!
//! Layout. Key: [`path_hash`], low word first. Counter: block of the element, sample, step, then phase in the upper and turn in the
//! lower half of the last word. Elements of uniform and normal draws use one word each, four to a block.

mod exact;

use exact::{exp, ln, sin_cos_turn};

/// Where in the run a draw stands. Draws at different places are independent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Number of the training phase.
    pub phase: u16,
    /// Step of the phase.
    pub step: u32,
    /// Turn inside the step.
    pub turn: u16,
    /// Number of the sample; 0 for draws that all samples share.
    pub sample: u32,
}

/// The elements of one draw at one place; copying it copies no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    place: [u32; 3],
}

impl Stream {
    /// The draw named `path` of the run seeded with `seed`, at a place.
    pub fn new(seed: u64, path: &str, place: Place) -> Stream {
        Stream::keyed(path_hash(seed, path), place)
    }

    /// Like [`Stream::new`] for a key that [`path_hash`] gave before.
    pub fn keyed(hash: u64, place: Place) -> Stream {
        let last = u32::from(place.phase) << 16 | u32::from(place.turn);
        Stream { key: [hash as u32, (hash >> 32) as u32], place: [place.sample, place.step, last] }
    }

    /// Four random words; elements `4 block` to `4 block + 3` are made from them.
    pub fn block(&self, block: u32) -> [u32; 4] {
        philox([block, self.place[0], self.place[1], self.place[2]], self.key)
    }

    /// Element `index` of a uniform draw: a multiple of 2^-24 in `[0, 1)`, exact in f32.
    pub fn uniform(&self, index: u64) -> f64 {
        uniform_of(self.word(index))
    }

    /// Element `index` of a standard normal draw (Box-Muller; elements `2 i` and `2 i + 1` share their two words).
    pub fn normal(&self, index: u64) -> f64 {
        let block = self.block((index / 4) as u32);
        let pair = (index % 4) as usize & 2;
        normal_of(block[pair], block[pair + 1])[index as usize & 1]
    }

    /// Element `index` of a draw of integers from `0..count`, all equally likely. `count` 0 counts as 1.
    pub fn integer(&self, index: u64, count: u64) -> u64 {
        let count = u128::from(count.max(1));
        let spare = ((1u128 << 64) % count) as u64;
        let mut words = self.block(index as u32);
        loop {
            for half in [0, 2] {
                let product = u128::from(u64::from(words[half]) | u64::from(words[half + 1]) << 32) * count;
                if product as u64 >= spare {
                    return (product >> 64) as u64;
                }
            }
            words = philox(words, self.key);
        }
    }

    /// The numbers below `size` in random order: those of draw `index` of that size, sorted by a random key of 64 bits each.
    pub fn permutation(&self, index: u64, size: usize) -> Vec<usize> {
        let key = |place: usize| {
            let element = index * size as u64 + place as u64;
            let block = self.block((element / 2) as u32);
            let half = 2 * (element % 2) as usize;
            (u64::from(block[half + 1]) << 32 | u64::from(block[half]), place)
        };
        let mut keys: Vec<_> = (0..size).map(key).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, place)| place).collect()
    }

    /// Element `index` of a beta draw with two positive parameters: `x / (x + y)` for gamma numbers x and y. Blocks `2 index` and
    /// `2 index + 1` begin their chains of words.
    pub fn beta(&self, index: u64, a: f64, b: f64) -> f64 {
        let [x, y] = [(0, a), (1, b)].map(|(part, shape)| self.log_gamma((2 * index + part) as u32, shape));
        1.0 / (1.0 + exp(y - x))
    }

    /// The logarithm of a gamma number (Marsaglia and Tsang, "A simple method for generating gamma variables", 2000), a shape below
    /// one through `gamma(shape + 1) u^(1 / shape)`. Each attempt uses one block, further ones are made from it.
    fn log_gamma(&self, block: u32, shape: f64) -> f64 {
        let open = |word: u32| (f64::from(word) + 0.5) * 2f64.powi(-32);
        let mut words = self.block(block);
        let d = if shape < 1.0 { shape + 1.0 } else { shape } - 1.0 / 3.0;
        loop {
            let normal = normal_of(words[0], words[1])[0];
            let root = 1.0 + normal / (9.0 * d).sqrt();
            let v = root * root * root;
            if v > 0.0 && ln(open(words[2])) < 0.5 * normal * normal + d - d * v + d * ln(v) {
                let boost = if shape < 1.0 { ln(open(words[3])) / shape } else { 0.0 };
                return ln(d * v) + boost;
            }
            words = philox(words, self.key);
        }
    }

    fn word(&self, index: u64) -> u32 {
        self.block((index / 4) as u32)[(index % 4) as usize]
    }
}

/// The uniform number in `[0, 1)` made from a word: its upper 24 bits.
pub fn uniform_of(word: u32) -> f64 {
    f64::from(word >> 8) * (1.0 / f64::from(1 << 24))
}

/// The two standard normal numbers made from two words: `sqrt(-2 ln u)` times cosine and sine of `2 pi v`, u in `(0, 1]`.
pub fn normal_of(first: u32, second: u32) -> [f64; 2] {
    let u = (f64::from(first) + 1.0) * 2f64.powi(-32);
    let radius = (-2.0 * ln(u)).sqrt();
    let (sine, cosine) = sin_cos_turn(second);
    [radius * cosine, radius * sine]
}

/// The key of a draw: FNV-1a over the eight bytes of the seed (little endian) and the bytes of the path, 64 bits, followed by the
/// finaliser of SplitMix64 so that similar names give unlike keys.
pub fn path_hash(seed: u64, path: &str) -> u64 {
    let bytes = seed.to_le_bytes();
    let fnv = bytes
        .iter()
        .chain(path.as_bytes())
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mixed = (fnv ^ fnv >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Philox4x32 with ten rounds: counter and key to four random words.
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(philox([!0; 4], [!0; 2]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        let pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
        assert_eq!(philox(pi, [0xa4093822, 0x299f31d0]), [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
    }

    #[test]
    fn the_hash_is_fixed() {
        // FNV-1a of eight zero bytes, finalised; computed independently.
        assert_eq!(path_hash(0, ""), reference_hash(&[0; 8]));
        assert_eq!(path_hash(1, "ab"), reference_hash(&[1, 0, 0, 0, 0, 0, 0, 0, b'a', b'b']));
        assert_ne!(path_hash(0, "a"), path_hash(0, "b"));
        assert_ne!(path_hash(0, "a"), path_hash(1, "a"));
    }

    fn reference_hash(bytes: &[u8]) -> u64 {
        let mut hash = 14695981039346656037u128;
        for &byte in bytes {
            hash = ((hash ^ u128::from(byte)) * 1099511628211) % (1 << 64);
        }
        for (shift, factor) in [(30, 0xbf58476d1ce4e5b9u128), (27, 0x94d049bb133111eb), (31, 1)] {
            hash = ((hash ^ (hash >> shift)) * factor) % (1 << 64);
        }
        hash as u64
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let stream = Stream::new(7, "test.moments", Place::default());
        let count = 40_000u64;
        let moments = |draw: &dyn Fn(u64) -> f64| {
            let (sum, squares) = (0..count).map(draw).fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
            let mean = sum / count as f64;
            (mean, squares / count as f64 - mean * mean)
        };
        let (mean, variance) = moments(&|i| stream.uniform(i));
        assert!((mean - 0.5).abs() < 0.006 && (variance - 1.0 / 12.0).abs() < 0.002, "{mean} {variance}");
        let (mean, variance) = moments(&|i| stream.normal(i));
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        assert!((0..count).all(|i| (0.0..1.0).contains(&stream.uniform(i)) && stream.normal(i).is_finite()));
    }

    #[test]
    fn integers_are_even_and_in_range() {
        let stream = Stream::new(3, "test.integers", Place { sample: 5, ..Place::default() });
        let mut seen = [0u32; 6];
        (0..12_000).for_each(|i| seen[stream.integer(i, 6) as usize] += 1);
        assert!(seen.iter().all(|&n| (1_850..2_150).contains(&n)), "{seen:?}");
        assert!((0..100).all(|i| stream.integer(i, 1) == 0));
        // Almost half of the 64-bit words are refused here, so the loop goes on to further blocks.
        let half = (1u64 << 63) + 1;
        let high = (0..4_000).filter(|&i| stream.integer(i, half) >= 1 << 62).count();
        assert!((1_850..2_150).contains(&high), "{high}");
    }

    #[test]
    fn permutations_hold_every_number_once_in_all_orders() {
        let stream = Stream::new(5, "test.order", Place::default());
        let mut seen = std::collections::BTreeMap::new();
        (0..6_000).for_each(|i| *seen.entry(stream.permutation(i, 3)).or_insert(0) += 1);
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|n| (880..1_120).contains(n)), "{seen:?}");
        let mut long = stream.permutation(7, 100);
        long.sort_unstable();
        assert!(long.into_iter().eq(0..100));
    }

    #[test]
    fn beta_has_its_moments() {
        let stream = Stream::new(5, "test.beta", Place::default());
        for (a, b) in [(1.0, 1.0), (0.4, 0.4), (2.0, 5.0), (0.01, 0.01)] {
            let draws: Vec<f64> = (0..20_000).map(|i| stream.beta(i, a, b)).collect();
            let mean = draws.iter().sum::<f64>() / 20_000.0;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
            let expected = a * b / ((a + b) * (a + b) * (a + b + 1.0));
            assert!((mean - a / (a + b)).abs() < 0.012 && (variance - expected).abs() < 0.005, "{a} {b}: {mean} {variance}");
        }
    }

    #[test]
    fn every_part_of_the_place_matters() {
        let at = |place| Stream::new(1, "test.place", place).block(0);
        let base = Place::default();
        let places = [base, Place { phase: 1, ..base }, Place { step: 1, ..base }, Place { turn: 1, ..base }, Place { sample: 1, ..base }];
        for (i, a) in places.iter().enumerate() {
            assert!(places[i + 1..].iter().all(|b| at(*a) != at(*b)));
        }
    }
}
