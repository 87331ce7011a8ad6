//! Printed programs on this machine's processor: the text is compiled as C behind a shim and run on a file of memory.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use segc_compiler::Program;
use segc_compiler::kernel::Place;
use segc_runtime::execute::cuda::print::{Act, Argument, Launch, Printed};

/// Programs that are run together, each on its own memory.
#[derive(Default)]
pub struct Card {
    /// What stands before the kernels, the longest of what the programs have.
    before: String,
    /// The kernels by name, with the numbers of their parameters.
    kernels: BTreeMap<String, (String, usize)>,
    launches: Vec<(Launch, Vec<usize>)>,
    memory: Vec<f32>,
}

/// Where a program's results will be.
pub struct Placed {
    /// Start and elements of each output.
    pub outputs: Vec<(usize, usize)>,
    /// Where the flag is.
    pub flag: usize,
}

/// Where the parts of a program's memory begin.
struct Parts {
    inputs: Vec<usize>,
    results: Vec<usize>,
    arena: usize,
    scratch: usize,
    tables: usize,
    flag: usize,
}

impl Parts {
    fn place(&self, place: Place) -> usize {
        match place {
            Place::Input(number) => self.inputs[number],
            Place::Arena(at) => self.arena + at,
            Place::Result(number) => self.results[number],
        }
    }

    fn argument(&self, argument: Argument) -> usize {
        match argument {
            Argument::At(place) => self.place(place),
            Argument::Scratch(at) => self.scratch + at,
            Argument::Table(at) => self.tables + at,
            Argument::Flag => self.flag,
        }
    }
}

