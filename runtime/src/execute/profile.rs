//! `--profile`: how long every kernel of every program takes, beside the work that it does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use segc_compiler::Program;
use segc_compiler::plan::Cost;
use segc_lang::source::Span;
use serde_json::{Value, json};

use super::{Executable, Finding, Needs, Scratch};

/// So many runs of a program keep the time of each kernel for the trace; the first one is left out, since it meets cold memory.
const TRACED: u64 = 5;

/// Collects times of programs while they run, from several threads.
#[derive(Debug)]
pub struct Profiler {
    begin: Instant,
    programs: Mutex<Vec<ProgramProfile>>,
}

/// What is known of a program.
#[derive(Clone, Debug)]
pub struct ProgramProfile {
    /// Its first result, and where that is computed.
    pub name: String,
    /// Where its first result is computed.
    pub span: Option<Span>,
    /// How often it ran, but for the first time.
    pub runs: u64,
    /// Its kernels in order.
    pub kernels: Vec<KernelProfile>,
    /// When a run began and on which thread, with the time of each kernel.
    traced: Vec<(Duration, String, Vec<Duration>)>,
}

/// What is known of a kernel.
#[derive(Clone, Debug)]
pub struct KernelProfile {
    /// Op and sizes.
    pub what: String,
    /// The expression that it computes.
    pub span: Option<Span>,
    /// What a run of it costs.
    pub cost: Cost,
    /// The time of all runs together.
    pub time: Duration,
}

impl Default for Profiler {
    fn default() -> Profiler {
        Profiler { begin: Instant::now(), programs: Mutex::default() }
    }
}

impl Profiler {
    /// What was measured so far, programs in the order in which they were made ready.
    pub fn programs(&self) -> Vec<ProgramProfile> {
        self.lock().iter().filter(|program| program.runs > 0).cloned().collect()
    }

    /// Some runs of each program as events that Perfetto and Chrome open. `place` says where an expression stands.
    pub fn trace(&self, place: &dyn Fn(Span) -> String) -> Value {
        let mut events = Vec::new();
        for program in self.lock().iter() {
            for (begin, thread, times) in &program.traced {
                let mut at = begin.as_secs_f64() * 1e6;
                let whole: Duration = times.iter().sum();
                events.push(event(&program.name, at, whole, thread, json!({})));
                for (kernel, time) in program.kernels.iter().zip(times) {
                    let line = kernel.span.map(place);
                    let args = json!({ "flop": kernel.cost.flop, "bytes": kernel.cost.bytes, "place": line });
                    events.push(event(&kernel.what, at, *time, thread, args));
                    at += time.as_secs_f64() * 1e6;
                }
            }
        }
        json!({ "traceEvents": events, "displayTimeUnit": "ms" })
    }

    /// Takes a program in; its number.
    fn add(&self, name: &str, span: Option<Span>, program: &Program) -> usize {
        let costs = program.kernel_costs();
        let kernels = program.kernels.iter().zip(costs).zip(&program.nodes).map(|((kernel, cost), nodes)| {
            let span = nodes.iter().rev().find_map(|id| program.graph.node(*id).span);
            KernelProfile { what: segc_compiler::show::short(kernel), span, cost, time: Duration::ZERO }
        });
        let profile = ProgramProfile { name: name.into(), span, runs: 0, kernels: kernels.collect(), traced: Vec::new() };
        let mut programs = self.lock();
        programs.push(profile);
        programs.len() - 1
    }

    fn note(&self, number: usize, begin: Instant, times: &[Duration], first: bool) {
        let mut programs = self.lock();
        let program = &mut programs[number];
        if first || times.len() != program.kernels.len() {
            return;
        }
        program.runs += 1;
        program.kernels.iter_mut().zip(times).for_each(|(kernel, time)| kernel.time += *time);
        if program.runs <= TRACED {
            let thread = std::thread::current().name().unwrap_or("main").to_owned();
            program.traced.push((begin - self.begin, thread, times.to_vec()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ProgramProfile>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn event(name: &str, at: f64, time: Duration, thread: &str, args: Value) -> Value {
    json!({ "name": name, "ph": "X", "ts": at, "dur": time.as_secs_f64() * 1e6, "pid": "segc", "tid": thread, "args": args })
}

/// A program that is measured whenever it runs.
pub(super) struct Profiled {
    inner: Box<dyn Executable>,
    profiler: Arc<Profiler>,
    number: usize,
    warm: std::sync::atomic::AtomicBool,
}

impl Profiled {
    pub fn new(inner: Box<dyn Executable>, profiler: &Arc<Profiler>, name: &str, span: Option<Span>) -> Profiled {
        let number = profiler.add(name, span, inner.program());
        Profiled { inner, profiler: profiler.clone(), number, warm: false.into() }
    }
}

impl Executable for Profiled {
    fn program(&self) -> &Program {
        self.inner.program()
    }

    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn run(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<(), String> {
        let begin = Instant::now();
        let times = self.inner.timed(inputs, scratch)?;
        let first = !self.warm.swap(true, std::sync::atomic::Ordering::Relaxed);
        self.profiler.note(self.number, begin, &times, first);
        Ok(())
    }

    fn check(&self, inputs: &[&[f32]], scratch: &mut Scratch) -> Result<Option<Finding>, String> {
        self.inner.check(inputs, scratch)
    }
}
