//! Time: what programs are told of it, how long things take, and when something is due.

use segc_lang::spec::{Duration, Unit};

/// Where in a run a program stands, as programs read it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Time {
    /// The numbers of [`segc_compiler::Leaf::Clock`].
    pub clock: [f32; 8],
    /// How much of the phase is over, in steps, samples and epochs.
    pub elapsed: [f32; 3],
}

impl Time {
    /// The turn of a step of a phase. Draws are keyed by all four numbers.
    pub fn of(seed: u64, phase: usize, turn: usize, step: u64) -> Time {
        let limb = |value: u64, at: u32| ((value >> (16 * at)) & 0xffff) as f32;
        let [phase, turn] = [phase, turn].map(|value| limb(value as u64, 0));
        let clock = [limb(seed, 0), limb(seed, 1), limb(seed, 2), limb(seed, 3), phase, turn, limb(step, 0), limb(step, 1)];
        Time { clock, elapsed: [0.0; 3] }
    }

    /// The same moment with so much of the phase over.
    pub fn after(self, pace: &Pace, steps: u64) -> Time {
        let elapsed = [Unit::Steps, Unit::Samples, Unit::Epochs].map(|unit| pace.elapsed(steps, unit) as f32);
        Time { elapsed, ..self }
    }

    /// What a program reads of a unit.
    pub fn elapsed(&self, unit: Unit) -> &[f32] {
        let at = match unit {
            Unit::Steps => 0,
            Unit::Samples => 1,
            Unit::Epochs => 2,
        };
        &self.elapsed[at..=at]
    }
}

/// The numbers of the samples of a batch, as [`segc_compiler::Leaf::Samples`] reads them.
pub fn places(count: usize) -> Vec<f32> {
    (0..count).flat_map(|at| [(at & 0xffff) as f32, (at >> 16) as f32]).collect()
}

/// How fast a phase goes through its data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Samples of a step.
    pub batch: u64,
    /// Samples of an epoch: of the first data item that the phase reads.
    pub epoch: u64,
}

impl Pace {
    /// How much is over after so many steps.
    pub fn elapsed(&self, steps: u64, unit: Unit) -> f64 {
        match unit {
            Unit::Steps => steps as f64,
            Unit::Samples => (steps * self.batch) as f64,
            // Without data there are no epochs.
            Unit::Epochs if self.epoch == 0 => 0.0,
            Unit::Epochs => (steps * self.batch) as f64 / self.epoch as f64,
        }
    }

    /// After how many steps a duration is over.
    pub fn steps(&self, duration: &Duration) -> u64 {
        // The quotient of two whole numbers that divide may come out a hair too large.
        (duration.amount / self.elapsed(1, duration.unit) - 1e-9).ceil().max(0.0) as u64
    }

    /// Whether a multiple of a duration is reached by the step that makes it `steps`.
    pub fn due(&self, every: &Duration, steps: u64) -> bool {
        let times = |steps: u64| (self.elapsed(steps, every.unit) / every.amount + 1e-9).floor();
        every.amount > 0.0 && times(steps) > times(steps.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { batch: 16, epoch: 100 };

    fn every(amount: f64, unit: Unit) -> Vec<u64> {
        (1..=20).filter(|step| PACE.due(&Duration { amount, unit }, *step)).collect()
    }

    #[test]
    fn something_is_due_when_its_time_is_crossed() {
        assert_eq!(every(5.0, Unit::Steps), [5, 10, 15, 20]);
        assert_eq!(every(64.0, Unit::Samples), [4, 8, 12, 16, 20]);
        // 100 samples are over in steps 7, 13 and 19.
        assert_eq!(every(1.0, Unit::Epochs), [7, 13, 19]);
        assert!(every(0.0, Unit::Steps).is_empty());
    }

    #[test]
    fn a_phase_takes_whole_steps() {
        let steps = |amount, unit| PACE.steps(&Duration { amount, unit });
        assert_eq!([steps(0.0, Unit::Steps), steps(7.0, Unit::Steps), steps(32.0, Unit::Samples)], [0, 7, 2]);
        assert_eq!([steps(33.0, Unit::Samples), steps(1.0, Unit::Epochs), steps(4.0, Unit::Epochs)], [3, 7, 25]);
    }

    #[test]
    fn the_clock_is_made_of_exact_parts() {
        let time = Time::of(0x1234_5678_9abc_def0, 3, 2, 70_000);
        assert_eq!(time.clock, [0xdef0, 0x9abc, 0x5678, 0x1234, 3, 2, 70_000 - 65_536, 1].map(|part| part as f32));
        assert_eq!(time.after(&PACE, 5).elapsed(Unit::Epochs), [0.8]);
    }
}
