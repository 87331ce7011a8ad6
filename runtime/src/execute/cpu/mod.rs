//! The cpu executor: loops over tiles of whole rows that stay in the nearest caches, one SIMD pass per instruction. A run uses one
//! thread; threads work on different samples, so results do not depend on their number.

mod elementary;
mod prepare;
mod stencil;
mod tile;
mod whole;

use segc_compiler::Program;
use segc_compiler::kernel::{Kernel, Place};

use super::{Device, Executable, Lines, Scratch};
use prepare::TileLoop;

/// Runs programs on this machine's processor.
pub struct Cpu;

struct Prepared {
    program: Program,
    kernels: Vec<Ready>,
    arch: pulp::Arch,
}

enum Ready {
    Loop(TileLoop),
    Whole(whole::Whole),
}

impl Device for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn prepare(&self, program: Program) -> Result<Box<dyn Executable>, String> {
        let ready = |kernel: &Kernel| match kernel {
            Kernel::Loop(body) => Ok(Ready::Loop(TileLoop::new(body))),
            Kernel::Whole(alone) => Ok(Ready::Whole(whole::Whole::new(alone)?)),
        };
        let kernels = program.kernels.iter().map(ready).collect::<Result<_, String>>()?;
        Ok(Box::new(Prepared { kernels, program, arch: pulp::Arch::new() }))
    }
}

impl Executable for Prepared {
    fn program(&self) -> &Program {
        &self.program
    }

    fn scratch(&self) -> Scratch {
        let loops = || {
            self.kernels.iter().filter_map(|kernel| match kernel {
                Ready::Loop(body) => Some(body),
                Ready::Whole(_) => None,
            })
        };
        let most = |size: fn(&TileLoop) -> usize| loops().map(size).max().unwrap_or(0);
        Scratch {
            arena: Lines::new(self.program.arena),
            tiles: Lines::new(most(TileLoop::tile_elements)),
            scalars: vec![0.0; most(TileLoop::scalar_count)],
            padded: Lines::new(most(TileLoop::padded_elements)),
            ..Scratch::of(&self.program)
        }
    }

    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String> {
        for kernel in &self.kernels {
            match kernel {
                Ready::Loop(body) => {
                    let run = tile::Run { body, inputs, scratch };
                    self.arch.dispatch(run);
                }
                Ready::Whole(alone) => alone.run(inputs, &mut scratch.arena),
            }
        }
        for ((_, place, _), output) in self.program.outputs.iter().zip(&mut scratch.outputs) {
            let from = match place {
                Place::Input(number) => inputs[*number],
                Place::Arena(at) => &scratch.arena[*at..],
            };
            let elements = output.len();
            output.copy_from_slice(&from[..elements]);
        }
        Ok(())
    }
}
