//! Memory of the host that a card reads by itself, through which everything goes up: what is to be copied may then change at once.

use std::ffi::c_void;
use std::ptr::null_mut;

use cudarc::driver::sys;

use super::fault::CardError;
use super::library::told;

/// Elements of a block.
const BLOCK: usize = 1 << 20;

/// Blocks that are used in turn.
const BLOCKS: usize = 3;

/// Blocks that are filled while others are read by the card.
#[derive(Default)]
pub(super) struct Staging {
    blocks: Vec<Block>,
    next: usize,
}

struct Block {
    host: *mut f32,
    /// Where the driver gives no memory that is locked in place, ordinary memory serves; the driver then copies before it returns.
    ordinary: Vec<f32>,
    /// Behind the last copy from here.
    done: sys::CUevent,
}

impl Staging {
    /// Puts a copy on a stream. `from` is read before this returns.
    pub fn upload(&mut self, from: &[f32], to: sys::CUdeviceptr, stream: sys::CUstream) -> Result<(), CardError> {
        for (number, part) in from.chunks(BLOCK).enumerate() {
            if self.blocks.len() < BLOCKS {
                self.blocks.push(Block::new()?);
                self.next = self.blocks.len() - 1;
            }
            let block = &mut self.blocks[self.next];
            self.next = (self.next + 1) % BLOCKS;
            block.upload(part, to + (number * BLOCK * 4) as u64, stream)?;
        }
        Ok(())
    }

    /// Gives everything back. The card must be idle.
    pub fn close(&mut self) {
        self.blocks.drain(..).for_each(Block::close);
    }
}

impl Block {
    fn new() -> Result<Block, CardError> {
        let mut done = null_mut();
        // CU_EVENT_DISABLE_TIMING: an event that is only waited for.
        // SAFETY: a context is current; the event is written, and destroyed once.
        told(unsafe { sys::cuEventCreate(&mut done, 2) }, "make an event")?;
        let mut host: *mut c_void = null_mut();
        // SAFETY: the address is written if this succeeds, and given back once.
        let code = unsafe { sys::cuMemHostAlloc(&mut host, BLOCK * 4, 0) };
        if code == sys::CUresult::CUDA_SUCCESS && !host.is_null() {
            return Ok(Block { host: host.cast(), ordinary: Vec::new(), done });
        }
        Ok(Block { host: null_mut(), ordinary: vec![0.0; BLOCK], done })
    }

    fn upload(&mut self, from: &[f32], to: sys::CUdeviceptr, stream: sys::CUstream) -> Result<(), CardError> {
        // SAFETY: the event is this block's own; one that was never recorded is over.
        told(unsafe { sys::cuEventSynchronize(self.done) }, "wait for a copy")?;
        let host = if self.host.is_null() { self.ordinary.as_mut_ptr() } else { self.host };
        // SAFETY: a block has as many elements as a part at most; no copy from it is under way, and nobody else has its address.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), host, from.len()) };
        // SAFETY: the caller has room for the part at `to`; the block stays as it is until the event behind the copy is over.
        told(unsafe { sys::cuMemcpyHtoDAsync_v2(to, host.cast(), from.len() * 4, stream) }, "copy to the card")?;
        // SAFETY: event and stream are of the current context.
        told(unsafe { sys::cuEventRecord(self.done, stream) }, "mark a copy")
    }

    fn close(self) {
        // SAFETY: the card is idle, and each is given back once. Errors are those of earlier calls.
        unsafe {
            if !self.host.is_null() {
                let _ = sys::cuMemFreeHost(self.host.cast());
            }
            let _ = sys::cuEventDestroy_v2(self.done);
        }
    }
}
