//! Work on numbered items by several threads, taken in the order of the numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::outcome::RunError;

/// Does `work` for the items below `total` on some threads, each with memory of its own that `worker` makes, and hands what comes out to
/// `take` in order. `take` says whether to go on; what is in hand then is still taken. Gives how many items were taken. Errors: the
/// first in the order of the items.
pub(crate) fn in_order<W, T: Send>(
    threads: usize,
    total: usize,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<bool, RunError>,
) -> Result<usize, RunError> {
    let threads = threads.clamp(1, total.max(1));
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // Bounded, so that finished items do not pile up behind a slow one.
        let (sender, receiver) = mpsc::sync_channel(2 * threads);
        for _ in 0..threads {
            let (sender, next, stop, worker, work) = (sender.clone(), &next, &stop, &worker, &work);
            scope.spawn(move || {
                let mut own = worker();
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= total || sender.send((index, work(&mut own, index))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut waiting, mut expected) = (BTreeMap::new(), 0);
        for (index, item) in receiver {
            waiting.insert(index, item);
            while let Some(item) = waiting.remove(&expected) {
                let goes_on = take(expected, item).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                expected += 1;
                if !goes_on {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
        Ok(expected)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_the_first_error_is_given() {
        for threads in [1, 3] {
            let mut taken = Vec::new();
            let count = in_order(
                threads,
                50,
                || (),
                |(), item| item * item,
                |at, item| {
                    taken.push((at, item));
                    Ok(true)
                },
            );
            assert!(count.is_ok_and(|count| count == 50) && taken.iter().enumerate().all(|(at, pair)| *pair == (at, at * at)));
            let failed = in_order(
                threads,
                50,
                || (),
                |(), item| item,
                |_, item| match item {
                    7 | 9 => Err(RunError::Numeric(item.to_string())),
                    _ => Ok(true),
                },
            );
            assert!(matches!(failed, Err(RunError::Numeric(which)) if which == "7"));
        }
    }

    #[test]
    fn it_stops_when_told() {
        let count = in_order(2, 1000, || (), |(), item| item, |_, item| Ok(item < 10)).unwrap();
        assert!((11..40).contains(&count), "{count}");
    }
}
