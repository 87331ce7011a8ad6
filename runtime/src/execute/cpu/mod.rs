//! The cpu executor: loops over tiles that stay in the nearest caches, one SIMD pass per instruction, and rooms for ops that run alone.
//! Results do not depend on the number of threads.

mod alone;
mod chain;
mod elementary;
mod native;
mod partial;
mod prepare;
mod stencil;
mod team;
mod tile;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use segc_compiler::Program;
use segc_compiler::kernel::{Kernel, Place};
use segc_compiler::plan::Buffer;

use super::finding::{self, finite};
use super::{Device, Executable, Finding, Needs, Room, Scratch};
use crate::outcome::RunError;
use alone::{Alone, Hands, Memory};
use chain::Chain;
use prepare::TileLoop;
use team::Team;

/// Runs programs on this machine's processor.
#[derive(Clone)]
pub struct Cpu {
    team: Arc<Team>,
    poison: bool,
    /// Instructions that kernels are made of, the widest of this machine if nothing else is asked for.
    arch: pulp::Arch,
}

impl Default for Cpu {
    fn default() -> Cpu {
        Cpu { team: Arc::default(), poison: false, arch: pulp::Arch::new() }
    }
}

impl Cpu {
    /// A device whose kernels are shared by so many threads; where samples are run side by side, one is best. Errors: the system gives
    /// no thread.
    pub fn new(threads: usize) -> Result<Cpu, String> {
        Ok(Cpu { team: Arc::new(Team::new(threads)?), ..Cpu::default() })
    }

    /// With the instructions that every processor of this kind has: slower, for finding faults of the faster kernels.
    pub fn portable(self) -> Cpu {
        Cpu { arch: pulp::Arch::Scalar, ..self }
    }

    /// For tests: before every kernel all memory that holds no value which is still needed becomes NaN.
    pub fn poisoned(self) -> Cpu {
        Cpu { poison: true, ..self }
    }
}

struct Prepared {
    program: Program,
    kernels: Vec<Ready>,
    /// For each kernel the loops that run together from it on, and how many they are.
    chains: Vec<Option<(Chain, usize)>>,
    arch: pulp::Arch,
    team: Arc<Team>,
    poison: bool,
}

enum Ready {
    Loop(TileLoop),
    Alone(Alone),
}

impl Device for Cpu {
    fn name(&self) -> &'static str {
        if matches!(self.arch, pulp::Arch::Scalar) { "cpu, portable" } else { "cpu" }
    }

    fn writes_over(&self) -> bool {
        true
    }

    fn prepare(&self, program: Program) -> Result<Box<dyn Executable>, RunError> {
        Ok(Box::new(self.prepared(program)?))
    }
}

impl Cpu {
    fn prepared(&self, program: Program) -> Result<Prepared, RunError> {
        let arch = self.arch;
        let ready = |kernel: &Kernel| match kernel {
            Kernel::Loop(body) => Ok(Ready::Loop(TileLoop::new(body, arch))),
            Kernel::Whole(whole) => Ok(Ready::Alone(Alone::new(whole, arch)?)),
        };
        let kernels = program.kernels.iter().map(ready).collect::<Result<Vec<_>, String>>().map_err(RunError::Usage)?;
        let chains = chains(&kernels, &program);
        Ok(Prepared { kernels, chains, program, arch, team: self.team.clone(), poison: self.poison })
    }
}

/// Loops that run together, of those before results are written over inputs: whether they may be is only known by then.
fn chains(kernels: &[Ready], program: &Program) -> Vec<Option<(Chain, usize)>> {
    let end = if program.over.iter().any(Option::is_some) { program.last } else { kernels.len() };
    let mut chains: Vec<Option<(Chain, usize)>> = kernels.iter().map(|_| None).collect();
    let mut number = 0;
    while number < end {
        chains[number] = Chain::new(&loops(&kernels[number..end]));
        number += chains[number].as_ref().map_or(1, |(_, count)| *count);
    }
    chains
}

