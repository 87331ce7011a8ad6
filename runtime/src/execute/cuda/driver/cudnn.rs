//! Convolutions and their adjoints by cuDNN: planned once, run on the card's stream. Only algorithms that give the same bits each time.

use std::ffi::{c_int, c_void};
use std::ptr::{from_ref, null_mut};

use cudarc::cudnn::sys;
use cudarc::driver::sys::{CUdeviceptr, CUstream};

use super::fault::CardError;
use super::library;
use super::planned::{MOST_WORKSPACE, alignment};
use crate::execute::cuda::print::{Convolve, Precision};

/// Bytes of which the places of tensors have to be multiples.
const ALIGNED: u32 = 16;

/// Algorithms that are looked at.
const ANSWERS: usize = 8;

/// cuDNN made ready for the context that was current, on the card's stream.
pub(super) struct Handle(sys::cudnnHandle_t);

/// A convolution that cuDNN takes.
pub(super) struct Plan {
    picture: Tensor,
    weight: Filter,
    windows: Tensor,
    slide: Slide,
    algorithm: Algorithm,
    /// Bytes.
    pub workspace: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Back(sys::cudnnConvolutionBwdDataAlgo_t),
}

/// A tensor of four axes.
struct Tensor(sys::cudnnTensorDescriptor_t);

/// A weight of four axes.
struct Filter(sys::cudnnFilterDescriptor_t);

/// How the weight moves.
struct Slide(sys::cudnnConvolutionDescriptor_t);

// SAFETY: handle and descriptions are used by one thread at a time: who uses them has the card's stream.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}
// SAFETY: as above.
unsafe impl Send for Plan {}
// SAFETY: as above.
unsafe impl Sync for Plan {}

impl Handle {
    /// None where the library is missing, lacks something or does not start. The card's context must be current, the stream that card's.
    pub fn new(stream: CUstream) -> Option<Handle> {
        library::cudnn().ok()?;
        let mut handle = null_mut();
        // SAFETY: every symbol is there; the handle is written, and destroyed once.
        done(unsafe { sys::cudnnCreate(&mut handle) })?;
        let handle = Handle(handle);
        // SAFETY: the handle is made, and the stream lives as long as the card that owns both.
        done(unsafe { sys::cudnnSetStream(handle.0, stream.cast()) })?;
        Some(handle)
    }
}

impl Plan {
    /// None where cuDNN does not take the convolution.
    pub fn new(handle: &Handle, own: &Convolve, precision: Precision) -> Option<Plan> {
        let all = [&own.picture, &own.weight, &own.windows];
        if all.iter().any(|(place, _)| alignment(*place, 0) < ALIGNED) {
            return None;
        }
        let (picture, windows) = (Tensor::new(own.picture.1)?, Tensor::new(own.windows.1)?);
        let (weight, slide) = (Filter::new(own.weight.1)?, Slide::new(own, precision)?);
        let mut plan = Plan { picture, weight, windows, slide, algorithm: UNKNOWN, workspace: 0 };
        let answers = if own.back { plan.back(handle)? } else { plan.forward(handle)? };
        (plan.algorithm, plan.workspace) = answers.into_iter().find(|(algorithm, workspace)| {
            let sums = precision != Precision::F32 || adds_up(*algorithm);
            sums && *workspace <= MOST_WORKSPACE
        })?;
        Some(plan)
    }

