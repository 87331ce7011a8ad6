//! A printed program for people: its text, and below it what is launched in which order on what.

use std::fmt::{Display, Formatter, Result};

use segc_compiler::kernel::Place;

use super::{Act, Argument, Launch, Printed};

impl Display for Printed {
    fn fmt(&self, to: &mut Formatter) -> Result {
        writeln!(to, "{}", self.source.trim_end())?;
        writeln!(to, "\n// Launches: number of the kernel, function, blocks, threads, arguments.")?;
        for launch in &self.guards {
            writeln!(to, "// guard  {launch}")?;
        }
        for (kernel, act) in &self.acts {
            match act {
                Act::Launch(launch) => writeln!(to, "// {kernel:>5}  {launch}")?,
                Act::Host => writeln!(to, "// {kernel:>5}  by the host")?,
            }
        }
        let [tables, scratch] = [self.tables.len(), self.scratch];
        writeln!(to, "// {tables} whole numbers are looked up; {scratch} elements are shared by launches of one kernel.")
    }
}

impl Display for Launch {
    fn fmt(&self, to: &mut Formatter) -> Result {
        let sizes = |sizes: &[u32; 3]| match sizes {
            [x, 1, 1] => format!("{x}"),
            [x, y, 1] => format!("{x} x {y}"),
            [x, y, z] => format!("{x} x {y} x {z}"),
        };
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        write!(to, "{} <{}, {}> ({})", self.name, sizes(&self.grid), sizes(&self.block), arguments.join(", "))
    }
}

impl Display for Argument {
    fn fmt(&self, to: &mut Formatter) -> Result {
        match self {
            Argument::At(Place::Input(number)) => write!(to, "input {number}"),
            Argument::At(Place::Result(number)) => write!(to, "result {number}"),
            Argument::At(Place::Arena(at)) => write!(to, "arena {at}"),
            Argument::Scratch(at) => write!(to, "scratch {at}"),
            Argument::Table(at) => write!(to, "table {at}"),
            Argument::Flag => write!(to, "flag"),
        }
    }
}
