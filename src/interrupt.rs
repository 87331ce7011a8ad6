//! Ctrl-C and friends: the first asks the run to save and stop, the second ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::console;

/// Whether a signal has come.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on. A second call gives what the first one gave.
    pub fn listen() -> Result<Interrupt, String> {
        static FIRST: OnceLock<Interrupt> = OnceLock::new();
        if let Some(first) = FIRST.get() {
            return Ok(first.clone());
        }
        let interrupt = Interrupt::default();
        let flag = interrupt.clone();
        let handle = move || {
            if flag.0.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            console::err("\nstopping after the step or the images at hand; once more to stop at once");
        };
        ctrlc::set_handler(handle).map_err(|cause| format!("cannot listen for signals: {cause}"))?;
        Ok(FIRST.get_or_init(|| interrupt).clone())
    }

    /// Whether to stop.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
