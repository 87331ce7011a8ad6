//! A card of this machine: its context, its one stream, and what is known of it.

use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::sys;
use serde::Serialize;

use super::fault::CardError;
use super::graph::Graph;
use super::library::{self, told};
use super::memory::{Buffer, Memory};
use super::planned::Handles;
use super::staging::Staging;
use super::stream::Stream;

/// A card that is ready to be used, from any thread. Clones are the same card.
#[derive(Clone)]
pub struct Card(pub(super) Arc<Inner>);

/// What is known of a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its name, such as `NVIDIA H200`.
    pub name: String,
    /// Its compute capability: major, minor.
    pub capability: (u32, u32),
    /// Its memory, bytes.
    pub memory: usize,
    /// What of it is free, bytes; none where nobody asked the card.
    pub free: Option<usize>,
    /// Its multiprocessors.
    pub multiprocessors: u32,
    /// The most shared memory that a block may ask for, bytes.
    pub shared: u32,
}

/// The card behind its handles.
pub(super) struct Inner {
    pub about: About,
    device: sys::CUdevice,
    context: sys::CUcontext,
    pub stream: sys::CUstream,
    /// Libraries that do work on the stream.
    pub handles: Handles,
    /// Who has the stream.
    turn: Mutex<Staging>,
    /// Memory that nobody uses any more. It is given back when no graph is being recorded and the stream is idle.
    pub waste: Mutex<Vec<sys::CUdeviceptr>>,
    /// Things of the driver that nobody uses any more.
    pub spent: Mutex<Vec<Spent>>,
}

/// Something of the driver that is to be destroyed.
pub(super) enum Spent {
    Module(sys::CUmodule),
    Graph(sys::CUgraph, sys::CUgraphExec),
}

// SAFETY: handles of the driver may be used from every thread as long as graphs are not used by two at a time; whoever uses stream or
// graphs holds `turn`, and what is only kept to be destroyed is used by nobody else.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Card {
    /// The card with this number, 0 being the first.
    ///
    /// # Errors
    /// [`CardError::Missing`] without a driver or card; [`CardError::Driver`] where it cannot be used.
    pub fn open(number: usize) -> Result<Card, CardError> {
        library::driver()?;
        let count = count()?;
        if number >= count {
            return Err(CardError::Missing(match count {
                0 => "the driver sees no card".into(),
                _ => format!("the driver sees {count} of them, so there is no number {number}"),
            }));
        }
        let (device, about) = about(number)?;
        let mut context = null_mut();
        // SAFETY: the driver is loaded, the device exists; the context is written, and released when the card is dropped.
        told(unsafe { sys::cuDevicePrimaryCtxRetain(&mut context, device) }, "open a card")?;
        let mut inner = Inner {
            about,
            device,
            context,
            stream: null_mut(),
            handles: Handles::default(),
            turn: Mutex::default(),
            waste: Mutex::default(),
            spent: Mutex::default(),
        };
        inner.enter()?;
        // The null stream cannot be recorded.
        let flags = sys::CUstream_flags_enum::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: the context is current; the stream is written, and destroyed when the card is dropped.
        told(unsafe { sys::cuStreamCreate(&mut inner.stream, flags) }, "make a stream")?;
        Ok(Card(Arc::new(inner)))
    }

    /// What is known of it.
    pub fn about(&self) -> &About {
        &self.0.about
    }

    /// Records what is asked for as a graph; see [`Stream::capture`].
    ///
    /// # Errors
    /// Those of `body`, and what the driver finds.
    pub fn capture(&self, body: impl FnOnce(&mut Stream<'_>) -> Result<(), CardError>) -> Result<Graph, CardError> {
        self.stream()?.capture(|stream| body(stream))
    }

    /// Whether kernels can be compiled for it.
    ///
    /// # Errors
    /// [`CardError::Missing`] without NVRTC.
    pub fn compiles(&self) -> Result<(), CardError> {
        library::compiler().map(|_| ())
    }

    /// Memory for so many elements, all zero.
    ///
    /// # Errors
    /// [`CardError::OutOfMemory`], and what the driver finds.
    pub fn buffer(&self, elements: usize) -> Result<Buffer, CardError> {
        self.stream()?.buffer(elements)
    }

    /// The right to use the card. Waits until the thread that has it lets go; a thread must not ask twice.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn stream(&self) -> Result<Stream<'_>, CardError> {
        let staging = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.enter()?;
        Ok(Stream::new(self, staging))
    }
}

