//! What is said to the user, where, and in which colours.

use std::io::{IsTerminal, Write};

/// How a command ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1: `check`, `fmt --check` or `selftest` found something.
    Faults,
    /// 2: wrong usage or spec.
    Usage,
    /// 3: the data is unusable.
    Data,
    /// 4: a checkpoint is unusable.
    Checkpoint,
    /// 5: numbers are not finite.
    Numeric,
    /// 6: the disk or a device fails.
    Environment,
    /// 75: a signal stopped the run, which saved what it had.
    Stopped,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Faults => 1,
            Exit::Usage => 2,
            Exit::Data => 3,
            Exit::Checkpoint => 4,
            Exit::Numeric => 5,
            Exit::Environment => 6,
            Exit::Stopped => 75,
        }
    }
}

/// Writes to standard output. A reader that has gone away (`| head`) ends the program without a word.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(i32::from(Exit::Environment.code()));
    }
}

/// Writes a line to standard error, as far as anybody listens.
pub fn err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}

/// An error in one paragraph.
pub fn error(text: &str) {
    err(&format!("{} {text}", paint("error:", "1;31", color_on_stderr())));
}

/// Whether standard output takes colours.
pub fn color_on_stdout() -> bool {
    wanted() && std::io::stdout().is_terminal()
}

/// Whether standard error takes colours.
pub fn color_on_stderr() -> bool {
    wanted() && std::io::stderr().is_terminal()
}

/// Text in a colour (an SGR number), if colours are on.
pub fn paint(text: &str, sgr: &str, color: bool) -> String {
    if color { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.into() }
}

/// The most memory that this process had so far, bytes; none where the system does not say.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// `1 image`, `2 images`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn wanted() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}
