//! A small team of threads, kept awake between kernels, that shares the items of a kernel. What an item computes depends on shapes only,
//! so results are the same for any number of threads.
//!
//! A training step is a thousand kernels of some ten microseconds: putting a thread to sleep and waking it for each costs more than the
//! second thread gains. So threads that have nothing to do look out for work for a while before they sleep.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::super::Lines;

/// Looks at the clock of jobs before a thread sleeps: some tens of microseconds.
const PATIENCE: usize = 4000;
/// Looks before a thread that waits for others lets the system run something else.
const EAGER: usize = 20_000;

/// What the others do of a job; the number is the helper's.
type Job = &'static (dyn Fn(usize) + Sync);

/// Threads that work on one kernel; a team of one is the caller alone.
#[derive(Debug, Default)]
pub(super) struct Team {
    helpers: Vec<JoinHandle<()>>,
    desk: Arc<Desk>,
    /// Held by the one whose kernel the team works on.
    turn: Mutex<()>,
}

/// What caller and helpers have in common.
#[derive(Default)]
struct Desk {
    /// The present job; only read by a helper that is counted in `inside`.
    job: Mutex<Option<Job>>,
    /// Whether helpers may still begin with the job ([`OPEN`]), and how many are at it.
    inside: AtomicUsize,
    /// How many jobs there were.
    jobs: AtomicU64,
    over: AtomicBool,
    asleep: AtomicUsize,
    bed: Mutex<()>,
    bell: Condvar,
    /// What a helper panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The bit of [`Desk::inside`] that says that helpers may begin.
const OPEN: usize = 1 << (usize::BITS - 1);

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

impl Team {
    /// The caller and so many threads less one. Errors: the system gives no thread.
    pub fn new(threads: usize) -> Result<Team, String> {
        let mut team = Team::default();
        for number in 0..threads.saturating_sub(1) {
            let desk = team.desk.clone();
            let started = std::thread::Builder::new().name(format!("kernel {number}")).spawn(move || desk.help(number));
            team.helpers.push(started.map_err(|why| why.to_string())?);
        }
        Ok(team)
    }

    /// How many threads there are with the caller.
    pub fn size(&self) -> usize {
        1 + self.helpers.len()
    }

    /// Every item once, each by the thread that is free first, with that thread's memory.
    pub fn each<T: Send>(&self, items: impl Iterator<Item = T> + Send, memory: &mut [Lines], body: impl Fn(T, &mut [f32]) + Sync) {
        let Some((own, others)) = memory.split_first_mut() else { return };
        // Nobody helps with a kernel that begins while the team works on another.
        let turn = if self.helpers.is_empty() { None } else { self.turn.try_lock().ok() };
        if turn.is_none() {
            return items.for_each(|item| body(item, own));
        }
        let mut items = items;
        let (Some(first), second) = (items.next(), items.next()) else { return };
        let Some(second) = second else { return body(first, own) };
        let queue = Mutex::new([first, second].into_iter().chain(items));
        let others: Vec<Mutex<&mut Lines>> = others.iter_mut().map(Mutex::new).collect();
        let help = |number: usize| {
            let Some(memory) = others.get(number) else { return };
            let mut memory = lock(memory);
            while let Some(item) = next(&queue) {
                body(item, &mut memory);
            }
        };
        self.desk.share(&help, || {
            while let Some(item) = next(&queue) {
                body(item, own);
            }
        });
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.desk.over.store(true, Ordering::SeqCst);
        self.desk.ring();
        for helper in self.helpers.drain(..) {
            // What it panicked with was told where it happened.
            let _ = helper.join();
        }
    }
}

impl Desk {
    /// Does `own` while helpers do `help`; all are done when it returns.
    fn share(&self, help: &(dyn Fn(usize) + Sync), own: impl FnOnce()) {
        // SAFETY: only the lifetime is changed. A helper calls the job only while it is counted in `inside`, which it enters only while
        // the job is open; `Closing` closes it and waits until nobody is inside before this function is left, also by a panic. So `help`
        // and all that it borrows outlive every call.
        let job = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(help) };
        *lock(&self.panic) = None;
        *lock(&self.job) = Some(job);
        self.inside.store(OPEN, Ordering::SeqCst);
        let closing = Closing(self);
        self.ring();
        own();
        drop(closing);
        if let Some(panic) = lock(&self.panic).take() {
            resume_unwind(panic);
        }
    }

