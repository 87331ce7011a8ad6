//! Memory of a card.

use std::sync::Arc;

use cudarc::driver::sys;

use super::card::{Inner, lock};
use super::fault::CardError;

/// Memory of a card, in elements of 4 bytes. Clones are the same memory, which is given back when the last of them, of the views and of
/// the graphs that use it is gone.
#[derive(Clone)]
pub struct Buffer(Arc<Memory>);

/// A part of a buffer.
#[derive(Clone)]
pub struct View {
    memory: Arc<Memory>,
    at: usize,
    elements: usize,
}

/// What buffers share.
pub(super) struct Memory {
    card: Arc<Inner>,
    address: sys::CUdeviceptr,
    elements: usize,
}

impl Memory {
    pub fn new(card: Arc<Inner>, address: sys::CUdeviceptr, elements: usize) -> Memory {
        Memory { card, address, elements }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Freeing waits for the card and is forbidden while a graph is recorded, so it happens later.
        lock(&self.card.waste).push(self.address);
    }
}

impl Buffer {
    pub(super) fn new(memory: Memory) -> Buffer {
        Buffer(Arc::new(memory))
    }

    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.0.elements
    }

    /// All of it.
    pub fn view(&self) -> View {
        View { memory: self.0.clone(), at: 0, elements: self.0.elements }
    }

    /// So many elements from one on.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where it has not as many.
    pub fn part(&self, at: usize, elements: usize) -> Result<View, CardError> {
        self.view().part(at, elements)
    }
}

impl View {
    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// So many elements from one on.
    ///
    /// # Errors
    /// [`CardError::Misuse`] where it has not as many.
    pub fn part(&self, at: usize, elements: usize) -> Result<View, CardError> {
        if at.checked_add(elements).is_none_or(|end| end > self.elements) {
            let has = self.elements;
            return Err(CardError::Misuse(format!("{elements} elements from {at} on were asked of a buffer of {has} on the card")));
        }
        Ok(View { memory: self.memory.clone(), at: self.at + at, elements })
    }

    /// Whether both lie in the memory of one card.
    pub(super) fn lies_on(&self, card: &Arc<Inner>) -> bool {
        Arc::ptr_eq(&self.memory.card, card)
    }

    /// Where it begins on the card.
    pub(super) fn address(&self) -> sys::CUdeviceptr {
        self.memory.address + 4 * self.at as u64
    }

    /// What keeps it alive.
    pub(super) fn owner(&self) -> &Arc<Memory> {
        &self.memory
    }
}
