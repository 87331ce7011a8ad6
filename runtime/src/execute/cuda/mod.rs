//! NVIDIA cards: programs as CUDA C.

pub mod print;
