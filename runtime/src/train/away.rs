//! Steps whose tensors stay on a card: they are launched without waiting, and what came of them is read now and then.

use std::sync::Arc;

use segc_lang::spec::Spec;

use super::program::{Around, Recipe, TrainProgram, Watch};
use super::state::State;
use crate::execute::Compiler;
use crate::execute::cuda::Resident;
use crate::outcome::RunError;

/// So many steps are launched before their losses are read.
pub(super) const UNREAD: u64 = 16;

/// A training whose tensors are on a card. The state at home is older until [`Away::home`].
pub(super) struct Away {
    resident: Resident,
    /// What was launched and not read yet, in order.
    launched: Vec<Launched>,
}

/// A run of a program, with what it needs to be run again.
struct Launched {
    recipe: Arc<Recipe>,
    values: Vec<Vec<f32>>,
    at: String,
}

impl Away {
    /// Tensors go to the card when a program first reads them.
    pub fn new(resident: Resident) -> Away {
        Away { resident, launched: Vec::new() }
    }

    /// Puts a program into the step at hand. Errors: the data lacks a field; the card has no memory left.
    pub fn turn(&mut self, program: &TrainProgram, state: &State, around: &Around, at: String) -> Result<(), RunError> {
        let (recipe, values) = program.stay(state, around, &mut self.resident, &|| at.clone())?;
        self.launched.push(Launched { recipe, values, at });
        Ok(())
    }

    /// Puts copies of tensors into the step at hand: from, into. Errors: the card has no memory left.
    pub fn copy(&mut self, state: &State, pairs: &[(usize, usize)]) -> Result<(), RunError> {
        let mut copies = pairs.iter().map(|(from, into)| ((*from, state.values(*from)), (*into, state.values(*into))));
        copies.try_for_each(|(from, into)| Ok(self.resident.copy(from, into)?))
    }

    /// Launches the step at hand. Errors: the card fails.
    pub fn launch(&mut self) -> Result<(), RunError> {
        Ok(self.resident.launch()?)
    }

    /// Waits for all that was launched and notes its losses. Errors: a number that is not finite, with the place in the spec that made
    /// it; the state is then that before the program which did.
    pub fn read(&mut self, state: &mut State, compiler: &Compiler, spec: &Spec) -> Result<(), RunError> {
        self.launch()?;
        let noted = self.resident.read()?;
        for (noted, launched) in noted.into_iter().zip(std::mem::take(&mut self.launched)) {
            if !noted.finite {
                self.fetch(state)?;
                let watch = Watch { look: true, compiler, spec, at: &|| launched.at.clone() };
                return Err(launched.recipe.blame(state, &launched.values, &watch));
            }
            if let Some(loss) = noted.loss {
                state.window.add(launched.recipe.name(), f64::from(loss));
            }
        }
        Ok(())
    }

    /// Reads, and brings every tensor home that the card has changed. Errors: as for [`Away::read`].
    pub fn home(&mut self, state: &mut State, compiler: &Compiler, spec: &Spec) -> Result<(), RunError> {
        self.read(state, compiler, spec)?;
        self.fetch(state)
    }

    /// The tensors at home are others than those on the card from here on.
    pub fn forget(&mut self) {
        self.resident.forget();
    }

    fn fetch(&mut self, state: &mut State) -> Result<(), RunError> {
        for number in self.resident.changed() {
            let mut values = vec![0.0; state.values(number).len()];
            self.resident.fetch(number, &mut values)?;
            state.swap(number, &mut values);
        }
        Ok(())
    }
}
