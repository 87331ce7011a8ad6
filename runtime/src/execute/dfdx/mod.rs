//! The dfdx executor, a second opinion that shares no kernel with the others: the graph with its `grad` nodes on dfdx's tensors,
//! differentiated by dfdx's tape. A draw and an algorithm of the host are no arithmetic and are taken as they are. See `run` for what
//! is differentiated by whom.

mod elementwise;
mod layout;
mod run;
mod step;
mod tape;

use std::sync::Arc;

use segc_compiler::ops::Op;
use segc_compiler::{Graph, Program};

use super::{Device, Executable, Scratch};
use crate::outcome::RunError;
use run::Ready;
pub use tape::Real;

/// Runs graphs on dfdx, in single precision, on the processor.
pub struct Dfdx;

struct Prepared {
    program: Program,
    ready: Ready,
}

impl Device for Dfdx {
    fn name(&self) -> &'static str {
        "dfdx"
    }

    fn prepare(&self, program: Program) -> Result<Box<dyn Executable>, RunError> {
        let ready = Ready::new(&program.forward)?;
        Ok(Box::new(Prepared { program, ready }))
    }
}

impl Executable for Prepared {
    fn program(&self) -> &Program {
        &self.program
    }

    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String> {
        let inputs: Vec<Vec<f32>> = inputs.iter().map(|input| input.to_vec()).collect();
        scratch.outputs = self.ready.outputs(&inputs)?;
        Ok(())
    }
}

/// The outputs of a graph with `grad` nodes, in f64 or f32, on inputs by number. Errors: an op that dfdx cannot run, with its place.
pub fn second_opinion<E: Real>(graph: &Graph, inputs: &[Vec<E>]) -> Result<Vec<Vec<E>>, RunError>
where
    dfdx::prelude::Cpu: dfdx::prelude::Device<E>,
{
    Ready::new(graph)?.outputs(inputs).map_err(RunError::Environment)
}

/// Whether dfdx can run an op of operands and a result of these sizes.
pub fn runs(op: &Arc<dyn Op>, operands: &[&[usize]], shape: &[usize]) -> bool {
    matches!(step::prepare(op, operands, shape, &dfdx::prelude::Cpu::default()), Ok(Some(_)))
}