    /// Puts the convolution on the stream.
    ///
    /// # Errors
    /// [`CardError::Library`].
    ///
    /// # Safety
    /// The addresses are those of the two tensors that are read, the weight second, and the one that is written, of the sizes that were
    /// planned for, and of as many bytes of workspace as it asks for; all of it is memory of the handle's card and lives until it is done.
    /// The caller has the card's stream.
    pub unsafe fn run(&self, handle: &Handle, [from, weight, to]: [CUdeviceptr; 3], workspace: CUdeviceptr) -> Result<(), CardError> {
        let (one, zero) = (1.0f32, 0.0f32);
        let [alpha, beta] = [&one, &zero].map(|factor| from_ref(factor).cast::<c_void>());
        let (from, weight, to) = (from as *const c_void, weight as *const c_void, to as *mut c_void);
        let (room, size) = (workspace as *mut c_void, self.workspace);
        let (handle, slide) = (handle.0, self.slide.0);
        let (picture, filter, windows) = (self.picture.0, self.weight.0, self.windows.0);
        // SAFETY: plan and handle are whole, the two factors are read before the call returns; the rest is the caller's promise.
        let code = unsafe {
            match self.algorithm {
                Algorithm::Forward(way) => {
                    sys::cudnnConvolutionForward(handle, alpha, picture, from, filter, weight, slide, way, room, size, beta, windows, to)
                }
                Algorithm::Back(way) => sys::cudnnConvolutionBackwardData(
                    handle, alpha, filter, weight, windows, from, slide, way, room, size, beta, picture, to,
                ),
            }
        };
        done(code).ok_or(CardError::Library { library: "cuDNN", doing: "convolve", code: code as u32 })
    }

    /// Algorithms that give the same bits each time, the fastest first, with their workspace.
    fn forward(&self, handle: &Handle) -> Option<Vec<(Algorithm, usize)>> {
        let mut count = 0;
        // SAFETY: zeros are an answer.
        let mut found: [sys::cudnnConvolutionFwdAlgoPerf_t; ANSWERS] = unsafe { std::mem::zeroed() };
        let (x, w, slide, y) = (self.picture.0, self.weight.0, self.slide.0, self.windows.0);
        let most = ANSWERS as c_int;
        // SAFETY: all descriptions are made; there is room for as many answers as are asked for.
        done(unsafe { sys::cudnnGetConvolutionForwardAlgorithm_v7(handle.0, x, w, slide, y, most, &mut count, found.as_mut_ptr()) })?;
        let steady = |one: &&sys::cudnnConvolutionFwdAlgoPerf_t| {
            one.status == SUCCESS && one.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
        };
        let with_room = |one: &sys::cudnnConvolutionFwdAlgoPerf_t| {
            let mut bytes = 0;
            // SAFETY: all descriptions are made; a number is written.
            done(unsafe { sys::cudnnGetConvolutionForwardWorkspaceSize(handle.0, x, w, slide, y, one.algo, &mut bytes) })?;
            Some((Algorithm::Forward(one.algo), bytes))
        };
        Some(found.iter().take(usize::try_from(count).unwrap_or(0)).filter(steady).filter_map(with_room).collect())
    }

    /// The same of the adjoint.
    fn back(&self, handle: &Handle) -> Option<Vec<(Algorithm, usize)>> {
        let mut count = 0;
        // SAFETY: zeros are an answer.
        let mut found: [sys::cudnnConvolutionBwdDataAlgoPerf_t; ANSWERS] = unsafe { std::mem::zeroed() };
        let (x, w, slide, y) = (self.picture.0, self.weight.0, self.slide.0, self.windows.0);
        let most = ANSWERS as c_int;
        // SAFETY: all descriptions are made; there is room for as many answers as are asked for.
        done(unsafe { sys::cudnnGetConvolutionBackwardDataAlgorithm_v7(handle.0, w, y, slide, x, most, &mut count, found.as_mut_ptr()) })?;
        let steady = |one: &&sys::cudnnConvolutionBwdDataAlgoPerf_t| {
            one.status == SUCCESS && one.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
        };
        let with_room = |one: &sys::cudnnConvolutionBwdDataAlgoPerf_t| {
            let mut bytes = 0;
            // SAFETY: all descriptions are made; a number is written.
            done(unsafe { sys::cudnnGetConvolutionBackwardDataWorkspaceSize(handle.0, w, y, slide, x, one.algo, &mut bytes) })?;
            Some((Algorithm::Back(one.algo), bytes))
        };
        Some(found.iter().take(usize::try_from(count).unwrap_or(0)).filter(steady).filter_map(with_room).collect())
    }
}

const SUCCESS: sys::cudnnStatus_t = sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS;

