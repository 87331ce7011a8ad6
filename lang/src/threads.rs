//! How many threads the language takes for one spec; what it says does not depend on it.

use std::num::NonZeroUsize;
use std::sync::LazyLock;

/// Threads at most: asking the system takes as long as parsing some lines, so it is asked once.
pub fn most() -> usize {
    static MOST: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(8));
    *MOST
}
