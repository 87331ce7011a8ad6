//! The other side: PyTorch, in a process of its own, by the interpreter that `SEGC_PEER` names.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{Measured, answer};

/// The script, which is given on standard input: the second file names what the first one defines.
const TWINS: &str = concat!(include_str!("../../benches/peers/move.py"), "\n", include_str!("../../benches/peers/twins.py"));

/// The interpreter, where a peer is wanted; a line that says why there is none.
pub fn interpreter(wanted: bool) -> Result<Option<String>, String> {
    if !wanted {
        return Ok(None);
    }
    match std::env::var("SEGC_PEER").ok().filter(|name| !name.is_empty()) {
        Some(name) => Ok(Some(name)),
        None => Err("without a peer: SEGC_PEER names no Python with `torch`, as in SEGC_PEER=venv/bin/python".into()),
    }
}

/// One measurement of a workload, through `torch.compile` in a mode or without it; on the processor, or on a card in a precision.
pub fn run(
    interpreter: &str,
    workload: &str,
    (warm, steps): (usize, usize),
    threads: usize,
    mode: Option<&str>,
    card: Option<&str>,
) -> Result<Measured, String> {
    let mut command = Command::new(interpreter);
    command.args(["-", workload, "--warm", &warm.to_string(), "--steps", &steps.to_string(), "--threads", &threads.to_string()]);
    if let Some(mode) = mode {
        command.args(["--compile", "--mode", mode]);
    }
    if let Some(precision) = card {
        command.args(["--device", "cuda", "--precision", precision]);
    }
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut process = started.map_err(|cause| format!("{interpreter} cannot be started: {cause}"))?;
    if let Some(mut input) = process.stdin.take() {
        input.write_all(TWINS.as_bytes()).map_err(|cause| format!("{interpreter} takes no script: {cause}"))?;
    }
    let output = process.wait_with_output().map_err(|cause| format!("{interpreter}: {cause}"))?;
    answer(&output.stdout).map_err(|why| format!("{why}\n{}", String::from_utf8_lossy(&output.stderr)))
}
