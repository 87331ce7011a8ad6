//! Time to compile an update of a model, stage by stage, and to run it: `cargo bench -p segc-runtime --bench step -- NAME..`. An update
//! is the loss, the gradients of all weights of some models and a step of Adam; weights begin as the spec says.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use segc_compiler::build::{Leaf, Request, build};
use segc_compiler::kernel::{Effect, Kernel};
use segc_compiler::ops::{self, Form};
use segc_compiler::{Graph, NodeId, Program, differentiate, fuse, plan, simplify};
use segc_lang::params::Overrides;
use segc_lang::source::{LoadError, Loader};
use segc_lang::spec::Spec;
use segc_runtime::execute::{Cpu, Device};

/// What is measured: a loss and the models that it moves.
struct Case {
    name: &'static str,
    text: &'static str,
    side: usize,
    batch: usize,
    loss: &'static str,
    models: &'static [&'static str],
    /// How often it is run; not at all where only the compiler is of interest.
    runs: usize,
}

const TINY: &str = include_str!("specs/tiny.seg");
const WASSERSTEIN: &str = include_str!("specs/wasserstein.seg");
const BOTH: &[&str] = &["actor", "backdrop"];
const CRITIC: &[&str] = &["critic"];

const CASES: &[Case] = &[
    Case { name: "tiny_critic", text: TINY, side: 32, batch: 16, loss: "judging", models: CRITIC, runs: 20 },
    Case { name: "tiny_penalty", text: TINY, side: 32, batch: 16, loss: "penalised", models: CRITIC, runs: 10 },
    Case { name: "tiny_generator", text: TINY, side: 32, batch: 16, loss: "generating", models: BOTH, runs: 20 },
    Case { name: "critic_32", text: WASSERSTEIN, side: 32, batch: 4, loss: "judging", models: CRITIC, runs: 3 },
    Case { name: "generator_32", text: WASSERSTEIN, side: 32, batch: 4, loss: "generating", models: BOTH, runs: 3 },
    Case { name: "critic_128", text: WASSERSTEIN, side: 128, batch: 2, loss: "judging", models: CRITIC, runs: 0 },
    Case { name: "generator_128", text: WASSERSTEIN, side: 128, batch: 2, loss: "generating", models: BOTH, runs: 0 },
];

struct Alone;

impl Loader for Alone {
    fn load(&self, _: &str, _: &str) -> Result<(String, String), LoadError> {
        Err(LoadError::Outside)
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for case in CASES.iter().filter(|case| wanted.is_empty() || wanted.iter().any(|word| case.name.contains(word.as_str()))) {
        measure(case);
    }
}

fn measure(case: &Case) {
    let mut stages = Vec::new();
    let spec = timed("elaborate", &mut stages, || elaborated(case));
    let roots: Vec<_> = spec.wanted.iter().filter(|(name, _)| name == case.loss).cloned().collect();
    let request = Request { batch: Some(case.batch), states: true };
    let mut graph = timed("build", &mut stages, || build(&spec, &roots, &request).unwrap());
    updated(&mut graph, &spec, case.models);
    let nodes = graph.len();
    let graph = timed("differentiate", &mut stages, || differentiate(&graph));
    let grown = graph.len();
    let graph = timed("simplify", &mut stages, || simplify(&graph));
    let kernels = timed("fuse", &mut stages, || fuse(&graph, true));
    let program = timed("plan", &mut stages, || plan(&kernels));
    let ready = timed("prepare", &mut stages, || Cpu::default().prepare(program.clone()).unwrap());
    drop(ready);
    let total: Duration = stages.iter().map(|(_, time)| *time).sum();
    let parts: Vec<_> = stages.iter().map(|(name, time)| format!("{name} {:.0}", 1e3 * time.as_secs_f64())).collect();
    println!("{}: {:.0} ms to compile: {}", case.name, 1e3 * total.as_secs_f64(), parts.join(", "));
    let mb = |elements: usize| 4e-6 * elements as f64;
    println!(
        "  nodes {nodes}, derived {grown}, simple {}, kernels {}; arena {:.1} MB, most alive {:.1} MB",
        graph.len(),
        program.kernels.len(),
        mb(program.arena),
        mb(most_alive(&program)),
    );
    if case.runs > 0 {
        run(case, &spec, program);
    }
}

fn timed<T>(name: &'static str, stages: &mut Vec<(&'static str, Duration)>, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let made = work();
    stages.push((name, start.elapsed()));
    made
}

