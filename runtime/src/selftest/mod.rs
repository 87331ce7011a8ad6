//! Whether a device of this machine computes right, as plain data: every op against its definition, cases that another library computed,
//! steps of a training. `segc selftest` and the tests of executors share it.

pub mod golden;
pub mod ops;
pub mod sample;
pub mod training;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

/// What a part found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    /// How much was compared.
    pub cases: usize,
    /// What came nearest to being wrong, or is the most wrong.
    pub worst: Option<Worst>,
    /// What is wrong, a line each: which case, which element, what was found and what was expected.
    pub wrong: Vec<String>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// The largest error, measured by what is allowed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worst {
    /// The op or tensor.
    pub of: String,
    /// How far off.
    pub error: f64,
    /// How far off it may be.
    pub allowed: f64,
}

impl Worst {
    /// In parts of what is allowed.
    fn part(&self) -> f64 {
        part(self.error, self.allowed)
    }
}

fn part(error: f64, allowed: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / allowed }
}

impl Found {
    /// Notes how far the result of something is off; `what` says which result, where it is wrong.
    pub fn take(&mut self, of: &str, what: impl FnOnce() -> String, far: &Far) {
        self.note(of, far.error, far.allowed, || format!("{}: {far}", what()));
    }

    /// Notes an error; `what` says it, where it is larger than it may be.
    pub fn note(&mut self, of: &str, error: f64, allowed: f64, what: impl FnOnce() -> String) {
        if error > allowed {
            self.wrong.push(what());
        }
        let is_worse = self.worst.as_ref().is_none_or(|worst| part(error, allowed) > worst.part());
        if is_worse && error > 0.0 {
            self.worst = Some(Worst { of: of.to_owned(), error, allowed });
        }
    }

    /// Notes that something holds or does not.
    pub fn say(&mut self, holds: Result<(), String>) {
        self.cases += 1;
        self.wrong.extend(holds.err());
    }

    /// Both together.
    fn join(&mut self, other: Found) {
        self.cases += other.cases;
        self.wrong.extend(other.wrong);
        self.notes.extend(other.notes);
        if let Some(worst) = other.worst.filter(|worst| self.worst.as_ref().is_none_or(|own| worst.part() > own.part())) {
            self.worst = Some(worst);
        }
    }
}

/// The element of a result that is farthest from what was expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Far {
    /// Its number, row-major; none where sizes differ.
    pub element: Option<usize>,
    /// What was found there; of a result of another size its number of elements.
    pub found: f64,
    /// What was expected there.
    pub expected: f64,
    /// How far off; infinite where one is no number, or of another size.
    pub error: f64,
    /// How far off it may be.
    pub allowed: f64,
}

impl Far {
    /// Compares a result with what was expected.
    pub fn of(found: &[f32], expected: &[f64], allowed: f64) -> Far {
        if found.len() != expected.len() {
            let (found, expected) = (found.len() as f64, expected.len() as f64);
            return Far { element: None, found, expected, error: f64::INFINITY, allowed };
        }
        let mut far = Far { element: None, found: 0.0, expected: 0.0, error: 0.0, allowed };
        for (element, (a, b)) in found.iter().map(|a| f64::from(*a)).zip(expected.iter().copied()).enumerate() {
            let error = off(a, b);
            if far.element.is_none() || error > far.error {
                far = Far { element: Some(element), found: a, expected: b, error, allowed };
            }
        }
        far
    }

    /// Whether it is farther off than it may be.
    pub fn is_wrong(&self) -> bool {
        self.error > self.allowed
    }
}

/// Equal numbers are not off, nor are two that are both none.
fn off(a: f64, b: f64) -> f64 {
    let error = if a == b || a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() };
    if error.is_nan() { f64::INFINITY } else { error }
}

impl fmt::Display for Far {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let Far { found, expected, error, allowed, .. } = self;
        match self.element {
            Some(element) => write!(to, "element {element} is {found} instead of {expected} (off by {error:.2e}, {allowed:.2e} allowed)"),
            None => write!(to, "{found} elements instead of {expected}"),
        }
    }
}

/// Shares work among threads; what they find is put together in the order of the work.
fn shared<T: Sync>(work: &[T], threads: usize, one: impl Fn(&T, &mut Found) + Sync) -> Found {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Found)>> = Mutex::default();
    let run = || {
        while let Some((number, item)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, work.get(at)?))) {
            let mut found = Found::default();
            one(item, &mut found);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, found));
        }
    };
    std::thread::scope(|scope| (0..threads.clamp(1, work.len().max(1))).for_each(|_| drop(scope.spawn(run))));
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    let mut all = Found::default();
    done.into_iter().for_each(|(_, found)| all.join(found));
    all.notes.sort();
    all.notes.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_element_is_named() {
        let far = Far::of(&[1.0, 2.5, f32::NAN], &[1.0, 2.0, f64::NAN], 0.1);
        assert_eq!((far.element, far.error, far.is_wrong()), (Some(1), 0.5, true));
        assert_eq!(far.to_string(), "element 1 is 2.5 instead of 2 (off by 5.00e-1, 1.00e-1 allowed)");
        assert!(Far::of(&[f32::NAN], &[0.0], 1e9).is_wrong() && Far::of(&[f32::INFINITY], &[0.0], 1e9).is_wrong());
        assert!(!Far::of(&[f32::INFINITY, 0.0], &[f64::INFINITY, -0.0], 0.0).is_wrong());
        assert_eq!(Far::of(&[1.0], &[], 1.0).to_string(), "1 elements instead of 0");
        assert!(Far::of(&[1.0], &[], 1.0).is_wrong() && !Far::of(&[], &[], 0.0).is_wrong());
    }

    #[test]
    fn the_worst_is_measured_by_what_is_allowed() {
        let mut found = Found::default();
        let far = |found: f32, allowed: f64| Far::of(&[found], &[0.0], allowed);
        found.take("a", || "a".into(), &far(0.5, 1.0));
        found.take("b", || "b".into(), &far(0.25, 0.3));
        found.take("c", || "c".into(), &far(0.75, 3.0));
        assert_eq!(found.worst.as_ref().map(|worst| worst.of.as_str()), Some("b"));
        found.take("d", || "d of [2]".into(), &far(0.125, 0.0));
        assert_eq!(found.worst.as_ref().map(|worst| worst.of.as_str()), Some("d"));
        assert_eq!(found.wrong, ["d of [2]: element 0 is 0.125 instead of 0 (off by 1.25e-1, 0.00e0 allowed)"]);
    }

    #[test]
    fn threads_find_the_same() {
        let work: Vec<usize> = (0..100).collect();
        let found = |threads| {
            shared(&work, threads, |number, found| {
                found.say(if number % 7 == 3 { Err(format!("{number}")) } else { Ok(()) });
            })
        };
        assert_eq!((found(1).cases, found(1).wrong.len()), (100, 14));
        assert_eq!(found(4).wrong, found(1).wrong);
        assert_eq!(shared(&[], 4, |_: &usize, _| {}).cases, 0);
    }
}
