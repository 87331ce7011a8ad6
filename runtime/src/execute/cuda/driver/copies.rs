//! Copies on the card that respect a flag.

use std::collections::HashMap;

use super::super::print::{common, copy};
use super::card::Card;
use super::fault::CardError;
use super::memory::View;
use super::module::{Function, Module};
use super::stream::{Kept, Stream};

/// Kernels that copy, unless a flag is set, so many elements.
pub struct Copies(HashMap<usize, Function>);

impl Copies {
    /// For these numbers of elements.
    ///
    /// # Errors
    /// [`CardError::Compile`], and what the driver finds.
    pub fn new(card: &Card, elements: &[usize]) -> Result<Copies, CardError> {
        if elements.iter().all(|count| *count == 0) {
            return Ok(Copies(HashMap::new()));
        }
        let module = Module::new(card, &common(elements))?;
        let function = |count: &usize| Ok((*count, module.function(&copy(*count).name, 0)?));
        Ok(Copies(elements.iter().filter(|count| **count > 0).map(function).collect::<Result<_, CardError>>()?))
    }

    /// Copies all elements, unless the flag, one element, is other than zero bit by bit.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where the sizes differ or were not asked for before; what the driver finds.
    pub fn put(&self, stream: &mut Stream, flag: &View, from: &View, to: &View) -> Result<(), CardError> {
        let elements = from.elements();
        stream.fits(1, flag)?;
        stream.fits(elements, from)?;
        stream.fits(elements, to)?;
        if elements == 0 {
            return Ok(());
        }
        let unknown = || CardError::Misuse(format!("copies of {elements} elements were not prepared on the card"));
        let function = self.0.get(&elements).ok_or_else(unknown)?;
        let views = [flag, from, to];
        stream.keep(views.map(|view| view.owner().clone() as Kept));
        let what = copy(elements);
        // SAFETY: the kernel takes these three pointers, reads the flag, and reads and writes as many elements as both views have; their
        // memory is this card's, freed only after the stream was waited for, and kept by a graph that is being recorded.
        unsafe { stream.launch(function, [what.grid, what.block], what.shared, &views.map(View::address)) }
    }
}