    /// Tells the helpers that there is something new.
    fn ring(&self) {
        self.jobs.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            let _bed = lock(&self.bed);
            self.bell.notify_all();
        }
    }

    /// The life of a helper.
    fn help(&self, number: usize) {
        let mut seen = 0;
        loop {
            seen = self.news(seen);
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            if !self.enter() {
                continue;
            }
            let job = *lock(&self.job);
            if let Some(job) = job
                && let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(number)))
            {
                *lock(&self.panic) = Some(panic);
            }
            self.inside.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Begins with the job, if it is open.
    fn enter(&self) -> bool {
        let more = |inside: usize| (inside & OPEN != 0).then_some(inside + 1);
        self.inside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Waits until there were other jobs than `seen`; how many there were.
    fn news(&self, seen: u64) -> u64 {
        for _ in 0..PATIENCE {
            let jobs = self.jobs.load(Ordering::SeqCst);
            if jobs != seen {
                return jobs;
            }
            std::hint::spin_loop();
        }
        let mut bed = lock(&self.bed);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        while self.jobs.load(Ordering::SeqCst) == seen {
            bed = self.bell.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        self.jobs.load(Ordering::SeqCst)
    }
}

/// Closes the job and waits for those who are at it.
struct Closing<'a>(&'a Desk);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_and(!OPEN, Ordering::SeqCst);
        let mut looks = 0usize;
        while self.0.inside.load(Ordering::SeqCst) != 0 {
            looks += 1;
            if looks.is_multiple_of(EAGER) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        *lock(&self.0.job) = None;
    }
}

/// The lock is held only while the next item is taken.
fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    lock(queue).next()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Squares in some rounds, in chunks of two.
    fn squares(team: &Team, rounds: usize) -> Vec<u64> {
        let mut memory = vec![Lines::default(); team.size()];
        let mut values = vec![0u64; 101];
        for round in 0..rounds as u64 {
            let items = values.chunks_mut(2).enumerate();
            team.each(items, &mut memory, |(at, chunk), _| {
                chunk.iter_mut().for_each(|x| *x = x.wrapping_mul(31).wrapping_add(at as u64 + round))
            });
        }
        values
    }

    #[test]
    fn every_item_is_done_once_in_every_job_by_any_number_of_threads() {
        let alone = squares(&Team::new(1).unwrap(), 5000);
        for threads in [2, 3, 7] {
            assert_eq!(squares(&Team::new(threads).unwrap(), 5000), alone, "{threads}");
        }
    }

    #[test]
    fn helpers_that_sleep_wake_again() {
        let team = Team::new(3).unwrap();
        for _ in 0..5 {
            squares(&team, 10);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(squares(&team, 10), squares(&Team::new(1).unwrap(), 10));
    }

    #[test]
    fn one_team_serves_several_callers() {
        let team = Team::new(2).unwrap();
        let alone = squares(&Team::new(1).unwrap(), 500);
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| squares(&team, 500))).collect();
            all.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), alone));
        });
    }

    #[test]
    fn a_panic_of_a_helper_reaches_the_caller_and_the_team_goes_on() {
        let team = Team::new(2).unwrap();
        let mut memory = vec![Lines::default(); 2];
        let caller = std::thread::current().id();
        let fails = catch_unwind(AssertUnwindSafe(|| {
            team.each(0..10_000, &mut memory, |_, _| assert_eq!(std::thread::current().id(), caller));
        }));
        // Where the caller was quick enough, the helper did nothing and nothing failed.
        drop(fails);
        assert_eq!(squares(&team, 10), squares(&Team::new(1).unwrap(), 10));
    }
}
