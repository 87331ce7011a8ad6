//! The text of a program as it grows: functions, each once, with the launches that call them and the tables that they look into.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use segc_compiler::kernel::Place;
use sha2::{Digest, Sha256};

use super::{Act, Argument, Launch, Printed};

/// Threads of a block, the most that kernels here use.
pub(super) const THREADS: usize = 256;

/// The text of a program, and where it stands.
#[derive(Default)]
pub(super) struct Text {
    functions: String,
    known: HashMap<String, ()>,
    tables: Vec<u32>,
    /// Where each table begins.
    places: HashMap<Vec<u32>, usize>,
    acts: Vec<(usize, Act)>,
    /// The most scratch that any kernel needs.
    scratch: usize,
    /// The scratch of the kernel at hand so far.
    own: usize,
    kernel: usize,
    /// Whether launches do nothing while the flag is set.
    held: bool,
}

impl Text {
    /// What follows belongs to this kernel of the program.
    pub fn begin(&mut self, kernel: usize, held: bool) {
        (self.kernel, self.held, self.own) = (kernel, held, 0);
    }

    /// Where a table lies in [`Printed::tables`]; equal ones lie there once.
    pub fn table(&mut self, words: Vec<u32>) -> Argument {
        let end = self.tables.len();
        let at = *self.places.entry(words).or_insert_with_key(|words| {
            self.tables.extend(words);
            end
        });
        Argument::Table(at)
    }

    /// Scratch of the kernel at hand, aligned for numbers of twice the size.
    pub fn scratch(&mut self, elements: usize) -> Argument {
        let at = self.own;
        self.own = (at + elements).next_multiple_of(4);
        self.scratch = self.scratch.max(self.own);
        Argument::Scratch(at)
    }

    /// The host does this kernel.
    pub fn host(&mut self) {
        self.acts.push((self.kernel, Act::Host));
    }

    /// Launches a function of blocks along x; equal functions are printed once. Its name is its kind and a hash of its text.
    pub fn launch(&mut self, kind: &str, mut function: Function, blocks: usize, threads: usize) {
        if blocks == 0 {
            return;
        }
        if self.held {
            let flag = function.reads(Argument::Flag);
            function.body = format!("    if ({flag}[0] != 0u) {{\n        return;\n    }}\n{}", function.body);
        }
        let text = function.text(threads);
        let hash = Sha256::digest(&text).iter().take(8).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let name = format!("{}{kind}_{hash}", if function.waits { "sync_" } else { "" });
        if self.known.insert(name.clone(), ()).is_none() {
            let _ = write!(self.functions, "\n// kernel {name}\n{}", text.replace('@', &name));
        }
        let launch = Launch {
            name: Arc::from(name),
            grid: [blocks as u32, 1, 1],
            block: [threads as u32, 1, 1],
            shared: 0,
            arguments: function.arguments,
        };
        self.acts.push((self.kernel, Act::Launch(launch)));
    }

    /// All of it, with what comes before the functions.
    pub fn finish(self, before: &str, guards: Vec<Launch>) -> Printed {
        let source = format!("{before}{}", self.functions);
        Printed { source, acts: self.acts, guards, tables: self.tables, scratch: self.scratch, calls: Vec::new() }
    }
}

/// A kernel in the making. In its text `@` stands for its name.
#[derive(Default)]
pub(super) struct Function {
    arguments: Vec<Argument>,
    written: Vec<bool>,
    /// Functions that only this one calls.
    before: String,
    body: String,
    waits: bool,
}

impl Function {
    /// The parameter of something that is read.
    pub fn reads(&mut self, argument: Argument) -> String {
        self.parameter(argument, false)
    }

    /// The parameter of something that is written, and perhaps read.
    pub fn writes(&mut self, argument: Argument) -> String {
        self.parameter(argument, true)
    }

    /// The parameter of a buffer that is read.
    pub fn from(&mut self, place: Place) -> String {
        self.reads(Argument::At(place))
    }

    fn parameter(&mut self, argument: Argument, written: bool) -> String {
        let number = self.arguments.iter().position(|known| *known == argument).unwrap_or_else(|| {
            self.arguments.push(argument);
            self.written.push(false);
            self.arguments.len() - 1
        });
        self.written[number] |= written;
        format!("p{number}")
    }

    /// A function that only this one calls.
    pub fn inside(&mut self, text: &str) {
        if !text.is_empty() {
            self.before.push_str(text);
            self.before.push('\n');
        }
    }

    /// A line of the body; deeper ones bring their own indentation.
    pub fn line(&mut self, line: impl AsRef<str>) {
        for line in line.as_ref().lines() {
            let _ = writeln!(self.body, "    {line}");
        }
    }

    /// Its threads wait for each other.
    pub fn waits(&mut self) {
        self.waits = true;
    }

    fn text(&self, threads: usize) -> String {
        let parameter = |(number, (argument, written)): (usize, (&Argument, &bool))| match (argument, written) {
            // Only what nothing writes may be read through a pointer that promises so.
            (Argument::At(_) | Argument::Scratch(_), true) => format!("float *p{number}"),
            (Argument::At(_) | Argument::Scratch(_), false) => format!("const float *__restrict__ p{number}"),
            (Argument::Table(_), _) => format!("const unsigned *__restrict__ p{number}"),
            (Argument::Flag, _) => format!("const unsigned *p{number}"),
        };
        let parameters: Vec<String> = self.arguments.iter().zip(&self.written).enumerate().map(parameter).collect();
        format!("{}KERNEL({threads}) @({})\n{{\n{}}}\n", self.before, parameters.join(", "), self.body)
    }
}

/// A number as it stands in the text, exact.
pub(super) fn number(value: f32) -> String {
    match value {
        _ if !value.is_finite() => format!("SEGC_FROM_BITS({:#x}u)", value.to_bits()),
        _ if value.is_sign_negative() => format!("({value:?}f)"),
        _ => format!("{value:?}f"),
    }
}

/// A template with its words in capitals behind `$` replaced.
pub(super) fn filled(template: &str, words: &[(&str, String)]) -> String {
    words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(&format!("${word}$"), value))
}

/// The line that says which element a thread makes, and that those behind the last one make none.
pub(super) fn element(name: &str, elements: usize, threads: usize) -> String {
    format!("const index_t {name} = (index_t)blockIdx.x * {threads}u + threadIdx.x;\nif ({name} >= {elements}u) {{\n    return;\n}}")
}

/// Blocks of [`THREADS`] threads, or of as many as there are elements.
pub(super) fn blocks(elements: usize) -> (usize, usize) {
    let threads = elements.next_power_of_two().clamp(32, THREADS);
    (elements.div_ceil(threads), threads)
}
