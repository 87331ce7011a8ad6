//! How fast a program runs on the card when its inputs lie there already: launched again and again as one recorded graph.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use segc_compiler::Program;

use super::driver::Bound;
use super::{Cuda, Prepared};
use crate::execute::Scratch;
use crate::outcome::RunError;

/// Runs between two waits for the card: so many that the wait is not seen in the time of a short program.
const TOGETHER: u32 = 16;

impl Cuda {
    /// The mean time of a run on inputs that stay where they are, over so many runs as `patience` allows, at least sixteen.
    /// Results are left on the card.
    ///
    /// # Errors
    /// [`RunError::Usage`] where a part of it is computed by the host or results are written over inputs; otherwise as
    /// [`Cuda::ready`].
    pub fn pace(&self, program: Program, inputs: &[&[f32]], patience: Duration) -> Result<Duration, RunError> {
        let ready = self.ready(&program)?;
        if !ready.is_whole() || program.over.iter().any(Option::is_some) {
            return Err(RunError::Usage("this program cannot be run again and again on the card".into()));
        }
        let prepared = Prepared { program, ready, hosts: HashMap::new(), bound: std::sync::Mutex::default() };
        let bound: Bound = prepared.bind()?;
        let card = prepared.ready.card().clone();
        let mut stream = card.stream()?;
        prepared.bring(&mut stream, &bound, inputs, &Scratch::default())?;
        // The first launch of a kernel brings its code to the card.
        prepared.ready.launch_all(&mut stream, &bound)?;
        stream.synchronize()?;
        let graph = stream.capture(|stream| prepared.ready.launch_all(stream, &bound))?;
        let (begin, mut runs) = (Instant::now(), 0);
        while runs == 0 || begin.elapsed() < patience {
            (0..TOGETHER).try_for_each(|_| stream.replay(&graph))?;
            stream.synchronize()?;
            runs += TOGETHER;
        }
        Ok(begin.elapsed() / runs)
    }
}
