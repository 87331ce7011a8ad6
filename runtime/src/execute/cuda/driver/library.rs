//! NVIDIA's libraries, loaded when they are first asked for. Loading through cudarc ends the program where a library or a symbol is
//! missing, so everything that is used is looked for before.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cudarc::driver::sys;
use cudarc::nvrtc;

use super::fault::CardError;

/// The oldest driver that is used: of CUDA 12.0.
const OLDEST: i32 = 12_000;

/// Everything of the driver that is called.
const DRIVER: [&str; 40] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceTotalMem_v2",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxSetCurrent",
    "cuMemGetInfo_v2",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemsetD32Async",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuEventDestroy_v2",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuModuleGetFunction",
    "cuFuncSetAttribute",
    "cuLaunchKernel",
    "cuGraphInstantiateWithFlags",
    "cuGraphUpload",
    "cuGraphLaunch",
    "cuGraphExecDestroy",
    "cuGraphDestroy",
];

/// Everything of NVRTC that is called.
const NVRTC: [&str; 13] = [
    "nvrtcVersion",
    "nvrtcGetErrorString",
    "nvrtcGetNumSupportedArchs",
    "nvrtcGetSupportedArchs",
    "nvrtcCreateProgram",
    "nvrtcCompileProgram",
    "nvrtcGetProgramLogSize",
    "nvrtcGetProgramLog",
    "nvrtcGetCUBINSize",
    "nvrtcGetCUBIN",
    "nvrtcGetPTXSize",
    "nvrtcGetPTX",
    "nvrtcDestroyProgram",
];

/// Everything of cuBLASLt that is called.
const CUBLASLT: [&str; 14] = [
    "cublasLtGetVersion",
    "cublasLtCreate",
    "cublasLtDestroy",
    "cublasLtMatmulDescCreate",
    "cublasLtMatmulDescSetAttribute",
    "cublasLtMatmulDescDestroy",
    "cublasLtMatrixLayoutCreate",
    "cublasLtMatrixLayoutSetAttribute",
    "cublasLtMatrixLayoutDestroy",
    "cublasLtMatmulPreferenceCreate",
    "cublasLtMatmulPreferenceSetAttribute",
    "cublasLtMatmulPreferenceDestroy",
    "cublasLtMatmulAlgoGetHeuristic",
    "cublasLtMatmul",
];

/// Everything of cuDNN that is called.
const CUDNN: [&str; 21] = [
    "cudnnGetVersion",
    "cudnnCreate",
    "cudnnDestroy",
    "cudnnSetStream",
    "cudnnCreateTensorDescriptor",
    "cudnnSetTensor4dDescriptor",
    "cudnnDestroyTensorDescriptor",
    "cudnnCreateFilterDescriptor",
    "cudnnSetFilter4dDescriptor",
    "cudnnDestroyFilterDescriptor",
    "cudnnCreateConvolutionDescriptor",
    "cudnnSetConvolution2dDescriptor",
    "cudnnSetConvolutionGroupCount",
    "cudnnSetConvolutionMathType",
    "cudnnDestroyConvolutionDescriptor",
    "cudnnGetConvolutionForwardAlgorithm_v7",
    "cudnnGetConvolutionForwardWorkspaceSize",
    "cudnnConvolutionForward",
    "cudnnGetConvolutionBackwardDataAlgorithm_v7",
    "cudnnGetConvolutionBackwardDataWorkspaceSize",
    "cudnnConvolutionBackwardData",
];

/// Makes the driver ready, once; its version as NVIDIA counts: 13000 is 13.0.
///
/// # Errors
/// [`CardError::Missing`] without a driver, with one that is too old, and where it cannot start.
pub(super) fn driver() -> Result<i32, CardError> {
    static READY: OnceLock<Result<i32, CardError>> = OnceLock::new();
    READY.get_or_init(start).clone()
}

/// Makes NVRTC ready, once; its version, such as 13 and 0.
///
/// # Errors
/// [`CardError::Missing`] where it is not there or lacks something.
pub(super) fn compiler() -> Result<(i32, i32), CardError> {
    static READY: OnceLock<Result<(i32, i32), CardError>> = OnceLock::new();
    READY.get_or_init(version_of_compiler).clone()
}

/// The version of cuBLASLt: major, minor, patch.
///
/// # Errors
/// [`CardError::Missing`] where it is not there or lacks something.
pub(super) fn cublaslt() -> Result<[usize; 3], CardError> {
    use cudarc::cublaslt::sys;
    // SAFETY: loading a shared library runs its initialisers; these are NVIDIA's own, made to be loaded so.
    let there = unsafe { sys::is_culib_present() };
    // SAFETY: asked for only where the library is there; a symbol is looked up and not called.
    let has = |name: &str| unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()).is_ok() };
    whole("cuBLASLt", "libcublasLt.so", there, has, &CUBLASLT)?;
    // SAFETY: the symbol is there, and it takes nothing.
    let number = unsafe { sys::cublasLtGetVersion() };
    Ok(parts(number, 100_000))
}

/// The version of cuDNN: major, minor, patch.
///
/// # Errors
/// [`CardError::Missing`] where it is not there or lacks something.
pub(super) fn cudnn() -> Result<[usize; 3], CardError> {
    use cudarc::cudnn::sys;
    // SAFETY: loading a shared library runs its initialisers; these are NVIDIA's own, made to be loaded so.
    let there = unsafe { sys::is_culib_present() };
    // SAFETY: asked for only where the library is there; a symbol is looked up and not called.
    let has = |name: &str| unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()).is_ok() };
    whole("cuDNN", "libcudnn.so", there, has, &CUDNN)?;
    if let Some(part) = path("libcudnn.so").and_then(|front| missing_part(&front)) {
        return Err(CardError::Missing(format!("cuDNN lacks its part {part}.so; its package has to be installed whole")));
    }
    // SAFETY: the symbol is there, and it takes nothing.
    let number = unsafe { sys::cudnnGetVersion() };
    Ok(parts(number, 90_000))
}

