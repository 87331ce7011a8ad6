//! Kernels that belong to no program: copies that respect the flag.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use super::text::blocks;
use super::{Launch, index_type, prelude};

/// One translation unit with [`copy`] for each of these numbers of elements.
pub fn common(elements: &[usize]) -> String {
    let mut text = prelude(super::Precision::F32, index_type(elements.iter().copied()));
    for count in elements.iter().filter(|count| **count > 0).collect::<BTreeSet<_>>() {
        let threads = blocks(*count).1;
        let _ = write!(
            text,
            "\nKERNEL({threads}) segc_copy_{count}(const unsigned *flag, const float *from, float *to)\n{{\n    \
             const index_t i = (index_t)blockIdx.x * {threads}u + threadIdx.x;\n    \
             if (flag[0] == 0u && i < {count}u) {{\n        to[i] = from[i];\n    }}\n}}\n"
        );
    }
    text
}

/// How so many elements, at least one, are copied unless the flag is set. The kernel takes `const unsigned* flag, const float* from,
/// float* to`; the launch names no arguments, since they are not places of a program.
pub fn copy(elements: usize) -> Launch {
    let (blocks, threads) = blocks(elements);
    launch(&format!("segc_copy_{elements}"), blocks, threads)
}

fn launch(name: &str, blocks: usize, threads: usize) -> Launch {
    Launch { name: Arc::from(name), grid: [blocks as u32, 1, 1], block: [threads as u32, 1, 1], shared: 0, arguments: Vec::new() }
}
