//! A small team of threads, kept alive, that shares the items of a kernel. What an item computes depends on shapes only, so results are
//! the same for any number of threads.

use std::sync::{Mutex, PoisonError};

use super::super::Lines;

/// Threads that work on one kernel; a team of one is the caller alone.
#[derive(Debug, Default)]
pub(super) struct Team {
    others: Option<rayon_core::ThreadPool>,
}

impl Team {
    /// The caller alone.
    pub const ONE: Team = Team { others: None };

    /// The caller and so many threads less one. Errors: the system gives no thread.
    pub fn new(threads: usize) -> Result<Team, String> {
        if threads < 2 {
            return Ok(Team::ONE);
        }
        let pool = rayon_core::ThreadPoolBuilder::new().num_threads(threads - 1).thread_name(|number| format!("kernel {number}"));
        Ok(Team { others: Some(pool.build().map_err(|why| why.to_string())?) })
    }

    /// How many threads there are with the caller.
    pub fn size(&self) -> usize {
        1 + self.others.as_ref().map_or(0, rayon_core::ThreadPool::current_num_threads)
    }

    /// Every item once, each by the thread that is free first, with that thread's memory.
    pub fn each<T: Send>(&self, items: impl Iterator<Item = T> + Send, memory: &mut [Lines], body: impl Fn(T, &mut [f32]) + Sync) {
        let Some((own, others)) = memory.split_first_mut() else { return };
        let Some(pool) = &self.others else { return items.for_each(|item| body(item, own)) };
        let mut items = items;
        let (Some(first), second) = (items.next(), items.next()) else { return };
        let Some(second) = second else { return body(first, own) };
        let queue = Mutex::new([first, second].into_iter().chain(items));
        let work = |memory: &mut Lines| {
            while let Some(item) = next(&queue) {
                body(item, memory);
            }
        };
        pool.in_place_scope(|scope| {
            others.iter_mut().for_each(|memory| scope.spawn(|_| work(memory)));
            work(own);
        });
    }
}

/// The lock is held only while the next item is taken.
fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).next()
}