fn elaborated(case: &Case) -> Spec {
    let sets = if case.text.contains("param side") { vec![("side".into(), case.side.to_string())] } else { Vec::new() };
    let wanted = vec![case.loss.to_string()];
    let overrides = Overrides { wanted, sets, training: true, batch: Some(case.batch), ..Overrides::default() };
    let checked = segc_lang::compile("step.seg", case.text, &Alone, &overrides);
    assert!(checked.faults.is_empty(), "{:#?}", checked.faults);
    let spec = checked.spec.unwrap();
    assert!(spec.pending.is_empty(), "{:?}", spec.pending);
    spec
}

/// Replaces the loss by itself, the next weights of the models, and what Adam keeps.
fn updated(graph: &mut Graph, spec: &Spec, models: &[&str]) {
    let loss = graph.outputs[0].1;
    let inputs: Vec<_> = graph.ids().filter_map(|id| Some((id, weight(graph, id)?))).collect();
    for (w, number) in inputs {
        let path = &spec.weights[number].path;
        if models.iter().any(|model| path.starts_with(&format!("{model}."))) {
            let g = graph.add(Arc::new(ops::Grad), &[loss, w]);
            adam(graph, w, g, number, path);
        }
    }
}

fn weight(graph: &Graph, id: NodeId) -> Option<usize> {
    match graph.node(id).op.form() {
        Form::Input(number) => match graph.leaves[number] {
            Leaf::Weight(weight) => Some(weight),
            _ => None,
        },
        _ => None,
    }
}

fn adam(graph: &mut Graph, w: NodeId, g: NodeId, number: usize, path: &str) {
    let shape = graph.shape(w).to_vec();
    let [m, v, t] = [("m", shape.clone()), ("v", shape), ("t", vec![])].map(|(name, shape)| {
        graph.leaves.push(Leaf::Field(number, name.into()));
        graph.add(Arc::new(ops::Input { number: graph.leaves.len() - 1, shape }), &[])
    });
    let (squares, one) = (graph.times(g, g), graph.number(1.0));
    let t = graph.plus(t, one);
    let kept = |graph: &mut Graph, old: NodeId, new: NodeId, beta: f64| {
        let change = graph.minus(old, new);
        let change = graph.scaled(change, beta);
        let next = graph.plus(new, change);
        let power = graph.number(beta);
        let power = graph.add(Arc::new(ops::Power), &[power, t]);
        let rest = graph.minus(one, power);
        (next, graph.over(next, rest))
    };
    let ((m, m_hat), (v, v_hat)) = (kept(graph, m, g, 0.0), kept(graph, v, squares, 0.99));
    let root = graph.add(Arc::new(ops::Sqrt), &[v_hat]);
    let least = graph.number(1e-8);
    let below = graph.plus(root, least);
    let step = graph.over(m_hat, below);
    let step = graph.scaled(step, 1e-3);
    let next = graph.minus(w, step);
    graph.outputs.extend([("weight", next), ("next.m", m), ("next.v", v), ("next.t", t)].map(|(name, id)| (format!("{name}.{path}"), id)));
}

/// The most elements that are needed at a time, whatever the plan makes of them.
fn most_alive(program: &Program) -> usize {
    let mut change: HashMap<usize, isize> = HashMap::new();
    for buffer in &program.buffers {
        *change.entry(buffer.first).or_default() += buffer.elements as isize;
        *change.entry(buffer.last.saturating_add(1)).or_default() -= buffer.elements as isize;
    }
    let alive = (0..program.kernels.len()).scan(0, |alive, time| {
        *alive += change.get(&time).copied().unwrap_or(0);
        Some(*alive)
    });
    alive.max().unwrap_or(0) as usize
}

