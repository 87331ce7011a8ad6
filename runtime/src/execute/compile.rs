//! Terms of a spec to programs that are ready to run; equal programs are compiled once.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use segc_compiler::plan::finish;
use segc_compiler::{Graph, Leaf, Program, Request};
use segc_lang::fault::Fault;
use segc_lang::spec::{Spec, TermId};
use sha2::{Digest, Sha256};

use super::cuda::Resident;
use super::profile::{Profiled, Profiler};
use super::{Device, Executable, Finding, Needs, Scratch};
use crate::outcome::RunError;

/// Compiles for one device and remembers what it compiled.
pub struct Compiler {
    device: Box<dyn Device>,
    fused: bool,
    /// Whether programs can be searched for NaN op by op ([`Executable::check`]).
    searched: bool,
    profiler: Option<Arc<Profiler>>,
    known: HashMap<Vec<u8>, Arc<dyn Executable>>,
    spent: Duration,
}

impl Compiler {
    /// A compiler that knows nothing yet.
    pub fn new(device: Box<dyn Device>, fused: bool, searched: bool) -> Compiler {
        Compiler { device, fused, searched, profiler: None, known: HashMap::new(), spent: Duration::ZERO }
    }

    /// The same with programs that are measured whenever they run.
    pub fn profiled(self, profiler: Option<Arc<Profiler>>) -> Compiler {
        Compiler { profiler, ..self }
    }

    /// A home on the device for the tensors of a training, where it has memory of its own. Errors: none is left.
    pub fn resident(&self, recorded: bool) -> Result<Option<Resident>, RunError> {
        self.device.resident(recorded)
    }

    /// How long it has compiled so far.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// A program of named terms. Errors: what no executor runs, with its place.
    pub fn compile(&mut self, spec: &Spec, roots: &[(String, TermId)], request: &Request) -> Result<Arc<dyn Executable>, RunError> {
        self.compiled(spec, roots, request, false)
    }

    /// A program of first values. Errors: what no executor runs, with its place.
    pub fn compile_first(&mut self, spec: &Spec, roots: &[(String, TermId)]) -> Result<Arc<dyn Executable>, RunError> {
        match self.device.beginner() {
            None => self.compile(spec, roots, &Request::default()),
            Some(beginner) => {
                Ok(beginner.prepare(segc_compiler::compile(spec, roots, &Request::default(), self.fused).map_err(refused)?)?.into())
            }
        }
    }

    /// A program whose results replace tensors of training; they are written over them where the device can ([`Program::over`]), unless
    /// programs are searched. Errors: what no executor runs, with its place.
    pub fn compile_over(&mut self, spec: &Spec, roots: &[(String, TermId)], request: &Request) -> Result<Arc<dyn Executable>, RunError> {
        let over = self.device.writes_over() && !self.searched;
        self.compiled(spec, roots, request, over)
    }

    fn compiled(
        &mut self,
        spec: &Spec,
        roots: &[(String, TermId)],
        request: &Request,
        over: bool,
    ) -> Result<Arc<dyn Executable>, RunError> {
        let start = Instant::now();
        let forward = segc_compiler::build(spec, roots, request).map_err(refused)?;
        let key = key(&forward, over);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let replaces = if over { replaced(spec, &forward) } else { Vec::new() };
        let ready: Arc<dyn Executable> = if self.searched {
            let fused = self.device.prepare(finish(forward.clone(), self.fused, &[]))?;
            Arc::new(Searched { fused, single: self.device.prepare(finish(forward, false, &[]))? })
        } else {
            let inner = self.device.prepare(finish(forward, self.fused, &replaces))?;
            match &self.profiler {
                None => inner.into(),
                Some(profiler) => {
                    let (name, span) =
                        roots.first().map_or(("nothing", None), |(name, id)| (name.as_str(), Some(spec.terms.get(*id).span)));
                    Arc::new(Profiled::new(inner, profiler, name, span))
                }
            }
        };
        self.known.insert(key, ready.clone());
        self.spent += start.elapsed();
        Ok(ready)
    }

    /// The program of the same terms that computes op by op, to find where numbers go wrong. It is not remembered.
    pub fn single(&self, spec: &Spec, roots: &[(String, TermId)], request: &Request) -> Result<Box<dyn Executable>, RunError> {
        let program = segc_compiler::compile(spec, roots, request, false).map_err(refused)?;
        self.device.prepare(program)
    }
}

fn refused(fault: Fault) -> RunError {
    RunError::Spec(Box::new(fault))
}

/// For each result the input whose tensor it replaces: `weight.PATH`, `average.PATH` and `next.PATH` stand for tensors that are read too.
pub fn replaced(spec: &Spec, graph: &Graph) -> Vec<Option<usize>> {
    let name = |leaf: &Leaf| match leaf {
        Leaf::Weight(number) => Some(format!("weight.{}", spec.weights[*number].path)),
        Leaf::Averaged(number) => Some(format!("average.{}", spec.weights[*number].path)),
        Leaf::Buffer(number) => Some(format!("next.{}", spec.buffers[*number].path)),
        _ => None,
    };
    let read: HashMap<String, usize> = graph.leaves.iter().enumerate().filter_map(|(at, leaf)| Some((name(leaf)?, at))).collect();
    graph.outputs.iter().map(|(name, _)| read.get(name).copied()).collect()
}

/// What tells graphs apart: all but the places in the source.
fn key(graph: &Graph, over: bool) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(graph_hash(graph));
    hash.update(format!("{:?} {over}", graph.leaves));
    hash.finalize().to_vec()
}

/// What a graph computes, whatever its leaves stand for.
pub(crate) fn graph_hash(graph: &Graph) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut text = String::new();
    for id in graph.ids() {
        text.clear();
        // Writing into a text does not fail.
        let _ = write!(text, "{:?} {:?};", graph.node(id).op, graph.operands(id));
        hash.update(&text);
    }
    hash.update(format!("{:?}", graph.outputs));
    hash.finalize().to_vec()
}

/// A program that can be searched: it runs fused, and is checked op by op, since a fused kernel keeps most of its values to itself. Both
/// give the same bits.
struct Searched {
    fused: Box<dyn Executable>,
    single: Box<dyn Executable>,
}

impl Executable for Searched {
    fn program(&self) -> &Program {
        self.fused.program()
    }

    fn needs(&self) -> Needs {
        self.fused.needs()
    }

    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String> {
        self.fused.run(inputs, scratch)
    }

    fn check(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<Option<Finding>, String> {
        let mut own = self.single.scratch();
        let finding = self.single.check(inputs, &mut own)?;
        scratch.outputs = own.outputs;
        Ok(finding)
    }
}
