//! Text of kernels to functions of a card.

use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use cudarc::driver::sys;
use cudarc::nvrtc::sys as nvrtc;

use super::card::{Card, Inner, Spent, lock};
use super::cubin;
use super::fault::CardError;
use super::library::{self, compiled, told};
use super::stream::Kept;

/// Kernels that are loaded. Clones are the same.
#[derive(Clone)]
pub struct Module(Arc<Loaded>);

/// A kernel that is loaded.
#[derive(Clone)]
pub struct Function {
    module: Arc<Loaded>,
    handle: sys::CUfunction,
}

struct Loaded {
    card: Arc<Inner>,
    module: sys::CUmodule,
}

// SAFETY: modules and functions of the driver may be used from every thread; a module is unloaded through its card.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}
// SAFETY: as above; its module lives as long.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// For what kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// Machine code of this capability, 90 for 9.0.
    Real(u32),
    /// Code that the driver translates, for cards that are newer than NVRTC.
    Virtual(u32),
}

impl Module {
    /// Compiles a text and loads it; what was compiled before is read from the user's cache.
    ///
    /// # Errors
    /// [`CardError::Compile`] with the compiler's words; [`CardError::Missing`] without NVRTC; what the driver finds.
    pub fn new(card: &Card, source: &str) -> Result<Module, CardError> {
        let version = library::compiler()?;
        let (major, minor) = card.about().capability;
        let target = Target::of(10 * major + minor, &architectures()?)?;
        let options = target.options();
        let (folder, key) = (cubin::folder(), cubin::key(source, &options, version));
        if let Some(image) = folder.as_deref().and_then(|folder| cubin::find(folder, &key)) {
            // Another driver than the one that it was made beside may refuse it.
            if let Ok(module) = load(card, &image) {
                return Ok(module);
            }
        }
        let image = compile(source, &options, target)?;
        let module = load(card, &image)?;
        if let Some(folder) = folder {
            cubin::keep(&folder, &key, &image);
        }
        Ok(module)
    }

    /// A kernel by its name. `shared` is the shared memory that its launches ask for, bytes.
    ///
    /// # Errors
    /// What the driver finds: there is no such kernel, or not so much shared memory.
    pub fn function(&self, name: &str, shared: u32) -> Result<Function, CardError> {
        let text = CString::new(name).map_err(|_| CardError::Compile(format!("{name:?} is no name of a kernel")))?;
        self.0.card.enter()?;
        let mut handle = null_mut();
        // SAFETY: the module is loaded; the function is written and lives as long as the module.
        told(unsafe { sys::cuModuleGetFunction(&mut handle, self.0.module, text.as_ptr()) }, "find a kernel")?;
        if shared > ORDINARY_SHARED {
            let which = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is loaded.
            told(unsafe { sys::cuFuncSetAttribute(handle, which, shared as i32) }, "give a kernel its shared memory")?;
        }
        Ok(Function { module: self.0.clone(), handle })
    }
}

/// Shared memory that needs no permission, bytes.
const ORDINARY_SHARED: u32 = 48 << 10;

impl Function {
    pub(super) fn handle(&self) -> sys::CUfunction {
        self.handle
    }

    pub(super) fn owner(&self) -> Kept {
        self.module.clone()
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // Its kernels may still run.
        lock(&self.card.spent).push(Spent::Module(self.module));
    }
}

impl Target {
    /// The best that NVRTC can make for a card.
    fn of(capability: u32, known: &[u32]) -> Result<Target, CardError> {
        let nearest = known.iter().copied().filter(|known| *known <= capability).max();
        let Some(nearest) = nearest else {
            let oldest = known.iter().min().copied().unwrap_or_default();
            return Err(CardError::Missing(format!(
                "the card's compute capability is {}.{}, and this NVRTC begins with {}.{}; an older NVRTC may know it",
                capability / 10,
                capability % 10,
                oldest / 10,
                oldest % 10
            )));
        };
        // Machine code runs on later minors of its major.
        Ok(if nearest / 10 == capability / 10 { Target::Real(nearest) } else { Target::Virtual(nearest) })
    }

    fn options(self) -> Vec<String> {
        let architecture = match self {
            Target::Real(number) => format!("sm_{number}"),
            Target::Virtual(number) => format!("compute_{number}"),
        };
        vec![format!("--gpu-architecture={architecture}"), "--std=c++17".into()]
    }
}

