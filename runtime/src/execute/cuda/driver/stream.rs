//! What a card does in order: copies, launches, and the recording of both.

use std::any::Any;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Arc, MutexGuard};

use cudarc::driver::sys;

use super::card::{Card, Inner, Spent, lock};
use super::fault::CardError;
use super::graph::Graph;
use super::library::told;
use super::memory::{Buffer, View};
use super::module::Function;
use super::planned::Planned;
use super::staging::Staging;

/// Keeps something alive.
pub(super) type Kept = Arc<dyn Any + Send + Sync>;

/// The right to use a card. What it is asked for happens in order; only [`Stream::download`] and [`Stream::synchronize`] wait for it.
pub struct Stream<'a> {
    card: &'a Card,
    staging: MutexGuard<'a, Staging>,
    /// What a graph that is being recorded uses.
    recording: Option<Vec<Kept>>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(card: &'a Card, staging: MutexGuard<'a, Staging>) -> Stream<'a> {
        Stream { card, staging, recording: None }
    }

    /// Memory for so many elements, all zero.
    ///
    /// # Errors
    /// [`CardError::OutOfMemory`]; [`CardError::Misuse`] while a graph is recorded; what the driver finds.
    pub fn buffer(&mut self, elements: usize) -> Result<Buffer, CardError> {
        self.refuse_recording("reserve memory")?;
        self.tidy()?;
        let buffer = Buffer::new(self.inner().allocate(elements)?);
        self.zero(&buffer.view())?;
        Ok(buffer)
    }

    /// Copies elements to the card; `from` may change as soon as this returns.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where the sizes differ and while a graph is recorded; what the driver finds.
    pub fn upload(&mut self, from: &[f32], to: &View) -> Result<(), CardError> {
        self.refuse_recording("copy from the host")?;
        self.fits(from.len(), to)?;
        let stream = self.inner().stream;
        self.staging.upload(from, to.address(), stream)
    }

    /// Copies elements from the card, and waits for everything before.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where the sizes differ and while a graph is recorded; what the driver finds, also of what came before.
    pub fn download(&mut self, from: &View, to: &mut [f32]) -> Result<(), CardError> {
        self.refuse_recording("copy to the host")?;
        self.fits(to.len(), from)?;
        if !to.is_empty() {
            let stream = self.inner().stream;
            // SAFETY: both sides have as many elements; the view keeps its memory alive, and `to` is borrowed until the copy is over.
            told(unsafe { sys::cuMemcpyDtoHAsync_v2(to.as_mut_ptr().cast(), from.address(), to.len() * 4, stream) }, "copy to the host")?;
        }
        self.synchronize()
    }

    /// Copies elements on the card.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where the sizes differ; what the driver finds.
    pub fn copy(&mut self, from: &View, to: &View) -> Result<(), CardError> {
        self.fits(from.elements(), to)?;
        self.fits(from.elements(), from)?;
        self.keep([from, to].map(|view| view.owner().clone() as Kept));
        if from.elements() == 0 {
            return Ok(());
        }
        // SAFETY: both lie inside memory of this card, which lives until the copy is over: it is freed after the stream was waited for.
        let code = unsafe { sys::cuMemcpyDtoDAsync_v2(to.address(), from.address(), from.elements() * 4, self.inner().stream) };
        told(code, "copy on the card")
    }

    /// Makes elements zero.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn zero(&mut self, at: &View) -> Result<(), CardError> {
        self.fits(at.elements(), at)?;
        self.keep([at.owner().clone() as Kept]);
        if at.elements() == 0 {
            return Ok(());
        }
        // SAFETY: it lies inside memory of this card, which is freed only after the stream was waited for.
        told(unsafe { sys::cuMemsetD32Async(at.address(), 0, at.elements(), self.inner().stream) }, "set memory")
    }

    /// Waits for everything that was asked for.
    ///
    /// # Errors
    /// [`CardError::Misuse`] while a graph is recorded; what the driver finds.
    pub fn synchronize(&mut self) -> Result<(), CardError> {
        self.refuse_recording("wait for the card")?;
        // SAFETY: the stream lives as long as the card.
        told(unsafe { sys::cuStreamSynchronize(self.inner().stream) }, "compute")
    }

    /// Memory of the card that is free, bytes.
    ///
    /// # Errors
    /// What the driver finds.
    pub fn free(&self) -> Result<usize, CardError> {
        Ok(self.inner().memory()?.0)
    }

    /// Records what `body` asks for instead of doing it. What it uses lives as long as the graph. Nothing can be reserved or copied from
    /// and to the host meanwhile; an error ends the recording and leaves the card usable.
    ///
    /// # Errors
    /// Those of `body`; [`CardError::Misuse`] inside of another recording; what the driver finds.
    pub fn capture(&mut self, body: impl FnOnce(&mut Self) -> Result<(), CardError>) -> Result<Graph, CardError> {
        self.refuse_recording("record another graph")?;
        self.tidy()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives as long as the card; the recording is ended below or, after a panic, when this is dropped.
        told(unsafe { sys::cuStreamBeginCapture_v2(self.inner().stream, mode) }, "begin to record a graph")?;
        self.recording = Some(Vec::new());
        let done = body(self);
        let kept = self.recording.take().unwrap_or_default();
        let graph = end(self.inner());
        if let Err(error) = done {
            discard(self.inner(), graph);
            return Err(error);
        }
        let graph = Graph::new(self.card.clone(), graph?, kept)?;
        // SAFETY: graph and stream are of this card, and this thread has both for itself.
        told(unsafe { sys::cuGraphUpload(graph.executable(), self.inner().stream) }, "bring a graph to the card")?;
        Ok(graph)
    }

    /// Does again what was recorded.
    ///
    /// # Errors
    /// [`CardError::Misuse`] for a graph of another card and while one is recorded; what the driver finds.
    pub fn replay(&mut self, graph: &Graph) -> Result<(), CardError> {
        self.refuse_recording("replay a graph")?;
        if !Arc::ptr_eq(&graph.card().0, self.inner()) {
            return Err(CardError::Misuse("a graph is replayed on the card on which it was recorded".into()));
        }
        // SAFETY: what the graph uses lives as long as it does; this thread has the stream for itself.
        told(unsafe { sys::cuGraphLaunch(graph.executable(), self.inner().stream) }, "replay a graph")
    }

    /// Puts a kernel on the stream.
    ///
    /// # Safety
    /// The function takes as many pointers, and with this grid it stays inside what they point to. That memory is this card's and lives
    /// until the stream was waited for; while a graph is recorded it was given to [`Stream::keep`].
    pub(super) unsafe fn launch(
        &mut self,
        function: &Function,
        [grid, block]: [[u32; 3]; 2],
        shared: u32,
        pointers: &[sys::CUdeviceptr],
    ) -> Result<(), CardError> {
        self.keep([function.owner()]);
        let mut arguments: Vec<*mut c_void> = pointers.iter().map(|pointer| std::ptr::from_ref(pointer).cast_mut().cast()).collect();
        let ([x, y, z], [width, height, depth]) = (grid, block);
        let (stream, arguments) = (self.inner().stream, arguments.as_mut_ptr());
        // SAFETY: the driver reads the pointers before it returns; the rest is the caller's promise.
        let code = unsafe { sys::cuLaunchKernel(function.handle(), x, y, z, width, height, depth, shared, stream, arguments, null_mut()) };
        told(code, "start a kernel")
    }

    /// Puts the work of a library on the stream.
    ///
    /// # Safety
    /// Those of [`Planned::run`]; while a graph is recorded that memory was given to [`Stream::keep`].
    pub(super) unsafe fn call(
        &mut self,
        work: &Planned,
        addresses: [sys::CUdeviceptr; 3],
        workspace: sys::CUdeviceptr,
    ) -> Result<(), CardError> {
        let inner = self.inner();
        // SAFETY: the caller's promise.
        unsafe { work.run(&inner.handles, inner.stream, addresses, workspace) }
    }

    /// Keeps something alive for as long as the graph lives that is being recorded, if one is.
    pub(super) fn keep(&mut self, what: impl IntoIterator<Item = Kept>) {
        if let Some(kept) = &mut self.recording {
            kept.extend(what);
        }
    }

    /// The card.
    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.card.0
    }

    /// Gives back what nobody uses any more.
    fn tidy(&mut self) -> Result<(), CardError> {
        let (waste, spent) = (lock(&self.inner().waste).is_empty(), lock(&self.inner().spent).is_empty());
        if !(waste && spent) {
            self.synchronize()?;
            self.inner().tidy();
        }
        Ok(())
    }

    fn refuse_recording(&self, what: &str) -> Result<(), CardError> {
        if self.recording.is_none() {
            return Ok(());
        }
        Err(CardError::Misuse(format!("a card cannot {what} while a graph is recorded")))
    }

    /// Whether a view is this card's and has as many elements.
    pub(super) fn fits(&self, elements: usize, view: &View) -> Result<(), CardError> {
        if !view.lies_on(self.inner()) {
            return Err(CardError::Misuse("a buffer is used on the card that it was made on".into()));
        }
        if view.elements() != elements {
            let has = view.elements();
            return Err(CardError::Misuse(format!("{elements} elements meet {has} on the card")));
        }
        Ok(())
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if self.recording.take().is_some() {
            // Only a panic inside `capture` comes here.
            discard(self.inner(), end(self.inner()));
        }
    }
}

/// Ends a recording.
fn end(card: &Inner) -> Result<sys::CUgraph, CardError> {
    let mut graph = null_mut();
    // SAFETY: the stream lives as long as the card and is being recorded; the graph is written.
    told(unsafe { sys::cuStreamEndCapture(card.stream, &mut graph) }, "record a graph")?;
    if graph.is_null() { Err(CardError::Misuse("the driver gave no graph for what was recorded".into())) } else { Ok(graph) }
}

/// Lets what was recorded go.
fn discard(card: &Inner, graph: Result<sys::CUgraph, CardError>) {
    if let Ok(graph) = graph {
        lock(&card.spent).push(Spent::Graph(graph, null_mut()));
    }
}
