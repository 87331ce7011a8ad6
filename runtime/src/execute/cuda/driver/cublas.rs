//! Products of matrices by cuBLASLt: planned once, run on the card's stream.

use std::ffi::c_void;
use std::ptr::{from_ref, null_mut};

use cudarc::cublaslt::sys;
use cudarc::driver::sys::{CUdeviceptr, CUstream};

use super::fault::CardError;
use super::library;
use super::planned::{MOST_WORKSPACE, alignment};
use crate::execute::cuda::print::{Matrix, Multiply, Precision};

/// cuBLASLt made ready for the context that was current.
pub(super) struct Handle(sys::cublasLtHandle_t);

/// A product that cuBLASLt takes.
pub(super) struct Plan {
    description: Description,
    /// Of left, right and result.
    layouts: [Layout; 3],
    algorithm: sys::cublasLtMatmulAlgo_t,
    /// Bytes.
    pub workspace: usize,
}

/// What is done.
struct Description(sys::cublasLtMatmulDesc_t);

/// How matrices lie.
struct Layout(sys::cublasLtMatrixLayout_t);

/// What an algorithm may use.
struct Preference(sys::cublasLtMatmulPreference_t);

// SAFETY: cuBLASLt may be called from several threads with one handle; descriptions are written by who makes them and only read then.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}
// SAFETY: as above.
unsafe impl Send for Plan {}
// SAFETY: as above.
unsafe impl Sync for Plan {}

impl Handle {
    /// None where the library is missing, lacks something or does not start. The card's context must be current.
    pub fn new() -> Option<Handle> {
        library::cublaslt().ok()?;
        let mut handle = null_mut();
        // SAFETY: every symbol is there; the handle is written, and destroyed once.
        done(unsafe { sys::cublasLtCreate(&mut handle) })?;
        Some(Handle(handle))
    }
}

impl Plan {
    /// None where cuBLASLt does not take the product.
    pub fn new(handle: &Handle, product: &Multiply, precision: Precision) -> Option<Plan> {
        let sides = [&product.left, &product.right, &product.result];
        let batches = i32::try_from(product.batches).ok()?;
        let description = Description::new(product, precision)?;
        let [left, right, result] = sides.map(|side| Layout::new(side, batches));
        let layouts = [left?, right?, result?];
        let preference = Preference::new(sides.map(|side| alignment(side.at, side.step)))?;
        let (mut found, mut count) = (std::mem::MaybeUninit::zeroed(), 0);
        let [a, b, c] = [layouts[0].0, layouts[1].0, layouts[2].0];
        // SAFETY: all descriptions are made; there is room for the one answer that is asked for.
        let found: sys::cublasLtMatmulHeuristicResult_t = unsafe {
            let to = found.as_mut_ptr();
            done(sys::cublasLtMatmulAlgoGetHeuristic(handle.0, description.0, a, b, c, c, preference.0, 1, to, &mut count))?;
            found.assume_init()
        };
        let taken = count == 1 && done(found.state).is_some() && found.workspaceSize <= MOST_WORKSPACE;
        taken.then_some(Plan { description, layouts, algorithm: found.algo, workspace: found.workspaceSize })
    }

    /// Puts the product on a stream.
    ///
    /// # Errors
    /// [`CardError::Library`].
    ///
    /// # Safety
    /// The addresses are those of left, right and result as the product said that they lie, with the alignment that it was planned for,
    /// and of as many bytes of workspace as it asks for; all of it is memory of the card of stream and handle and lives until it is done.
    pub unsafe fn run(
        &self,
        handle: &Handle,
        stream: CUstream,
        [left, right, result]: [CUdeviceptr; 3],
        workspace: CUdeviceptr,
    ) -> Result<(), CardError> {
        let [a, b, c] = [&self.layouts[0], &self.layouts[1], &self.layouts[2]].map(|layout| layout.0);
        let (one, zero) = (1.0f32, 0.0f32);
        // SAFETY: plan and handle are whole, the two factors are read before the call returns; the rest is the caller's promise.
        let code = unsafe {
            sys::cublasLtMatmul(
                handle.0,
                self.description.0,
                from_ref(&one).cast(),
                left as *const c_void,
                a,
                right as *const c_void,
                b,
                from_ref(&zero).cast(),
                result as *const c_void,
                c,
                result as *mut c_void,
                c,
                &self.algorithm,
                workspace as *mut c_void,
                self.workspace,
                stream.cast(),
            )
        };
        done(code).ok_or(CardError::Library { library: "cuBLASLt", doing: "multiply matrices", code: code as u32 })
    }
}