/// The loops that kernels begin with.
fn loops(kernels: &[Ready]) -> Vec<&TileLoop> {
    kernels.iter().map_while(|kernel| if let Ready::Loop(body) = kernel { Some(body) } else { None }).collect()
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

    fn needs(&self) -> Needs {
        Needs {
            arena: self.program.arena,
            scalars: self.loops(TileLoop::scalar_count),
            common: self.rooms(|memory| memory.common),
            own: self.rooms(|memory| memory.own).max(self.loops(TileLoop::memory)),
            hands: self.team.size(),
        }
    }

    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String> {
        self.all(inputs, scratch, !self.poison, |_, run| run());
        Ok(())
    }

    fn timed(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<Vec<Duration>, String> {
        let mut times = vec![Duration::ZERO; self.kernels.len()];
        self.all(inputs, scratch, false, |number, run| {
            let start = Instant::now();
            run();
            times[number] = start.elapsed();
        });
        Ok(times)
    }

    fn check(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<Option<Finding>, String> {
        for number in 0..self.kernels.len() {
            self.kernel(number, inputs, &mut [], &mut scratch.room);
            let arena = &scratch.room.arena;
            let numbers = |buffer: &Buffer| Ok(arena[buffer.at..][..buffer.elements].into());
            if let Some(finding) = finding::of_kernel(&self.program, number, inputs, numbers)? {
                return Ok(Some(finding));
            }
        }
        self.leave(inputs, scratch);
        Ok(None)
    }
}

impl Prepared {
    /// Every kernel, each through `one`, or with those that run together. Those that write results over inputs run only if all that is made
    /// by then is finite.
    fn all(&self, inputs: &[&[f32]], scratch: &mut Scratch, together: bool, mut one: impl FnMut(usize, &mut dyn FnMut())) {
        let Scratch { outputs, room, held } = scratch;
        let mut next = |number: usize, inputs: &[&[f32]], outputs: &mut [Vec<f32>], room: &mut Room| {
            let chain = self.chains[number].as_ref().filter(|_| together);
            one(number, &mut || match chain {
                Some((chain, count)) => self.chain(chain, number..number + count, inputs, outputs, room),
                None => self.kernel(number, inputs, outputs, room),
            });
            number + chain.map_or(1, |(_, count)| *count)
        };
        let mut number = 0;
        *held = false;
        if self.program.over.iter().any(Option::is_some) {
            let mut old = inputs.to_vec();
            for (output, input) in outputs.iter().zip(&self.program.over) {
                if let Some(input) = input {
                    old[*input] = output;
                }
            }
            while number < self.program.last {
                number = next(number, &old, &mut [], room);
            }
            *held = !self.finite_so_far(&room.arena);
        }
        while !*held && number < self.kernels.len() {
            number = next(number, inputs, outputs, room);
        }
        self.leave(inputs, scratch);
    }

    /// Whether everything that results over inputs are made of is finite.
    fn finite_so_far(&self, arena: &[f32]) -> bool {
        let last = self.program.last;
        let read = |buffer: &&Buffer| last < self.kernels.len() && buffer.lives(last);
        self.program.buffers.iter().filter(read).all(|buffer| finite(&arena[buffer.at..][..buffer.elements]))
    }

    fn chain(&self, chain: &Chain, kernels: Range<usize>, inputs: &[&[f32]], results: &mut [Vec<f32>], room: &mut Room) {
        let Room { arena, common, own, .. } = room;
        let mut hands = Hands { team: &self.team, arch: self.arch, common, own };
        chain.run(&loops(&self.kernels[kernels]), inputs, arena, results, &mut hands);
    }

    fn kernel(&self, number: usize, inputs: &[&[f32]], results: &mut [Vec<f32>], room: &mut Room) {
        if self.poison {
            self.forget(number, room);
        }
        let Room { arena, common, own, scalars } = room;
        let mut hands = Hands { team: &self.team, arch: self.arch, common, own };
        match &self.kernels[number] {
            Ready::Loop(body) => tile::run(body, inputs, arena, results, scalars, &mut hands),
            Ready::Alone(alone) => alone.run(inputs, arena, &mut hands),
        }
    }

    fn leave(&self, inputs: &[&[f32]], scratch: &mut Scratch) {
        for ((_, place, _), output) in self.program.outputs.iter().zip(&mut scratch.outputs) {
            let from = match place {
                Place::Input(number) => inputs[*number],
                Place::Arena(at) => &scratch.room.arena[*at..],
                Place::Result(_) => continue,
            };
            let elements = output.len();
            output.copy_from_slice(&from[..elements]);
        }
    }

    /// Makes everything NaN that no kernel from here on may read.
    fn forget(&self, kernel: usize, room: &mut Room) {
        let mut live: Vec<_> = self.program.buffers.iter().filter(|buffer| buffer.lives(kernel)).collect();
        live.sort_unstable_by_key(|buffer| buffer.at);
        let mut from = 0;
        for buffer in live {
            room.arena[from..buffer.at].fill(f32::NAN);
            from = buffer.at + buffer.elements;
        }
        room.arena[from..].fill(f32::NAN);
        let Room { common, own, .. } = room;
        own.iter_mut().chain([common]).for_each(|memory| memory.fill(f32::NAN));
    }
}