impl Inner {
    /// Makes the context the calling thread's.
    pub fn enter(&self) -> Result<(), CardError> {
        // SAFETY: the context is retained as long as the card lives.
        told(unsafe { sys::cuCtxSetCurrent(self.context) }, "use a card")
    }

    /// Gives back what nobody uses any more. Nothing may be running or be recorded.
    pub fn tidy(&self) {
        for address in lock(&self.waste).drain(..) {
            // SAFETY: the address comes from `cuMemAlloc`, its owner is gone, and nothing runs. Errors are those of earlier calls.
            let _ = unsafe { sys::cuMemFree_v2(address) };
        }
        for spent in lock(&self.spent).drain(..) {
            destroy(spent);
        }
    }

    /// What is free and what there is in all, bytes.
    pub fn memory(&self) -> Result<(usize, usize), CardError> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: two numbers are written; the context is current.
        told(unsafe { sys::cuMemGetInfo_v2(&mut free, &mut total) }, "say what memory is free")?;
        Ok((free, total))
    }

    /// Memory that is not set. Gives back what nobody uses where there is not enough otherwise.
    pub fn allocate(self: &Arc<Self>, elements: usize) -> Result<Memory, CardError> {
        let bytes = elements.max(1) * 4;
        let mut address = 0;
        // SAFETY: the context is current; the address is written, and freed once when its owner is gone.
        let code = unsafe { sys::cuMemAlloc_v2(&mut address, bytes) };
        if code == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            let (free, total) = self.memory()?;
            return Err(CardError::OutOfMemory { bytes, free, total });
        }
        told(code, "reserve memory")?;
        Ok(Memory::new(self.clone(), address, elements))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.enter().is_err() {
            return;
        }
        if !self.stream.is_null() {
            // SAFETY: the stream is this card's own; nobody else holds the card.
            let _ = unsafe { sys::cuStreamSynchronize(self.stream) };
            self.handles.close();
            // SAFETY: as above, and no library has it any more.
            let _ = unsafe { sys::cuStreamDestroy_v2(self.stream) };
        }
        self.turn.get_mut().unwrap_or_else(PoisonError::into_inner).close();
        self.tidy();
        // SAFETY: it was retained once.
        let _ = unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) };
    }
}

fn destroy(spent: Spent) {
    // SAFETY: who owned these is gone, nothing runs, and each is destroyed once. Errors are those of earlier calls.
    unsafe {
        match spent {
            Spent::Module(module) => _ = sys::cuModuleUnload(module),
            Spent::Graph(graph, executable) => {
                if !executable.is_null() {
                    let _ = sys::cuGraphExecDestroy(executable);
                }
                let _ = sys::cuGraphDestroy(graph);
            }
        }
    }
}

/// What a mutex holds, also after a panic elsewhere.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many cards the driver sees; it must be loaded.
pub(super) fn count() -> Result<usize, CardError> {
    let mut count = 0;
    // SAFETY: the driver is loaded; a number is written.
    told(unsafe { sys::cuDeviceGetCount(&mut count) }, "count cards")?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// A card and what is known of it without using it; the driver must be loaded.
pub(super) fn about(number: usize) -> Result<(sys::CUdevice, About), CardError> {
    use sys::CUdevice_attribute_enum as Is;
    let mut device = 0;
    // SAFETY: the driver is loaded; the device is written.
    told(unsafe { sys::cuDeviceGet(&mut device, i32::try_from(number).unwrap_or(i32::MAX)) }, "find a card")?;
    let mut name = [0; 256];
    // SAFETY: at most 256 bytes are written, the last of them a zero.
    told(unsafe { sys::cuDeviceGetName(name.as_mut_ptr(), 256, device) }, "name a card")?;
    // SAFETY: the driver ended the text with a zero.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    let mut memory = 0;
    // SAFETY: a number is written.
    told(unsafe { sys::cuDeviceTotalMem_v2(&mut memory, device) }, "say how much memory a card has")?;
    let attribute = |which| {
        let mut value = 0;
        // SAFETY: a number is written.
        told(unsafe { sys::cuDeviceGetAttribute(&mut value, which, device) }, "describe a card")?;
        Ok::<u32, CardError>(u32::try_from(value).unwrap_or(0))
    };
    let capability =
        (attribute(Is::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?, attribute(Is::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?);
    let multiprocessors = attribute(Is::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    let shared = attribute(Is::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
    Ok((device, About { name, capability, memory, free: None, multiprocessors, shared }))
}
