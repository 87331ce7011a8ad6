//! What goes wrong with a card, in words that say what to do.

use crate::outcome::RunError;

/// Why a card did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// A library, a symbol of it or a card is not there, or too old. Says what was looked for.
    #[error("no NVIDIA card can be used: {0}; `segc doctor` says what is there, `--on auto` takes the processor where there is no card")]
    Missing(String),
    /// The driver said no.
    #[error("the driver of the NVIDIA card failed to {doing}: {name} ({code}), {text}{}", hint(*.code))]
    Driver {
        /// What was to be done.
        doing: &'static str,
        /// The number of the error.
        code: u32,
        /// Its name, such as `CUDA_ERROR_INVALID_VALUE`.
        name: String,
        /// What the driver says of it.
        text: String,
    },
    /// Memory of the card is at an end.
    #[error(
        "the NVIDIA card has no {} MB left (free are {} of {} MB); a smaller batch or size needs less, and other programs may hold some",
        mega(*.bytes), mega(*.free), mega(*.total)
    )]
    OutOfMemory {
        /// What was asked for, bytes.
        bytes: usize,
        /// What is free, bytes.
        free: usize,
        /// What the card has, bytes.
        total: usize,
    },
    /// The text of kernels was refused; the compiler's own words.
    #[error("the kernels could not be compiled for the NVIDIA card, which is a fault of segc: {0}")]
    Compile(String),
    /// A library of NVIDIA does not do what it had planned.
    #[error("{library} failed to {doing} on the NVIDIA card: status {code}; `--no-libs` does without such libraries")]
    Library {
        /// Its name.
        library: &'static str,
        /// What was to be done.
        doing: &'static str,
        /// The number of the error, as the library counts.
        code: u32,
    },
    /// Something that cannot be done now, or with these buffers.
    #[error("{0}")]
    Misuse(String),
}

impl CardError {
    /// The error without what to do.
    pub fn reason(&self) -> String {
        match self {
            CardError::Missing(what) => what.clone(),
            other => other.to_string(),
        }
    }
}

impl From<CardError> for RunError {
    fn from(error: CardError) -> RunError {
        RunError::Environment(error.to_string())
    }
}

impl From<CardError> for String {
    fn from(error: CardError) -> String {
        error.to_string()
    }
}

fn mega(bytes: usize) -> usize {
    bytes.div_ceil(1_000_000)
}

/// What helps against some errors of the driver.
fn hint(code: u32) -> &'static str {
    match code {
        100 => "; is a card switched on for this process (CUDA_VISIBLE_DEVICES)?",
        101 | 999 | 46 | 802 | 803 => "; `nvidia-smi` says whether the driver works",
        209 | 218 | 222 => "; an older NVRTC or a newer driver helps",
        700 | 716 | 719 => "; this is a fault of segc; please report it with the spec",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_number_name_and_what_to_do() {
        let error = CardError::Driver { doing: "load kernels", code: 209, name: "NO_BINARY".into(), text: "none".into() };
        assert_eq!(
            error.to_string(),
            "the driver of the NVIDIA card failed to load kernels: NO_BINARY (209), none; an older NVRTC or a newer driver helps"
        );
        let error = CardError::OutOfMemory { bytes: 5_000_001, free: 4_000_000, total: 8_000_000 };
        assert!(error.to_string().contains("no 6 MB left (free are 4 of 8 MB)"), "{error}");
        assert!(matches!(RunError::from(CardError::Missing("x".into())), RunError::Environment(text) if text.contains("segc doctor")));
    }
}