/// Whether a compiler of C is here.
pub fn has_compiler() -> bool {
    Command::new("cc").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Whether the host must do a part of it.
pub fn needs_host(printed: &Printed) -> bool {
    printed.acts.iter().any(|(_, act)| *act == Act::Host)
}

impl Card {
    /// Elements of memory of which nothing is known.
    fn room(&mut self, elements: usize) -> usize {
        let at = self.memory.len();
        self.memory.resize((at + elements + 16).next_multiple_of(16), f32::NAN);
        at
    }

    /// Places these numbers in memory; where they are.
    pub fn holding(&mut self, values: &[f32]) -> usize {
        let at = self.room(values.len());
        self.memory[at..at + values.len()].copy_from_slice(values);
        at
    }

    /// Adds a program on these inputs; the guards run before what they guard.
    pub fn add(&mut self, program: &Program, printed: &Printed, inputs: &[Vec<f32>]) -> Placed {
        self.learn(printed);
        let inputs: Vec<usize> = inputs.iter().map(|values| self.holding(values)).collect();
        let own = |(number, (.., shape)): (usize, &(String, Place, Vec<usize>)), card: &mut Card| match program.over[number] {
            Some(input) => inputs[input],
            None => card.room(shape.iter().product()),
        };
        let results = program.outputs.iter().enumerate().map(|(number, output)| own((number, output), self)).collect();
        let tables: Vec<f32> = printed.tables.iter().map(|word| f32::from_bits(*word)).collect();
        let parts = Parts {
            inputs: inputs.clone(),
            results,
            arena: self.room(program.arena),
            scratch: self.room(printed.scratch),
            tables: self.holding(&tables),
            flag: self.holding(&[0.0]),
        };
        let mut guards = printed.guards.iter();
        for (kernel, act) in &printed.acts {
            if *kernel >= program.last {
                guards.by_ref().for_each(|guard| self.launch(guard, &parts));
            }
            if let Act::Launch(launch) = act {
                self.launch(launch, &parts);
            }
        }
        let outputs = program.outputs.iter().map(|(_, place, shape)| (parts.place(*place), shape.iter().product())).collect();
        Placed { outputs, flag: parts.flag }
    }

    fn launch(&mut self, launch: &Launch, parts: &Parts) {
        assert_eq!((launch.grid[1], launch.grid[2], launch.block[1], launch.block[2]), (1, 1, 1, 1));
        self.call(launch, launch.arguments.iter().map(|argument| parts.argument(*argument)).collect());
    }

    /// A launch on places of memory.
    pub fn call(&mut self, launch: &Launch, places: Vec<usize>) {
        let known = self.kernels.entry(launch.name.to_string()).or_default();
        known.1 = places.len();
        self.launches.push((launch.clone(), places));
    }

    /// Learns the kernels of a text.
    pub fn learn(&mut self, printed: &Printed) {
        let mut parts = printed.source.split("\n// kernel ");
        let before = parts.next().unwrap_or_default();
        if before.len() > self.before.len() {
            self.before = before.to_owned();
        }
        for part in parts {
            let (name, text) = part.split_once('\n').expect("a kernel has a name");
            self.kernels.entry(name.to_owned()).or_default().0 = text.to_owned();
        }
    }

    /// The whole text in C.
    fn text(&self) -> String {
        let mut text = format!("{}\n{}", include_str!("shim.h"), self.before);
        for (name, (kernel, parameters)) in &self.kernels {
            let arguments: Vec<String> = (0..*parameters).map(|at| format!("a[{at}]")).collect();
            let _ = writeln!(text, "{kernel}\nstatic void call_{name}(void **a)\n{{\n    {name}({});\n}}", arguments.join(", "));
        }
        text += "static const struct { void (*kernel)(void **); int waits; unsigned blocks, threads, first, count; } launches[] = {\n";
        let (mut first, mut most) = (0, 1);
        for (launch, places) in &self.launches {
            let waits = u8::from(launch.name.starts_with("sync_"));
            let [blocks, threads] = [launch.grid[0], launch.block[0]];
            let _ = writeln!(text, "    {{call_{}, {waits}, {blocks}, {threads}, {first}, {}}},", launch.name, places.len());
            (first, most) = (first + places.len(), most.max(places.len()));
        }
        let places: Vec<String> = self.launches.iter().flat_map(|(_, places)| places).map(|place| format!("{place}u")).collect();
        let _ = write!(text, "}};\nstatic const unsigned places[] = {{{}}};\nenum {{ MOST_ARGUMENTS = {most} }};\n", places.join(", "));
        text + include_str!("machine.c")
    }

    /// Runs all launches, in the usual order and with blocks and threads backwards; both must leave the same bits. What is in memory
    /// afterwards.
    pub fn run(&self, folder: &Path) -> Vec<f32> {
        let path = |name: &str| folder.join(name);
        fs::write(path("programs.c"), self.text()).expect("written");
        let memory: Vec<u8> = self.memory.iter().flat_map(|x| x.to_le_bytes()).collect();
        fs::write(path("memory"), memory).expect("written");
        let mut compile = Command::new("cc");
        compile.args(["-std=gnu11", "-O1", "-ffp-contract=off", "-w", "-o"]).arg(path("machine")).arg(path("programs.c")).arg("-lm");
        let said = compile.output().expect("cc runs");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr).lines().take(40).collect::<Vec<_>>().join("\n"));
        let run = |backwards: bool| {
            let mut command = Command::new(path("machine"));
            command.arg(path("memory")).arg(path("result")).args(backwards.then_some("backwards"));
            let said = command.output().expect("it runs");
            assert!(said.status.success(), "{:?} {}", said.status, String::from_utf8_lossy(&said.stderr));
            fs::read(path("result")).expect("read")
        };
        let (usual, backwards) = (run(false), run(true));
        assert!(usual == backwards, "the order of threads and blocks changes results: {:?}", self.first_difference(&usual, &backwards));
        usual.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
    }

    /// The launch that has an argument nearest before the first byte that differs.
    fn first_difference(&self, a: &[u8], b: &[u8]) -> Option<&str> {
        let at = a.iter().zip(b).position(|(a, b)| a != b)? / 4;
        let before = |places: &[usize]| places.iter().filter(|place| **place <= at).max().copied();
        let nearest = self.launches.iter().max_by_key(|(_, places)| before(places))?;
        Some(&nearest.0.name)
    }
}
