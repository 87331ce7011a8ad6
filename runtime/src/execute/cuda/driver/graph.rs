//! A recorded graph: copies and launches that the card does again by one call.

use std::ptr::null_mut;

use cudarc::driver::sys;

use super::card::{Card, Spent, lock};
use super::fault::CardError;
use super::library::told;
use super::stream::Kept;

/// What was recorded by [`super::Stream::capture`], with everything that it uses.
pub struct Graph {
    card: Card,
    graph: sys::CUgraph,
    executable: sys::CUgraphExec,
    /// Memory and modules that it uses.
    _kept: Vec<Kept>,
}

// SAFETY: a graph must not be used by two threads at a time; it is used by who has the card's stream, and destroyed through its card.
unsafe impl Send for Graph {}
// SAFETY: as above.
unsafe impl Sync for Graph {}

impl Graph {
    /// Does again what was recorded; waits for the right to use the card, not for the card.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn launch(&self) -> Result<(), CardError> {
        self.card.stream()?.replay(self)
    }

    pub(super) fn new(card: Card, graph: sys::CUgraph, kept: Vec<Kept>) -> Result<Graph, CardError> {
        let mut made = Graph { card, graph, executable: null_mut(), _kept: kept };
        // SAFETY: the graph is whole and this thread's; the executable one is written, and destroyed once.
        told(unsafe { sys::cuGraphInstantiateWithFlags(&mut made.executable, graph, 0) }, "make a graph ready")?;
        Ok(made)
    }

    pub(super) fn card(&self) -> &Card {
        &self.card
    }

    pub(super) fn executable(&self) -> sys::CUgraphExec {
        self.executable
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // The stream may still run it; it is destroyed when that was waited for.
        lock(&self.card.0.spent).push(Spent::Graph(self.graph, self.executable));
    }
}
