//! What of NVIDIA this machine has, for `segc doctor`. Nothing here fails: what is missing is said.

use std::path::PathBuf;

use serde::Serialize;

use super::card::{self, About, Card};
use super::cubin;
use super::fault::CardError;
use super::library;

/// Cards and libraries of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// The driver, by the version of CUDA that it speaks.
    pub driver: Library,
    /// Compiles kernels.
    pub nvrtc: Library,
    /// Products of matrices.
    pub cublaslt: Library,
    /// Convolutions.
    pub cudnn: Library,
    /// The cards, each with why it cannot be used.
    pub cards: Vec<(About, Option<String>)>,
    /// Where machine code of kernels is kept.
    pub cache: Option<PathBuf>,
}

/// A library of NVIDIA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Library {
    /// Its version, if it is there.
    pub version: Option<String>,
    /// Where it was found.
    pub path: Option<PathBuf>,
    /// Why it cannot be used.
    pub missing: Option<String>,
}

impl Inventory {
    /// Whether programs can run on a card.
    pub fn usable(&self) -> bool {
        self.driver.version.is_some() && self.nvrtc.version.is_some() && self.cards.iter().any(|(_, why)| why.is_none())
    }
}

/// Looks at what there is. Every library that is found is loaded, and every card used for a moment.
pub fn inventory() -> Inventory {
    let [cublaslt, cudnn] = libraries();
    let driver = Library::new(library::driver().map(library::shown), "libcuda.so");
    let cards = if driver.version.is_some() { cards() } else { Vec::new() };
    Inventory {
        driver,
        nvrtc: Library::new(library::compiler().map(|(major, minor)| format!("{major}.{minor}")), "libnvrtc.so"),
        cublaslt,
        cudnn,
        cards,
        cache: cubin::folder(),
    }
}

/// What multiplies matrices and what convolves: cuBLASLt and cuDNN. Where they are found they are loaded.
pub fn libraries() -> [Library; 2] {
    let dotted = |parts: [usize; 3]| format!("{}.{}.{}", parts[0], parts[1], parts[2]);
    [Library::new(library::cublaslt().map(dotted), "libcublasLt.so"), Library::new(library::cudnn().map(dotted), "libcudnn.so")]
}

impl Library {
    fn new(version: Result<String, CardError>, file: &str) -> Library {
        match version {
            Ok(version) => Library { version: Some(version), path: library::path(file), missing: None },
            Err(error) => Library { version: None, path: None, missing: Some(error.reason()) },
        }
    }
}

fn cards() -> Vec<(About, Option<String>)> {
    let count = card::count().unwrap_or(0);
    let one = |number: usize| {
        let about = card::about(number).ok()?.1;
        Some(match Card::open(number).and_then(|card| card.stream()?.free()) {
            Ok(free) => (About { free: Some(free), ..about }, None),
            Err(error) => (about, Some(error.reason())),
        })
    };
    (0..count).filter_map(one).collect()
}