/// What the front of cuDNN 9 needs in its folder. It ends the program when it is called and one is missing.
fn missing_part(front: &Path) -> Option<&'static str> {
    const PARTS: [&str; 5] = ["libcudnn_graph", "libcudnn_ops", "libcudnn_cnn", "libcudnn_heuristic", "libcudnn_engines_precompiled"];
    if !front.file_name()?.to_str()?.starts_with("libcudnn.so.9") {
        return None;
    }
    let beside: Vec<_> = std::fs::read_dir(front.parent()?).ok()?.flatten().map(|entry| entry.file_name()).collect();
    let is_there = |part: &str| beside.iter().any(|name| name.to_string_lossy().starts_with(&format!("{part}.so")));
    PARTS.into_iter().find(|part| !is_there(part))
}

/// Major, minor, patch: a major was a thousand before this number, ten thousand since.
fn parts(number: usize, since: usize) -> [usize; 3] {
    if number < since { [number / 1000, number / 100 % 10, number % 100] } else { [number / 10_000, number / 100 % 100, number % 100] }
}

/// Whether a library is there with all that is needed of it.
fn whole(what: &str, file: &str, there: bool, has: impl Fn(&str) -> bool, names: &[&str]) -> Result<(), CardError> {
    if !there {
        return Err(CardError::Missing(format!("{file} was not found in the folders of LD_LIBRARY_PATH and of the system")));
    }
    match names.iter().find(|name| !has(name)) {
        Some(symbol) => Err(CardError::Missing(format!("{what} has no `{symbol}`; another version of it is needed"))),
        None => Ok(()),
    }
}

/// Where a library that is loaded lies; none where the system does not say.
pub(super) fn path(part: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let file = |line: &str| line.find('/').map(|at| PathBuf::from(&line[at..]));
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(part));
    maps.lines().filter_map(file).find(named)
}

/// What a call of the driver gave, as an error that knows its name.
///
/// # Errors
/// [`CardError::Driver`] for everything but success.
pub(super) fn told(code: sys::CUresult, doing: &'static str) -> Result<(), CardError> {
    if code == sys::CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    let mut name = std::ptr::null();
    let mut text = std::ptr::null();
    // SAFETY: a code comes from a call of the driver, so the driver is loaded; it writes one pointer to each place.
    unsafe {
        let _ = sys::cuGetErrorName(code, &mut name);
        let _ = sys::cuGetErrorString(code, &mut text);
    }
    // SAFETY: what the driver gives is null or a text that lives as long as the driver, which is never unloaded.
    let words = |at: *const std::ffi::c_char| (!at.is_null()).then(|| unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned());
    let unknown = || "unknown".to_owned();
    Err(CardError::Driver {
        doing,
        code: code as u32,
        name: words(name).unwrap_or_else(unknown),
        text: words(text).unwrap_or_else(unknown),
    })
}

/// What a call of NVRTC gave.
///
/// # Errors
/// [`CardError::Compile`] for everything but success.
pub(super) fn compiled(code: nvrtc::sys::nvrtcResult, doing: &str) -> Result<(), CardError> {
    if code == nvrtc::sys::nvrtcResult::NVRTC_SUCCESS {
        return Ok(());
    }
    // SAFETY: a code comes from a call of NVRTC, so it is loaded; the text lives as long as NVRTC, which is never unloaded.
    let text = unsafe {
        let text = nvrtc::sys::nvrtcGetErrorString(code);
        if text.is_null() { "unknown".into() } else { CStr::from_ptr(text).to_string_lossy() }
    };
    Err(CardError::Compile(format!("NVRTC failed to {doing}: {text} ({})", code as u32)))
}

fn start() -> Result<i32, CardError> {
    // SAFETY: loading a shared library runs its initialisers; these are NVIDIA's own, made to be loaded so.
    let there = unsafe { sys::is_culib_present() };
    // SAFETY: asked for only where the library is there; a symbol is looked up and not called.
    let has = |name: &str| unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()).is_ok() };
    whole("the driver", "the driver's libcuda.so.1", there, has, &["cuDriverGetVersion"])?;
    let mut version = 0;
    // SAFETY: the symbol is there; it writes one number, before `cuInit` too.
    let _ = unsafe { sys::cuDriverGetVersion(&mut version) };
    if version < OLDEST {
        let (has, needs) = (shown(version), shown(OLDEST));
        return Err(CardError::Missing(format!("the driver is of CUDA {has}, and {needs} or a newer one is needed")));
    }
    whole("the driver", "the driver's libcuda.so.1", there, has, &DRIVER)?;
    // SAFETY: every symbol is there; `cuInit` takes a number that has to be zero.
    told(unsafe { sys::cuInit(0) }, "start").map_err(|error| CardError::Missing(error.to_string()))?;
    Ok(version)
}

fn version_of_compiler() -> Result<(i32, i32), CardError> {
    // SAFETY: loading a shared library runs its initialisers; these are NVIDIA's own, made to be loaded so.
    let there = unsafe { nvrtc::sys::is_culib_present() };
    // SAFETY: asked for only where the library is there; a symbol is looked up and not called.
    let has = |name: &str| unsafe { nvrtc::sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()).is_ok() };
    whole("NVRTC", "NVRTC's libnvrtc.so", there, has, &NVRTC)?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: every symbol is there; two numbers are written.
    compiled(unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor) }, "say its version")?;
    Ok((major, minor))
}

/// A version as people write it: `13.0`.
pub(super) fn shown(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}