/// Stands where none was chosen yet.
const UNKNOWN: Algorithm = Algorithm::Forward(sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM);

/// Whether an algorithm adds up products of the operands themselves. Those by Fourier's and by Winograd's transform are less exact.
fn adds_up(algorithm: Algorithm) -> bool {
    use sys::cudnnConvolutionBwdDataAlgo_t as Back;
    use sys::cudnnConvolutionFwdAlgo_t as Forward;
    matches!(
        algorithm,
        Algorithm::Forward(
            Forward::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM
                | Forward::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM
                | Forward::CUDNN_CONVOLUTION_FWD_ALGO_GEMM
        ) | Algorithm::Back(Back::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1)
    )
}

impl Tensor {
    fn new(shape: [usize; 4]) -> Option<Tensor> {
        let [n, c, h, w] = whole(shape)?;
        let mut made = Tensor(null_mut());
        let (order, kind) = (sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW, sys::cudnnDataType_t::CUDNN_DATA_FLOAT);
        // SAFETY: the library is there; the description is written, and destroyed once.
        unsafe {
            done(sys::cudnnCreateTensorDescriptor(&mut made.0))?;
            done(sys::cudnnSetTensor4dDescriptor(made.0, order, kind, n, c, h, w))?;
        }
        Some(made)
    }
}

impl Filter {
    fn new(shape: [usize; 4]) -> Option<Filter> {
        let [o, c, h, w] = whole(shape)?;
        let mut made = Filter(null_mut());
        let (order, kind) = (sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW, sys::cudnnDataType_t::CUDNN_DATA_FLOAT);
        // SAFETY: the library is there; the description is written, and destroyed once.
        unsafe {
            done(sys::cudnnCreateFilterDescriptor(&mut made.0))?;
            done(sys::cudnnSetFilter4dDescriptor(made.0, kind, order, o, c, h, w))?;
        }
        Some(made)
    }
}

impl Slide {
    fn new(own: &Convolve, precision: Precision) -> Option<Slide> {
        let [pad_down, pad_right, down, right] = whole([own.pad[0], own.pad[1], own.stride[0], own.stride[1]])?;
        let [reach_down, reach_right, groups, _] = whole([own.dilation[0], own.dilation[1], own.groups, 0])?;
        // Those that may convert would round to half precision, whose range is smaller than that of bf16.
        let math = match precision {
            Precision::F32 => sys::cudnnMathType_t::CUDNN_FMA_MATH,
            Precision::Tf32 | Precision::Bf16 => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        };
        let (mode, kind) = (sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION, sys::cudnnDataType_t::CUDNN_DATA_FLOAT);
        let mut made = Slide(null_mut());
        // SAFETY: the library is there; the description is written, and destroyed once.
        unsafe {
            done(sys::cudnnCreateConvolutionDescriptor(&mut made.0))?;
            done(sys::cudnnSetConvolution2dDescriptor(made.0, pad_down, pad_right, down, right, reach_down, reach_right, mode, kind))?;
            done(sys::cudnnSetConvolutionGroupCount(made.0, groups))?;
            done(sys::cudnnSetConvolutionMathType(made.0, math))?;
        }
        Some(made)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made, and is destroyed once, while the context is current and nothing runs.
        let _ = unsafe { sys::cudnnDestroy(self.0) };
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was made, and is destroyed once.
            let _ = unsafe { sys::cudnnDestroyTensorDescriptor(self.0) };
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was made, and is destroyed once.
            let _ = unsafe { sys::cudnnDestroyFilterDescriptor(self.0) };
        }
    }
}

impl Drop for Slide {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was made, and is destroyed once.
            let _ = unsafe { sys::cudnnDestroyConvolutionDescriptor(self.0) };
        }
    }
}

fn whole(numbers: [usize; 4]) -> Option<[c_int; 4]> {
    let [a, b, c, d] = numbers.map(|number| c_int::try_from(number).ok());
    Some([a?, b?, c?, d?])
}

/// Whether a call succeeded.
fn done(code: sys::cudnnStatus_t) -> Option<()> {
    (code == SUCCESS).then_some(())
}
