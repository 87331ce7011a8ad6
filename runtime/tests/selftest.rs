//! The self-test finds what is wrong: devices that are right pass, and one that is wrong in a single element does not.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use segc_compiler::Program;
use segc_runtime::execute::{Cpu, Device, Executable, Needs, Scratch};
use segc_runtime::outcome::RunError;
use segc_runtime::selftest::ops::{self, Manner};
use segc_runtime::selftest::{Found, golden};

/// A processor whose results are off in their last element, on programs that have an op.
struct Wrong {
    op: &'static str,
    by: f32,
}

struct Off {
    right: Box<dyn Executable>,
    by: f32,
}

impl Device for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn prepare(&self, program: Program) -> Result<Box<dyn Executable>, RunError> {
        let graph = &program.graph;
        let has = graph.ids().any(|id| format!("{:?}", graph.node(id).op).starts_with(self.op));
        Ok(Box::new(Off { right: Cpu::default().prepare(program)?, by: if has { self.by } else { 0.0 } }))
    }
}

impl Executable for Off {
    fn program(&self) -> &Program {
        self.right.program()
    }

    fn needs(&self) -> Needs {
        self.right.needs()
    }

    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String> {
        self.right.run(inputs, scratch)?;
        scratch.outputs.iter_mut().filter_map(|output| output.last_mut()).for_each(|x| *x += self.by * x.abs().max(1.0));
        Ok(())
    }
}

/// A processor that runs nothing.
struct Broken;

impl Device for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn prepare(&self, _: Program) -> Result<Box<dyn Executable>, RunError> {
        Err(RunError::Environment("there is nothing to run it on".into()))
    }
}

fn few(device: &dyn Device, only: &[&str]) -> Found {
    let only: Vec<String> = only.iter().map(ToString::to_string).collect();
    ops::check(device, &Manner { only: &only, threads: 2, fused_like_single: true, ..Manner::default() })
}

#[test]
fn a_processor_that_is_right_passes() {
    let found = few(&Cpu::default(), &["add", "sum", "conv2d", "exp"]);
    assert_eq!(found.wrong, Vec::<String>::new());
    assert!(found.cases >= 12, "{}", found.cases);
    let worst = found.worst.unwrap();
    assert!(worst.error > 0.0 && worst.error <= worst.allowed, "{worst:?}");
}

#[test]
fn one_wrong_element_is_found_and_named() {
    let found = few(&Wrong { op: "Exp", by: 1e-4 }, &["exp", "sum"]);
    let wrong = found.wrong.first().unwrap();
    assert!(wrong.starts_with("exp (Exp") && wrong.contains("fused: element ") && wrong.contains(" instead of "), "{wrong}");
    assert!(wrong.contains(" of [") && wrong.contains("allowed"), "{wrong}");
    assert_eq!(found.worst.unwrap().of, "exp");
    // What is exact may not be off by the last bit.
    assert!(!few(&Wrong { op: "Add", by: 1e-7 }, &["add"]).wrong.is_empty());
    assert!(few(&Wrong { op: "Exp", by: 1e-7 }, &["exp"]).wrong.is_empty());
}

#[test]
fn what_cannot_be_run_is_wrong() {
    let found = few(&Broken, &["add"]);
    assert!(found.wrong.len() == found.cases && found.wrong[0].contains("cannot be run: there is nothing"), "{:?}", found.wrong);
}

#[test]
fn golden_cases_find_a_wrong_element() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens");
    let wrong = golden::check(&folder, &Wrong { op: "Conv2d", by: 0.1 }, 2, false).unwrap();
    assert_eq!(wrong.cases, 715);
    assert!(wrong.wrong.iter().any(|line| line.starts_with("conv2d-") && line.contains("out/y: element ")), "{:?}", wrong.wrong.first());
    let why = golden::check(&folder.join("nowhere"), &Cpu::default(), 1, false).unwrap_err();
    assert!(why.contains("elementwise.json"), "{why}");
}