impl Description {
    fn new(product: &Multiply, precision: Precision) -> Option<Description> {
        let compute = match precision {
            Precision::F32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            Precision::Tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            Precision::Bf16 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_16BF,
        };
        let mut made = Description(null_mut());
        // SAFETY: the library is there; the description is written, and destroyed once.
        done(unsafe { sys::cublasLtMatmulDescCreate(&mut made.0, compute, sys::cudaDataType::CUDA_R_32F) })?;
        use sys::cublasLtMatmulDescAttributes_t as Is;
        let sides = [(Is::CUBLASLT_MATMUL_DESC_TRANSA, &product.left), (Is::CUBLASLT_MATMUL_DESC_TRANSB, &product.right)];
        for (which, side) in sides {
            let turned = i32::from(side.across);
            // SAFETY: the description is made; it takes a whole number of 32 bits.
            done(unsafe { sys::cublasLtMatmulDescSetAttribute(made.0, which, from_ref(&turned).cast(), size_of::<i32>()) })?;
        }
        Some(made)
    }
}

impl Layout {
    fn new(side: &Matrix, batches: i32) -> Option<Layout> {
        let mut made = Layout(null_mut());
        let (kind, apart) = (sys::cudaDataType::CUDA_R_32F, i64::try_from(side.apart).ok()?);
        // SAFETY: the library is there; the layout is written, and destroyed once.
        done(unsafe { sys::cublasLtMatrixLayoutCreate(&mut made.0, kind, side.rows as u64, side.columns as u64, apart) })?;
        use sys::cublasLtMatrixLayoutAttribute_t as Is;
        let step = i64::try_from(side.step).ok()?;
        let (count, offset) = (Is::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, Is::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
        // SAFETY: the layout is made; it takes a whole number of 32 bits, and one of 64.
        unsafe {
            done(sys::cublasLtMatrixLayoutSetAttribute(made.0, count, from_ref(&batches).cast(), size_of::<i32>()))?;
            done(sys::cublasLtMatrixLayoutSetAttribute(made.0, offset, from_ref(&step).cast(), size_of::<i64>()))?;
        }
        Some(made)
    }
}

impl Preference {
    /// `aligned`: bytes of which the places of left, right and result are multiples.
    fn new([a, b, c]: [u32; 3]) -> Option<Preference> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Is;
        let mut made = Preference(null_mut());
        // SAFETY: the library is there; the preference is written, and destroyed once.
        done(unsafe { sys::cublasLtMatmulPreferenceCreate(&mut made.0) })?;
        let most = MOST_WORKSPACE as u64;
        let which = Is::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        // SAFETY: the preference is made; it takes a whole number of 64 bits.
        done(unsafe { sys::cublasLtMatmulPreferenceSetAttribute(made.0, which, from_ref(&most).cast(), size_of::<u64>()) })?;
        // Parts of sums are joined in the workspace or not at all, so that their order is always the same.
        let joins = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        let numbers = [
            (Is::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, joins),
            (Is::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, a),
            (Is::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, b),
            (Is::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c),
            (Is::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c),
        ];
        for (which, number) in numbers {
            // SAFETY: the preference is made; it takes a whole number of 32 bits.
            done(unsafe { sys::cublasLtMatmulPreferenceSetAttribute(made.0, which, from_ref(&number).cast(), size_of::<u32>()) })?;
        }
        Some(made)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made, and is destroyed once, while the context is current and nothing runs.
        let _ = unsafe { sys::cublasLtDestroy(self.0) };
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was made, and is destroyed once.
            let _ = unsafe { sys::cublasLtMatmulDescDestroy(self.0) };
        }
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was made, and is destroyed once.
            let _ = unsafe { sys::cublasLtMatrixLayoutDestroy(self.0) };
        }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was made, and is destroyed once.
            let _ = unsafe { sys::cublasLtMatmulPreferenceDestroy(self.0) };
        }
    }
}

/// Whether a call succeeded.
fn done(code: sys::cublasStatus_t) -> Option<()> {
    (code == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS).then_some(())
}