/// The capabilities that NVRTC knows, 90 for 9.0.
fn architectures() -> Result<Vec<u32>, CardError> {
    let mut count = 0;
    // SAFETY: NVRTC is loaded; a number is written.
    compiled(unsafe { nvrtc::nvrtcGetNumSupportedArchs(&mut count) }, "count what it knows")?;
    let mut known = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: so many numbers are written as it said.
    compiled(unsafe { nvrtc::nvrtcGetSupportedArchs(known.as_mut_ptr()) }, "say what it knows")?;
    Ok(known.into_iter().filter_map(|number| u32::try_from(number).ok()).collect())
}

/// Machine code, or code that the driver translates.
fn compile(source: &str, options: &[String], target: Target) -> Result<Vec<u8>, CardError> {
    let text = |text: &str| CString::new(text).map_err(|_| CardError::Compile("there is a zero in the text".into()));
    let (source, name) = (text(source)?, text("program.cu")?);
    let options: Vec<CString> = options.iter().map(|option| text(option)).collect::<Result<_, _>>()?;
    let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
    let mut program = Compilation(null_mut());
    // SAFETY: NVRTC is loaded; it copies the texts, which end with zeros; there are no headers.
    let code = unsafe { nvrtc::nvrtcCreateProgram(&mut program.0, source.as_ptr(), name.as_ptr(), 0, null(), null()) };
    compiled(code, "take the text")?;
    // SAFETY: the program is made, and there are as many options as said.
    let code = unsafe { nvrtc::nvrtcCompileProgram(program.0, pointers.len() as i32, pointers.as_ptr()) };
    if let Err(error) = compiled(code, "compile") {
        return Err(CardError::Compile(format!("{error}\n{}", program.log())));
    }
    program.image(target)
}

/// A program of NVRTC.
struct Compilation(nvrtc::nvrtcProgram);

impl Compilation {
    /// What the compiler said; empty where it does not say.
    fn log(&self) -> String {
        let mut size = 0;
        // SAFETY: the program is made; a number is written.
        let code = unsafe { nvrtc::nvrtcGetProgramLogSize(self.0, &mut size) };
        if compiled(code, "say how much it says").is_err() {
            return String::new();
        }
        let mut bytes = vec![0u8; size];
        // SAFETY: so many bytes are written as it said.
        let code = unsafe { nvrtc::nvrtcGetProgramLog(self.0, bytes.as_mut_ptr().cast()) };
        if compiled(code, "say what is wrong").is_err() {
            return String::new();
        }
        String::from_utf8_lossy(&bytes).trim_end_matches(['\0', '\n']).to_owned()
    }

    fn image(&self, target: Target) -> Result<Vec<u8>, CardError> {
        let mut size = 0;
        // SAFETY: the program is compiled; a number is written.
        let code = unsafe {
            match target {
                Target::Real(_) => nvrtc::nvrtcGetCUBINSize(self.0, &mut size),
                Target::Virtual(_) => nvrtc::nvrtcGetPTXSize(self.0, &mut size),
            }
        };
        compiled(code, "say how long the code is")?;
        let mut image = vec![0u8; size];
        // SAFETY: so many bytes are written as it said.
        let code = unsafe {
            match target {
                Target::Real(_) => nvrtc::nvrtcGetCUBIN(self.0, image.as_mut_ptr().cast()),
                Target::Virtual(_) => nvrtc::nvrtcGetPTX(self.0, image.as_mut_ptr().cast()),
            }
        };
        compiled(code, "give the code")?;
        Ok(image)
    }
}

impl Drop for Compilation {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was made, and is destroyed once.
            let _ = unsafe { nvrtc::nvrtcDestroyProgram(&mut self.0) };
        }
    }
}

fn load(card: &Card, image: &[u8]) -> Result<Module, CardError> {
    card.0.enter()?;
    // Code that the driver translates ends with a zero; machine code knows its length, and may be followed by anything.
    let image: Vec<u8> = image.iter().copied().chain([0]).collect();
    let mut module = null_mut();
    // SAFETY: the context is current; the driver reads the image before it returns.
    told(unsafe { sys::cuModuleLoadData(&mut module, image.as_ptr().cast()) }, "load kernels")?;
    Ok(Module(Arc::new(Loaded { card: card.0.clone(), module })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_that_nvrtc_does_not_know_get_what_is_nearest() {
        let known = [75, 80, 86, 90, 100];
        assert_eq!(Target::of(90, &known), Ok(Target::Real(90)));
        assert_eq!(Target::of(89, &known), Ok(Target::Real(86)));
        assert_eq!(Target::of(120, &known), Ok(Target::Virtual(100)));
        assert!(matches!(Target::of(61, &known), Err(CardError::Missing(text)) if text.contains("6.1") && text.contains("7.5")));
        assert_eq!(Target::Real(90).options()[0], "--gpu-architecture=sm_90");
        assert_eq!(Target::Virtual(100).options()[0], "--gpu-architecture=compute_100");
    }
}
