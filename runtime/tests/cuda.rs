//! The room of the driver against a stand-in for a card (`tests/card/stand_in`). Libraries are loaded once per process and looked for in
//! `LD_LIBRARY_PATH`, so each case here is an ignored test that a process of its own runs beside the stand-in.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use segc_compiler::build::Leaf;
use segc_compiler::kernel::Place;
use segc_compiler::ops::{Input, Sqrt, TABLE};
use segc_compiler::plan::{finish, plan};
use segc_compiler::{Graph, Program, fuse};
use segc_runtime::execute::cuda::driver::{Bound, Buffer, Card, CardError, Module, Ready, Room};
use segc_runtime::execute::cuda::print::{Act, Argument, Launch, Precision, Printed};
use segc_runtime::execute::{Cpu, Cuda, Device};
use segc_runtime::selftest::sample::operands;

#[path = "card/stand_in/mod.rs"]
mod stand_in;

/// Runs a case beside the stand-in, whose settings are given; what it said.
#[track_caller]
fn beside(case: &str, home: &Path, libraries: &Path, settings: &[(&str, &str)]) {
    let mut command = stand_in::beside(std::env::current_exe().unwrap(), libraries, home);
    command.args([case, "--exact", "--ignored", "--nocapture"]).envs(settings.iter().copied());
    let done = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && said.contains("1 passed"), "{case}: {said}");
    said.lines().filter(|line| line.contains("skipped")).for_each(|line| println!("{line}"));
}

/// The same with a cache that nobody used before; the lines of the stand-in's log.
#[track_caller]
fn alone(case: &str, settings: &[(&str, &str)]) -> Vec<String> {
    let Some(libraries) = stand_in::libraries() else { return Vec::new() };
    let home = tempfile::tempdir().unwrap();
    beside(case, home.path(), libraries, settings);
    stand_in::log(home.path())
}

const HEAD: &str = "#ifdef __CUDACC__\n#define KERNEL(threads) extern \"C\" __global__ void __launch_bounds__(threads)\n#else\n\
    #define KERNEL(threads) void\n#endif\n";

const ADD: &str = "KERNEL(32) add(const float *a, const float *b, float *to)\n{\n    \
    const unsigned i = 32u * blockIdx.x + threadIdx.x;\n    if (i < 1000u) {\n        to[i] = a[i] + b[i];\n    }\n}\n";

/// Elements of each value of the program of these tests.
const SIZE: usize = 1000;

/// `a + b`, planned by the compiler and printed by hand.
fn sum() -> (Program, Printed) {
    let mut graph = Graph::default();
    let mut input = |number| {
        graph.leaves.push(Leaf::Field(number, String::new()));
        graph.add(Arc::new(Input { number, shape: vec![SIZE] }), &[])
    };
    let (a, b) = (input(0), input(1));
    let y = graph.plus(a, b);
    graph.outputs = vec![("y".into(), y)];
    let program = plan(&fuse(&graph, true));
    let launch = Launch {
        name: "add".into(),
        grid: [32, 1, 1],
        block: [32, 1, 1],
        shared: 0,
        arguments: vec![Argument::At(Place::Input(0)), Argument::At(Place::Input(1)), Argument::At(program.outputs[0].1)],
    };
    let printed = Printed {
        source: format!("{HEAD}{ADD}"),
        acts: vec![(0, Act::Launch(launch))],
        guards: Vec::new(),
        tables: Vec::new(),
        scratch: 0,
        calls: Vec::new(),
    };
    (program, printed)
}

/// The program on a card with its memory.
struct Sum {
    card: Card,
    ready: Ready,
    inputs: [Buffer; 2],
    bound: Bound,
}

fn on_card() -> Sum {
    let card = Card::open(0).unwrap();
    let (program, printed) = sum();
    let ready = Ready::new(&card, &program, &printed).unwrap();
    let room = Room::new(&card, ready.needs()).unwrap();
    let inputs = [card.buffer(SIZE).unwrap(), card.buffer(SIZE).unwrap()];
    let bound = ready.bind(&room, inputs.iter().map(Buffer::view).collect(), vec![None]).unwrap();
    Sum { card, ready, inputs, bound }
}

fn numbers(from: f32) -> Vec<f32> {
    (0..SIZE).map(|i| from + i as f32).collect()
}