/// The dearest kernels, each the least of some runs, in microseconds.
fn dearest(program: &Program, inputs: &[&[f32]]) {
    let ready = Cpu::default().prepare(program.clone()).unwrap();
    let mut scratch = ready.scratch();
    let mut least = vec![f64::INFINITY; program.kernels.len()];
    for _ in 0..10 {
        let times = ready.timed(inputs, &mut scratch).unwrap();
        least.iter_mut().zip(times).for_each(|(least, time)| *least = least.min(1e6 * time.as_secs_f64()));
    }
    let mut sums: HashMap<String, (f64, usize)> = HashMap::new();
    for (kernel, time) in program.kernels.iter().zip(&least) {
        let sum = sums.entry(described(kernel)).or_default();
        *sum = (sum.0 + time, sum.1 + 1);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    println!("  {:.0} us in all", least.iter().sum::<f64>());
    let most = std::env::var("DEAREST").ok().and_then(|most| most.parse().ok()).unwrap_or(0);
    sums.iter().take(most).for_each(|(what, (time, count))| println!("  {time:9.0} us, {count:4} times: {what}"));
}

fn described(kernel: &Kernel) -> String {
    match kernel {
        Kernel::Whole(whole) => {
            let shapes: Vec<_> = whole.operands.iter().map(|(_, shape)| format!("{shape:?}")).collect();
            let op: String = format!("{:?}", whole.op).chars().take(90).collect();
            format!("{op} {} -> {:?}", shapes.join(" "), whole.result.1)
        }
        Kernel::Loop(body) => {
            let count = |wanted: fn(&Effect) -> bool| body.effects.iter().filter(|effect| wanted(effect)).count();
            let reduces = count(|effect| matches!(effect, Effect::Reduce { .. }));
            let over: Vec<_> =
                body.effects.iter().filter_map(|e| if let Effect::Reduce { over, .. } = e { Some(*over) } else { None }).collect();
            format!(
                "loop {:?}: {} instructions, {} effects, {reduces} reduce {:?}",
                body.space,
                body.body.len(),
                body.effects.len(),
                over.first()
            )
        }
    }
}

fn run(case: &Case, spec: &Spec, program: Program) {
    let first = starts(spec);
    let values: Vec<Vec<f32>> = program.inputs.iter().map(|(leaf, shape)| value(leaf, shape.iter().product(), &first)).collect();
    let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    dearest(&program, &inputs);
    let mut known: Option<Vec<Vec<f32>>> = None;
    for threads in [1, 2] {
        let ready = Cpu::new(threads).unwrap().prepare(program.clone()).unwrap();
        let mut scratch = ready.scratch();
        let mut times: Vec<f64> = (0..=case.runs)
            .map(|_| {
                let (start, busy) = (Instant::now(), on_processor());
                ready.run(&inputs, &mut scratch).unwrap();
                let wall = 1e3 * start.elapsed().as_secs_f64();
                if threads == 1 { on_processor() - busy } else { wall }
            })
            .skip(1)
            .collect();
        times.sort_by(f64::total_cmp);
        let (median, least) = (times[times.len() / 2], times[0]);
        println!("  {threads} threads: {median:.1} ms (least {least:.1}); loss {}", scratch.outputs[0][0]);
        assert!(scratch.outputs.iter().flatten().all(|x| x.is_finite()));
        let same = known.get_or_insert_with(|| scratch.outputs.clone());
        assert!(*same == scratch.outputs, "other bits on {threads} threads");
    }
}

/// Milliseconds that this thread has run: what else runs on the machine counts less than in the time that passes.
fn on_processor() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0) * 1e-6
}

/// The first values of all weights.
fn starts(spec: &Spec) -> Vec<Vec<f32>> {
    let roots: Vec<_> = spec.weights.iter().map(|weight| (weight.path.clone(), weight.start)).collect();
    let ready = Cpu::default().prepare(segc_compiler::compile(spec, &roots, &Request::default(), true).unwrap()).unwrap();
    let values: Vec<Vec<f32>> = ready.program().inputs.iter().map(|(_, shape)| vec![0.0; shape.iter().product()]).collect();
    let mut scratch = ready.scratch();
    ready.run(&values.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut scratch).unwrap();
    let whole = |(weight, value): (&segc_lang::spec::Weight, &Vec<f32>)| {
        let elements = weight.ty.axes.iter().map(|(_, size)| size).product();
        if value.len() == elements { value.clone() } else { vec![value[0]; elements] }
    };
    spec.weights.iter().zip(&scratch.outputs).map(whole).collect()
}

fn value(leaf: &Leaf, elements: usize, first: &[Vec<f32>]) -> Vec<f32> {
    match leaf {
        Leaf::Weight(number) => first[*number].clone(),
        Leaf::Samples => (0..elements).map(|i| if i % 2 == 0 { (i / 2) as f32 } else { 0.0 }).collect(),
        Leaf::Field(_, name) if name == "image" => (0..elements).map(|i| (i as f32 * 0.37).sin()).collect(),
        _ => vec![0.0; elements],
    }
}
