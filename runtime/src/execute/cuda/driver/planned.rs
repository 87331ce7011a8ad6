//! Work that a library of NVIDIA has taken: what it needs, and how it is put on a stream.

use std::sync::OnceLock;

use cudarc::driver::sys::{CUdeviceptr, CUstream};
use segc_compiler::kernel::Place;

use super::card::Card;
use super::fault::CardError;
use super::{cublas, cudnn};
use crate::execute::cuda::print::{Call, Work};

/// The most workspace that is given to a library, bytes: what NVIDIA advises for cards of the generation of the H100.
pub(super) const MOST_WORKSPACE: usize = 32 << 20;

/// Bytes of which every buffer's place is a multiple.
const ALIGNED: usize = 256;

/// The libraries as far as work was asked of them.
#[derive(Default)]
pub(super) struct Handles {
    cublas: OnceLock<Option<cublas::Handle>>,
    cudnn: OnceLock<Option<cudnn::Handle>>,
}

/// Work that was taken.
pub(super) struct Planned {
    plan: Plan,
    /// What it reads, twice, and what it writes.
    pub places: [Place; 3],
}

enum Plan {
    Multiply(cublas::Plan),
    Convolve(cudnn::Plan),
}

impl Handles {
    fn cublas(&self) -> Option<&cublas::Handle> {
        self.cublas.get_or_init(cublas::Handle::new).as_ref()
    }

    fn cudnn(&self, stream: CUstream) -> Option<&cudnn::Handle> {
        self.cudnn.get_or_init(|| cudnn::Handle::new(stream)).as_ref()
    }

    /// Gives everything back. Nothing may be running, and the card's context must be current.
    pub fn close(&mut self) {
        self.cublas.take();
        self.cudnn.take();
    }
}

impl Planned {
    /// None where the library is missing or does not take it.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn new(card: &Card, call: &Call) -> Result<Option<Planned>, CardError> {
        // The right to use the card is also that to use the libraries.
        let stream = card.stream()?;
        let handles = &stream.inner().handles;
        let plan = match &call.work {
            Work::Multiply(product) => {
                handles.cublas().and_then(|handle| cublas::Plan::new(handle, product, call.precision)).map(Plan::Multiply)
            }
            Work::Convolve(convolution) => handles
                .cudnn(stream.inner().stream)
                .and_then(|handle| cudnn::Plan::new(handle, convolution, call.precision))
                .map(Plan::Convolve),
        };
        Ok(plan.map(|plan| Planned { plan, places: call.places() }))
    }

    /// Workspace, bytes.
    pub fn workspace(&self) -> usize {
        match &self.plan {
            Plan::Multiply(plan) => plan.workspace,
            Plan::Convolve(plan) => plan.workspace,
        }
    }

    /// Whether addresses are as aligned as it was planned for.
    pub fn takes(&self, addresses: &[CUdeviceptr; 3]) -> bool {
        self.places.iter().zip(addresses).all(|(place, address)| address.is_multiple_of(u64::from(alignment(*place, 0))))
    }

    /// Puts the work on a stream.
    ///
    /// # Errors
    /// [`CardError::Library`].
    ///
    /// # Safety
    /// The addresses are those of the places, as the work that was planned said that they lie and as aligned as it
    /// [takes](Planned::takes), and of as much workspace as it asks for; all of it is memory of the stream's card and lives until the work
    /// is done.
    pub unsafe fn run(
        &self,
        handles: &Handles,
        stream: CUstream,
        addresses: [CUdeviceptr; 3],
        workspace: CUdeviceptr,
    ) -> Result<(), CardError> {
        let elsewhere = || CardError::Misuse("work of a library runs on the card that it was planned for".into());
        match &self.plan {
            Plan::Multiply(plan) => {
                let handle = handles.cublas().ok_or_else(elsewhere)?;
                // SAFETY: the caller's promise.
                unsafe { plan.run(handle, stream, addresses, workspace) }
            }
            Plan::Convolve(plan) => {
                let handle = handles.cudnn(stream).ok_or_else(elsewhere)?;
                // SAFETY: the caller's promise.
                unsafe { plan.run(handle, addresses, workspace) }
            }
        }
    }
}

/// Bytes of which a place, and those so many elements behind it and behind one another, are multiples. Inputs and results are buffers.
pub(super) fn alignment(place: Place, step: usize) -> u32 {
    let at = if let Place::Arena(at) = place { at } else { 0 };
    let bits = ((4 * (at | step)) | ALIGNED).trailing_zeros();
    1 << bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_is_that_of_the_first_and_of_all_that_follow() {
        assert_eq!(alignment(Place::Input(3), 0), 256);
        assert_eq!(alignment(Place::Arena(64), 0), 256);
        assert_eq!(alignment(Place::Arena(1024), 12), 16);
        assert_eq!(alignment(Place::Arena(6), 0), 8);
        assert_eq!(alignment(Place::Arena(0), 7), 4);
    }
}
