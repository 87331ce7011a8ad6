//! From an elaborated spec to fused kernels: `build` makes a typed graph, `differentiate` expands derivatives, `simplify` rewrites,
//! `fuse` groups nodes into kernels, `plan` lays their buffers into one arena. No IO, no device, no unsafe.
#![forbid(unsafe_code)]

pub mod build;
pub mod differentiate;
pub mod fuse;
pub mod graph;
pub mod kernel;
pub mod ops;
pub mod plan;
pub mod rng;
pub mod rows;
pub mod show;
pub mod simplify;
pub mod tensor;

pub use build::{Leaf, Request, build};
pub use differentiate::differentiate;
pub use fuse::fuse;

pub use graph::{Graph, NodeId, Shape};
pub use plan::{Program, compile, plan};

pub use simplify::simplify;