impl Sum {
    /// Brings inputs up and asks for the sum by `how`.
    fn of(&self, a: f32, b: f32, how: impl FnOnce(&mut segc_runtime::execute::cuda::driver::Stream)) -> Vec<f32> {
        let mut stream = self.card.stream().unwrap();
        stream.upload(&numbers(a), &self.inputs[0].view()).unwrap();
        stream.upload(&numbers(b), &self.inputs[1].view()).unwrap();
        how(&mut stream);
        let mut result = vec![0.0; SIZE];
        stream.download(&self.ready.output(&self.bound, 0).unwrap(), &mut result).unwrap();
        result
    }

    fn works(&self) {
        let expected: Vec<f32> = (0..SIZE).map(|i| 30.0 + 2.0 * i as f32).collect();
        assert_eq!(self.of(10.0, 20.0, |stream| self.ready.launch_all(stream, &self.bound).unwrap()), expected);
    }
}

#[test]
fn a_replayed_graph_does_what_was_recorded() {
    let log = alone("child_replay", &[]);
    let count = |line: &str| log.iter().filter(|own| *own == line).count();
    // Twice at once, once recorded, three times as a graph.
    assert!(log.is_empty() || (count("launch add"), count("record add"), count("graph launched")) == (2, 1, 3), "{log:?}");
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_replay() {
    let sum = on_card();
    sum.works();
    let graph = sum.card.capture(|stream| sum.ready.launch_all(stream, &sum.bound)).unwrap();
    for (a, b) in [(1.0, 2.0), (-5.0, 0.5)] {
        let expected: Vec<f32> = (0..SIZE).map(|i| a + b + 2.0 * i as f32).collect();
        assert_eq!(sum.of(a, b, |stream| stream.replay(&graph).unwrap()), expected);
    }
    sum.works();
    // What a graph uses lives as long as it does.
    let result = sum.ready.output(&sum.bound, 0).unwrap();
    let Sum { card, ready, inputs, bound } = sum;
    drop((ready, inputs, bound));
    let fresh = card.buffer(SIZE).unwrap();
    graph.launch().unwrap();
    let mut found = vec![0.0; SIZE];
    card.stream().unwrap().download(&result, &mut found).unwrap();
    assert_eq!(found[..2], [30.0, 32.0]);
    card.stream().unwrap().download(&fresh.view(), &mut found).unwrap();
    assert_eq!(found, vec![0.0; SIZE]);
}

#[test]
fn misuse_while_a_graph_is_recorded_leaves_the_card_usable() {
    alone("child_misuse", &[]);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_misuse() {
    let sum = on_card();
    let view = sum.inputs[0].view();
    let refused = |what: &str, body: &dyn Fn(&mut segc_runtime::execute::cuda::driver::Stream) -> Result<(), CardError>| {
        let error = sum.card.capture(|stream| body(stream)).err().unwrap_or_else(|| panic!("{what} was recorded"));
        assert!(matches!(&error, CardError::Misuse(text) if text.contains("while a graph is recorded")), "{what}: {error}");
        sum.works();
    };
    refused("reserving", &|stream| stream.buffer(5).map(|_| ()));
    refused("copying up", &|stream| stream.upload(&numbers(0.0), &view));
    refused("copying down", &|stream| stream.download(&view, &mut vec![0.0; SIZE]));
    refused("waiting", &|stream| stream.synchronize());
    refused("recording", &|stream| stream.capture(|_| Ok(())).map(|_| ()));
    // The driver's own refusal ends the recording, too.
    let (program, mut printed) = self::sum();
    let Act::Launch(launch) = &mut printed.acts[0].1 else { panic!("a launch") };
    launch.grid = [0, 1, 1];
    let wrong = Ready::new(&sum.card, &program, &printed).unwrap();
    let room = Room::new(&sum.card, wrong.needs()).unwrap();
    let bound = wrong.bind(&room, sum.inputs.iter().map(Buffer::view).collect(), vec![None]).unwrap();
    let error = sum.card.capture(|stream| wrong.launch_all(stream, &bound)).err().unwrap();
    assert!(error.to_string().contains("CUDA_ERROR_INVALID_VALUE (1)"), "{error}");
    // Even if who records passes over it.
    let error = sum.card.capture(|stream| wrong.launch_all(stream, &bound).or(Ok(()))).err().unwrap();
    assert!(error.to_string().contains("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED (901)"), "{error}");
    sum.works();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sum.card.capture(|_| panic!("on purpose"))));
    assert!(panicked.is_err());
    sum.works();
    // A buffer that goes while a graph is recorded is freed later.
    let graph = sum.card.capture(|stream| {
        drop(room.clone());
        sum.ready.launch_all(stream, &sum.bound)
    });
    assert!(graph.is_ok());
}

