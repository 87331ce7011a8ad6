//! The cpu executor: loops over tiles that stay in the nearest caches, one SIMD pass per instruction, and rooms for ops that run alone.
//! Results do not depend on the number of threads.

mod alone;
mod elementary;
mod partial;
mod prepare;
mod stencil;
mod team;
mod tile;

use std::sync::Arc;

use segc_compiler::Program;
use segc_compiler::kernel::{Kernel, Place};

use super::{Device, Executable, Lines, Scratch};
use crate::outcome::RunError;
use alone::{Alone, Hands, Memory};
use prepare::TileLoop;
use team::Team;

/// Runs programs on this machine's processor.
#[derive(Clone, Default)]
pub struct Cpu {
    team: Arc<Team>,
}

impl Cpu {
    /// A device whose kernels are shared by so many threads; where samples are run side by side, one is best. Errors: the system gives
    /// no thread.
    pub fn new(threads: usize) -> Result<Cpu, String> {
        Ok(Cpu { team: Arc::new(Team::new(threads)?) })
    }
}

struct Prepared {
    program: Program,
    kernels: Vec<Ready>,
    arch: pulp::Arch,
    team: Arc<Team>,
}

enum Ready {
    Loop(TileLoop),
    Alone(Alone),
}

impl Device for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn prepare(&self, program: Program) -> Result<Box<dyn Executable>, RunError> {
        let arch = pulp::Arch::new();
        let ready = |kernel: &Kernel| match kernel {
            Kernel::Loop(body) => Ok(Ready::Loop(TileLoop::new(body))),
            Kernel::Whole(whole) => Ok(Ready::Alone(Alone::new(whole, arch)?)),
        };
        let kernels = program.kernels.iter().map(ready).collect::<Result<_, String>>().map_err(RunError::Usage)?;
        Ok(Box::new(Prepared { kernels, program, arch, team: self.team.clone() }))
    }
}

impl Prepared {
    fn loops(&self, size: fn(&TileLoop) -> usize) -> usize {
        let of = |kernel: &Ready| if let Ready::Loop(body) = kernel { size(body) } else { 0 };
        self.kernels.iter().map(of).max().unwrap_or(0)
    }

    fn rooms(&self, size: fn(Memory) -> usize) -> usize {
        let of = |kernel: &Ready| if let Ready::Alone(alone) = kernel { size(alone.memory()) } else { 0 };
        self.kernels.iter().map(of).max().unwrap_or(0)
    }
}

impl Executable for Prepared {
    fn program(&self) -> &Program {
        &self.program
    }

    fn scratch(&self) -> Scratch {
        Scratch {
            arena: Lines::new(self.program.arena),
            tiles: Lines::new(self.loops(TileLoop::tile_elements)),
            scalars: vec![0.0; self.loops(TileLoop::scalar_count)],
            padded: Lines::new(self.loops(TileLoop::padded_elements)),
            common: Lines::new(self.rooms(|memory| memory.common)),
            own: vec![Lines::new(self.rooms(|memory| memory.own)); self.team.size()],
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
                Ready::Alone(alone) => {
                    let Scratch { arena, common, own, .. } = scratch;
                    alone.run(inputs, arena, &mut Hands { team: &self.team, arch: self.arch, common, own });
                }
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
