//! From an elaborated spec to fused kernels.