#[test]
fn what_is_bound_must_fit() {
    alone("child_bound", &[]);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_bound() {
    let sum = on_card();
    let room = Room::new(&sum.card, sum.ready.needs()).unwrap();
    let views = |count: usize, size: usize| (0..count).map(|_| sum.card.buffer(size).unwrap().view()).collect::<Vec<_>>();
    assert!(matches!(sum.ready.bind(&room, views(1, SIZE), vec![None]), Err(CardError::Misuse(_))));
    assert!(matches!(sum.ready.bind(&room, views(2, SIZE - 1), vec![None]), Err(CardError::Misuse(_))));
    let small = Room::new(&sum.card, Default::default()).unwrap();
    assert!(matches!(sum.ready.bind(&small, views(2, SIZE), vec![None]), Err(CardError::Misuse(_))));
    let other = on_card();
    let mut stream = sum.card.stream().unwrap();
    assert!(matches!(sum.ready.launch_all(&mut stream, &other.bound), Err(CardError::Misuse(_))));
    assert!(matches!(stream.upload(&[1.0], &other.inputs[0].part(0, 1).unwrap()), Err(CardError::Misuse(_))));
    assert!(matches!(stream.copy(&sum.inputs[0].view(), &sum.inputs[1].part(0, 3).unwrap()), Err(CardError::Misuse(_))));
    assert!(sum.inputs[0].part(SIZE - 1, 2).is_err() && sum.inputs[0].part(usize::MAX, 2).is_err());
}

#[test]
fn copies_keep_their_order_with_and_without_locked_memory() {
    alone("child_copies", &[]);
    alone("child_copies", &[("SEGC_MOCK_PINNED", "no")]);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_copies() {
    let card = Card::open(0).unwrap();
    // More than all blocks of locked memory together, and what was copied changes at once.
    let size = (5 << 20) + 3;
    let (first, second) = (card.buffer(size).unwrap(), card.buffer(size).unwrap());
    let mut numbers: Vec<f32> = (0..size).map(|i| i as f32).collect();
    let mut stream = card.stream().unwrap();
    stream.upload(&numbers, &first.view()).unwrap();
    numbers.iter_mut().for_each(|x| *x = -*x);
    stream.copy(&first.view(), &second.view()).unwrap();
    stream.upload(&numbers, &first.view()).unwrap();
    numbers.fill(0.0);
    let mut found = vec![0.0; size];
    stream.download(&second.view(), &mut found).unwrap();
    assert!(found.iter().enumerate().all(|(i, x)| *x == i as f32));
    stream.download(&first.view(), &mut found).unwrap();
    assert!(found.iter().enumerate().all(|(i, x)| *x == -(i as f32)));
    stream.zero(&first.part(1, 2).unwrap()).unwrap();
    stream.download(&first.view(), &mut found).unwrap();
    assert_eq!(found[..5], [0.0, 0.0, 0.0, -3.0, -4.0]);
}

#[test]
fn memory_at_its_end_is_said_and_freed_memory_serves_again() {
    alone("child_memory", &[("SEGC_MOCK_MEMORY", "8000000")]);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_memory() {
    let card = Card::open(0).unwrap();
    let error = card.buffer(3_000_000).err().unwrap();
    assert_eq!(error, CardError::OutOfMemory { bytes: 12_000_000, free: 8_000_000, total: 8_000_000 });
    for _ in 0..10 {
        card.buffer(1_500_000).unwrap();
    }
    assert_eq!(card.stream().unwrap().free(), Ok(2_000_000));
}

#[test]
fn a_text_that_is_none_is_a_fault_with_the_compilers_words() {
    alone("child_text", &[]);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_text() {
    let card = Card::open(0).unwrap();
    let error = Module::new(&card, &format!("{HEAD}KERNEL(32) wrong(float *to)\n{{\n    to[0] = nothing;\n}}\n")).err().unwrap();
    let CardError::Compile(text) = &error else { panic!("{error}") };
    assert!(text.contains("NVRTC_ERROR_COMPILATION") && text.contains("program.cu:8") && text.contains("nothing"), "{text}");
    let module = Module::new(&card, &format!("{HEAD}{ADD}")).unwrap();
    let error = module.function("subtract", 0).err().unwrap();
    assert!(error.to_string().contains("CUDA_ERROR_NOT_FOUND (500)"), "{error}");
}

#[test]
fn kernels_are_compiled_once() {
    let Some(libraries) = stand_in::libraries() else { return };
    let home = tempfile::tempdir().unwrap();
    let compiled = || stand_in::log(home.path()).iter().filter(|line| line.starts_with("compile ")).count();
    beside("child_text_twice", home.path(), libraries, &[]);
    assert_eq!(compiled(), 1);
    beside("child_text_twice", home.path(), libraries, &[]);
    assert_eq!(compiled(), 1, "{:?}", stand_in::log(home.path()));
    // For another card it is another program.
    beside("child_text_twice", home.path(), libraries, &[("SEGC_MOCK_CAPABILITY", "80")]);
    assert_eq!(compiled(), 2);
    for entry in walk(&home.path().join("cache")) {
        let mut bytes = std::fs::read(&entry).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&entry, bytes).unwrap();
    }
    beside("child_text_twice", home.path(), libraries, &[]);
    assert_eq!(compiled(), 3);
    // A folder that cannot be written costs nothing but time.
    let nowhere = home.path().join("log").display().to_string();
    beside("child_text_twice", home.path(), libraries, &[("XDG_CACHE_HOME", &nowhere)]);
    assert_eq!(compiled(), 5);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_text_twice() {
    let card = Card::open(0).unwrap();
    for _ in 0..2 {
        Module::new(&card, &format!("{HEAD}{ADD}")).unwrap().function("add", 0).unwrap();
    }
}

#[test]
fn drivers_that_cannot_be_used_are_named() {
    let Some(libraries) = stand_in::libraries() else { return };
    let said = |settings: &[(&str, &str)]| alone("child_missing", settings);
    said(&[("SEGC_MOCK_VERSION", "11080"), ("EXPECT", "the driver is of CUDA 11.8, and 12.0 or a newer one is needed")]);
    said(&[("SEGC_MOCK_CARDS", "0"), ("EXPECT", "CUDA_ERROR_NO_DEVICE (100)")]);
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    stand_in::build("driver.c", &folder.path().join("libcuda.so"), &["cuGraphLaunch"]);
    beside("child_missing", home.path(), folder.path(), &[("EXPECT", "the driver has no `cuGraphLaunch`")]);
    std::fs::copy(libraries.join("libcuda.so.1"), folder.path().join("libcuda.so")).unwrap();
    stand_in::build("nvrtc.c", &folder.path().join("libnvrtc.so"), &["nvrtcGetCUBIN"]);
    beside("child_missing", home.path(), folder.path(), &[("EXPECT", "NVRTC has no `nvrtcGetCUBIN`")]);
    said(&[("SEGC_MOCK_CAPABILITY", "61"), ("EXPECT", "the card's compute capability is 6.1, and this NVRTC begins with 7.5")]);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_missing() {
    let error = Card::open(0).and_then(|card| Module::new(&card, &format!("{HEAD}{ADD}"))).err().unwrap();
    assert!(matches!(error, CardError::Missing(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&std::env::var("EXPECT").unwrap()) && text.contains("segc doctor"), "{text}");
}

/// Every sample of the table of ops in one program, each on inputs of its own; some of it only the host computes.
fn table() -> (Graph, Vec<Vec<f32>>) {
    let (mut graph, mut values) = (Graph::default(), Vec::new());
    for entry in TABLE {
        for (number, sample) in (entry.samples)().iter().enumerate() {
            let mut ids = Vec::new();
            for (tensor, (shape, _)) in operands(sample).iter().zip(&sample.operands) {
                graph.leaves.push(Leaf::Field(values.len(), String::new()));
                ids.push(graph.add(Arc::new(Input { number: values.len(), shape: shape.clone() }), &[]));
                values.push(tensor.data.iter().map(|x| *x as f32).collect());
            }
            let y = graph.add(sample.op.clone(), &ids);
            graph.outputs.push((format!("{} {number}", entry.name), y));
        }
    }
    (graph, values)
}

fn results(device: &dyn Device, program: Program, values: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let ready = device.prepare(program).unwrap();
    let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let mut scratch = ready.scratch();
    ready.run(&inputs, &mut scratch).unwrap();
    scratch.outputs
}

#[track_caller]
fn close(names: &[(String, segc_compiler::NodeId)], made: &[Vec<f32>], truth: &[Vec<f32>]) {
    for ((name, _), (made, truth)) in names.iter().zip(made.iter().zip(truth)) {
        let largest = truth.iter().fold(1.0f32, |most, x| most.max(x.abs()));
        for (at, (a, b)) in made.iter().zip(truth).enumerate() {
            assert!((a - b).abs() <= 1e-5 * largest || a.to_bits() == b.to_bits(), "{name} at {at}: {a} instead of {b}");
        }
    }
}

#[test]
fn the_device_runs_every_op_from_several_threads() {
    let log = alone("child_device", &[]);
    assert!(log.iter().all(|line| !line.starts_with("outside") && !line.starts_with("illegal")), "{log:?}");
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_device() {
    let (graph, values) = table();
    let program = || plan(&fuse(&graph, true));
    let truth = results(&Cpu::default(), program(), &values);
    let ready = Cuda::default().prepare(program()).unwrap();
    let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut scratch = ready.scratch();
                ready.run(&inputs, &mut scratch).unwrap();
                close(&graph.outputs, &scratch.outputs, &truth);
            });
        }
    });
    let mut scratch = ready.scratch();
    let times = ready.timed(&inputs, &mut scratch).unwrap();
    assert_eq!(times.len(), ready.program().kernels.len());
    assert!(times.iter().any(|time| !time.is_zero()));
    close(&graph.outputs, &scratch.outputs, &truth);
}

#[test]
fn nvrtc_itself_compiles_every_op() {
    if stand_in::libraries().is_none() {
        return;
    }
    // The stand-in for the driver alone, so that NVRTC is found where it is for everybody.
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    stand_in::build("driver.c", &folder.path().join("libcuda.so"), &[]);
    let usual = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let path = format!("{}:{usual}", folder.path().display());
    beside("child_nvrtc", home.path(), folder.path(), &[("LD_LIBRARY_PATH", &path)]);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_nvrtc() {
    let (graph, _) = table();
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        // What it makes is for a card, and the stand-in cannot load it.
        match Cuda::new(precision).prepare(plan(&fuse(&graph, true))).err().unwrap().to_string() {
            text if text.contains("libnvrtc.so was not found") => return println!("skipped: there is no NVRTC"),
            text => assert!(text.contains("failed to load kernels: CUDA_ERROR_INVALID_IMAGE"), "{text}"),
        }
    }
}

#[test]
fn where_numbers_stop_being_finite_is_found_as_on_the_cpu() {
    alone("child_check", &[]);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_check() {
    let mut graph = Graph::default();
    let x = input(&mut graph, 0);
    let root = graph.add(Arc::new(Sqrt), &[x]);
    let total = graph.sum(root, &[0]);
    graph.outputs = vec![("total".into(), total)];
    let mut values = numbers(1.0);
    for wrong in [false, true] {
        values[7] = if wrong { -1.0 } else { 1.0 };
        let look = |device: &dyn Device| {
            let ready = device.prepare(plan(&fuse(&graph, false))).unwrap();
            let mut scratch = ready.scratch();
            (ready.check(&[&values], &mut scratch).unwrap(), scratch.outputs)
        };
        let ((cpu, total), (card, own)) = (look(&Cpu::default()), look(&Cuda::default()));
        assert_eq!(cpu.is_some(), wrong);
        // Means of what was read may differ in their last bits.
        let names = |finding: &Option<segc_runtime::execute::Finding>| finding.as_ref().map(|f| (f.kernel, f.ops.clone(), f.writes[0].nan));
        assert_eq!(names(&card), names(&cpu));
        assert!(wrong || (own[0][0] - total[0][0]).abs() <= 1e-5 * total[0][0]);
    }
}

fn input(graph: &mut Graph, number: usize) -> segc_compiler::NodeId {
    graph.leaves.push(Leaf::Field(number, String::new()));
    graph.add(Arc::new(Input { number, shape: vec![SIZE] }), &[])
}

/// A step of a descent: the weight is written over, and the loss and the sum of the weight are results of their own.
fn step() -> Program {
    let mut graph = Graph::default();
    let (weight, data) = (input(&mut graph, 0), input(&mut graph, 1));
    let product = graph.times(weight, data);
    let loss = graph.sum(product, &[0]);
    let part = graph.number(1e-3);
    let small = graph.times(loss, part);
    let wide = graph.expand(small, &[SIZE], &[]);
    let slope = graph.times(data, wide);
    let next = graph.minus(weight, slope);
    graph.outputs = vec![("weight".into(), next), ("loss".into(), loss)];
    let program = finish(graph, true, &[Some(0), None]);
    assert_eq!((program.over[0], program.over.get(1).copied().flatten()), (Some(0), None));
    program
}

fn data(step: usize) -> Vec<f32> {
    (0..SIZE).map(|i| ((i * 7 + step * 3) as f32 * 0.1).sin() * 0.1).collect()
}

#[test]
fn a_step_that_writes_over_its_weights_is_the_same_at_once_replayed_and_on_the_cpu() {
    alone("child_step", &[]);
}

#[test]
#[ignore = "runs beside the stand-in"]
fn child_step() {
    // On the cpu, and on the card with copies each time.
    let weight: Vec<f32> = (0..SIZE).map(|i| (i as f32 * 0.01).cos()).collect();
    let mut spoilt = data(3);
    spoilt[5] = f32::NAN;
    let batches = [data(0), data(1), spoilt, data(2)];
    let walk = |device: &dyn Device| {
        let ready = device.prepare(step()).unwrap();
        let mut scratch = ready.scratch();
        scratch.outputs[0] = weight.clone();
        let one = |batch: &Vec<f32>| {
            ready.run(&[&[], batch], &mut scratch).unwrap();
            (scratch.outputs.clone(), scratch.held)
        };
        batches.iter().map(one).collect::<Vec<_>>()
    };
    let (cpu, eager) = (walk(&Cpu::default()), walk(&Cuda::default()));
    let held = |steps: &[(Vec<Vec<f32>>, bool)]| steps.iter().map(|(_, held)| *held).collect::<Vec<_>>();
    assert_eq!((held(&cpu), held(&eager)), (vec![false, false, true, false], vec![false, false, true, false]));
    let names = step().graph.outputs.clone();
    cpu.iter().zip(&eager).filter(|((_, held), _)| !held).for_each(|((truth, _), (made, _))| close(&names, made, truth));
    assert_eq!(eager[2].0[0], eager[1].0[0], "a step that was held changed the weights");
    // As a graph, everything on the card.
    let ready = Cuda::default().ready(&step()).unwrap();
    let card = ready.card().clone();
    let room = Room::new(&card, ready.needs()).unwrap();
    let [weights, batch] = [(); 2].map(|()| card.buffer(SIZE).unwrap().view());
    let loss = matches!(step().outputs[1].1, Place::Result(_)).then(|| card.buffer(1).unwrap().view());
    let bound = ready.bind(&room, vec![weights.clone(), batch.clone()], vec![None, loss]).unwrap();
    assert!(ready.is_whole());
    let mut stream = card.stream().unwrap();
    stream.upload(&weight, &weights).unwrap();
    let graph = stream.capture(|stream| ready.launch_all(stream, &bound)).unwrap();
    for (values, (made, was_held)) in batches.iter().zip(&eager) {
        stream.upload(values, &batch).unwrap();
        stream.replay(&graph).unwrap();
        let (mut now, mut loss) = (vec![0.0; SIZE], [0.0]);
        stream.download(&weights, &mut now).unwrap();
        stream.download(&ready.output(&bound, 1).unwrap(), &mut loss).unwrap();
        assert_eq!(now, made[0]);
        assert_eq!(loss[0].to_bits(), made[1][0].to_bits());
        assert_eq!(ready.held(&mut stream).unwrap(), *was_held);
    }
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
