//! Products by cuBLASLt and convolutions by cuDNN against stand-ins for both (`tests/card/stand_in`), the kernels that do the same, and the
//! processor. Each case is an ignored test that a process of its own runs beside the stand-ins.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use segc_compiler::build::Leaf;
use segc_compiler::kernel::Slide;
use segc_compiler::ops::{Conv2d, Dot, Draws, Input, Op, Sample, TABLE};
use segc_compiler::plan::plan;
use segc_compiler::{Graph, fuse};
use segc_runtime::execute::cuda::driver::Room;
use segc_runtime::execute::cuda::print::{Libraries, Precision};
use segc_runtime::execute::{Cpu, Cuda, Device};
use segc_runtime::selftest::sample::operands;

#[path = "card/stand_in/mod.rs"]
mod stand_in;

/// Runs a case beside the libraries of a folder, with settings for them; what they wrote into their log.
#[track_caller]
fn beside(case: &str, libraries: &Path, settings: &[(&str, &str)]) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let mut command = stand_in::beside(std::env::current_exe().unwrap(), libraries, home.path());
    command.args([case, "--exact", "--ignored", "--nocapture"]).envs(settings.iter().copied());
    let done = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && said.contains("1 passed"), "{case}: {said}");
    stand_in::log(home.path())
}

fn starting<'a>(log: &'a [String], with: &str) -> Vec<&'a str> {
    log.iter().map(String::as_str).filter(|line| line.starts_with(with)).collect()
}

/// The samples of the table, in one graph.
fn table() -> (Graph, Vec<Vec<f32>>) {
    graph(TABLE.iter().flat_map(|entry| (entry.samples)().into_iter().map(|sample| (entry.name.to_owned(), sample))))
}

/// Samples in one graph, each on inputs of its own.
fn graph(samples: impl Iterator<Item = (String, Sample)>) -> (Graph, Vec<Vec<f32>>) {
    let (mut graph, mut values) = (Graph::default(), Vec::new());
    for (name, sample) in samples {
        let mut ids = Vec::new();
        for (tensor, (shape, _)) in operands(&sample).iter().zip(&sample.operands) {
            graph.leaves.push(Leaf::Field(values.len(), String::new()));
            ids.push(graph.add(Arc::new(Input { number: values.len(), shape: shape.clone() }), &[]));
            values.push(tensor.data.iter().map(|x| *x as f32).collect());
        }
        let y = graph.add(sample.op.clone(), &ids);
        graph.outputs.push((name, y));
    }
    (graph, values)
}

/// Letters of a sum of products, the shapes of both sides, and how cuBLASLt knows it.
type Product = (&'static str, &'static [usize], &'static [usize], &'static str);

/// Products of matrices in all ways to lie, and some that are none.
const PRODUCTS: [Product; 13] = [
    ("ij,jk,ik", &[33, 70], &[70, 18], "18x33x70 1"),
    ("ji,jk,ik", &[70, 33], &[70, 18], "18x33x70 1"),
    ("ij,kj,ki", &[33, 70], &[18, 70], "33x18x70 1"),
    ("ij,jk,ik", &[1, 70], &[70, 18], "1x18x70 1"),
    ("ij,j,i", &[33, 70], &[70], "33x1x70 1"),
    ("i,j,ij", &[33], &[18], "18x33x1 1"),
    ("bij,bjk,bik", &[3, 17, 66], &[3, 66, 9], "9x17x66 3"),
    ("bij,bkj,ibk", &[3, 17, 20], &[3, 9, 20], "9x17x20 3"),
    ("abij,abjk,abik", &[2, 3, 5, 8], &[2, 3, 8, 7], "7x5x8 6"),
    ("abj,jck,abck", &[4, 5, 8], &[8, 3, 7], "21x20x8 1"),
    ("abij,bajk,abik", &[2, 3, 5, 8], &[3, 2, 8, 7], ""),
    ("ijk,kl,jl", &[4, 5, 6], &[6, 7], ""),
    ("ijk,il,jkl", &[6, 4, 5], &[6, 7], "7x20x6 1"),
];

fn products() -> Vec<(String, Sample)> {
    let one = |(number, (letters, a, b, _)): (usize, &Product)| {
        let [first, second, result] = [0, 1, 2].map(|at| letters.split(',').nth(at).unwrap().as_bytes().to_vec());
        let op: Arc<dyn Op> = Arc::new(Dot { a: first, b: second, result });
        (format!("{number} {letters}"), Sample { op, operands: vec![(a.to_vec(), Draws::Signed), (b.to_vec(), Draws::Signed)] })
    };
    PRODUCTS.iter().enumerate().map(one).collect()
}

const PLAIN: Slide = Slide { stride: [1, 1], pad: [0; 4], dilation: [1, 1], input_dilation: [1, 1], groups: 1, turned: false };

/// Convolutions, and how cuDNN does them.
fn convolutions() -> Vec<(String, Sample, &'static str)> {
    let one = |name: &str, x: [usize; 4], w: [usize; 4], slide: Slide, way: &'static str| {
        let operands = vec![(x.to_vec(), Draws::Signed), (w.to_vec(), Draws::Signed)];
        (name.to_owned(), Sample { op: Arc::new(Conv2d(slide)), operands }, way)
    };
    let strided = Slide { stride: [2, 2], pad: [1, 0, 1, 0], ..PLAIN };
    let wide = Slide { dilation: [2, 3], pad: [2, 2, 3, 3], groups: 2, ..PLAIN };
    let back = Slide { input_dilation: [2, 2], pad: [1, 2, 1, 2], turned: true, ..PLAIN };
    vec![
        one("same", [2, 8, 12, 11], [6, 8, 3, 3], Slide { pad: [1; 4], ..PLAIN }, "forward"),
        // The last pad is not reached by any window.
        one("strided", [2, 4, 12, 12], [6, 4, 3, 3], strided, "forward"),
        one("dilated in groups", [2, 4, 12, 13], [6, 2, 3, 3], wide, "forward"),
        one("back", [2, 6, 7, 6], [6, 4, 3, 3], Slide { pad: [1; 4], turned: true, ..PLAIN }, "back"),
        one("back, strided", [2, 6, 7, 6], [6, 4, 3, 3], back, "back"),
        one("uneven", [2, 4, 8, 8], [6, 4, 3, 3], Slide { pad: [2, 0, 1, 1], ..PLAIN }, ""),
        one("gradient of a weight", [4, 2, 9, 9], [6, 2, 9, 9], Slide { pad: [1; 4], ..PLAIN }, ""),
        one("cut off", [2, 4, 8, 8], [6, 4, 3, 3], Slide { pad: [-1; 4], ..PLAIN }, ""),
        one("zeros between", [2, 4, 8, 8], [6, 4, 3, 3], Slide { input_dilation: [2, 1], pad: [1; 4], ..PLAIN }, ""),
    ]
}

fn larger() -> (Graph, Vec<Vec<f32>>) {
    graph(products().into_iter().chain(convolutions().into_iter().map(|(name, sample, _)| (name, sample))))
}

fn results(device: &dyn Device, graph: &Graph, values: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let ready = device.prepare(plan(&fuse(graph, true))).unwrap();
    let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let mut scratch = ready.scratch();
    ready.run(&inputs, &mut scratch).unwrap();
    scratch.outputs
}

#[track_caller]
fn close(graph: &Graph, made: &[Vec<f32>], truth: &[Vec<f32>], within: f32) {
    for ((name, _), (made, truth)) in graph.outputs.iter().zip(made.iter().zip(truth)) {
        let largest = truth.iter().fold(1.0f32, |most, x| most.max(x.abs()));
        for (at, (a, b)) in made.iter().zip(truth).enumerate() {
            assert!((a - b).abs() <= within * largest || a.to_bits() == b.to_bits(), "{name} at {at}: {a} instead of {b}");
        }
    }
}

/// The same by libraries, twice, by kernels and on the processor.
fn all_ways((graph, values): (Graph, Vec<Vec<f32>>)) {
    let truth = results(&Cpu::default(), &graph, &values);
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        let [never, always] = [Libraries::Never, Libraries::Always].map(|which| Cuda::new(precision).with(which));
        let (own, by) = (results(&never, &graph, &values), results(&always, &graph, &values));
        assert!(by == results(&always, &graph, &values), "two runs differ");
        // Convolutions that are asked for in bf16 are done in TF32.
        let [within, from_truth] = match precision {
            Precision::F32 => [1e-5, 1e-5],
            Precision::Tf32 => [1e-5, 1e-2],
            Precision::Bf16 => [5e-2, 5e-2],
        };
        close(&graph, &by, &own, within);
        close(&graph, &by, &truth, from_truth);
    }
}

#[test]
fn every_op_of_the_table_is_the_same_by_libraries() {
    let Some(libraries) = stand_in::libraries() else { return };
    let log = beside("child_table", libraries, &[]);
    // Twice each: three of its sums of products are products of matrices.
    for compute in [68, 77, 75] {
        assert_eq!(starting(&log, &format!("call cublaslt {compute} ")).len(), 2 * 3, "{log:?}");
    }
    assert!(!starting(&log, "call cudnn forward 3 1").is_empty() && !starting(&log, "call cudnn back 3 1").is_empty(), "{log:?}");
}

#[test]
#[ignore = "runs beside the stand-ins"]
fn child_table() {
    all_ways(table());
}

#[test]
fn matrices_are_found_in_whatever_way_they_lie() {
    let Some(libraries) = stand_in::libraries() else { return };
    let log = beside("child_larger", libraries, &[]);
    for (compute, math, ways) in [(68, 3, [1, 1]), (77, 1, [6, 4]), (75, 1, [6, 4])] {
        let mut expected: Vec<String> =
            PRODUCTS.iter().filter(|one| !one.3.is_empty()).map(|one| format!("call cublaslt {compute} {}", one.3)).collect();
        let mut made = starting(&log, &format!("call cublaslt {compute} "));
        made.truncate(expected.len());
        // Kernels come in an order of their own.
        made.sort_unstable();
        expected.sort_unstable();
        assert_eq!(made, expected);
        // Strict convolutions add up products, and no algorithm is one whose bits change.
        let both = [format!("call cudnn forward {math} {}", ways[0]), format!("call cudnn back {math} {}", ways[1])];
        let counts = both.map(|way| starting(&log, &way).len());
        let times = if math == 3 { 2 } else { 4 };
        assert_eq!(counts, [3 * times, 2 * times], "{log:?}");
    }
    assert_eq!(starting(&log, "call cudnn").len(), 6 * 5);
}

#[test]
#[ignore = "runs beside the stand-ins"]
fn child_larger() {
    all_ways(larger());
}

#[test]
fn where_a_library_is_missing_or_refuses_kernels_do_the_work() {
    let Some(libraries) = stand_in::libraries() else { return };
    let calls = |libraries: &Path, settings: &[(&str, &str)]| {
        let log = beside("child_larger", libraries, settings);
        ["call cublaslt", "call cudnn"].map(|library| !starting(&log, library).is_empty())
    };
    for how in ["refuse", "start"] {
        assert_eq!(calls(libraries, &[("SEGC_MOCK_CUBLASLT", how)]), [false, true]);
        assert_eq!(calls(libraries, &[("SEGC_MOCK_CUDNN", how)]), [true, false]);
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["libcuda.so", "libnvrtc.so"] {
        std::fs::copy(libraries.join(name), folder.path().join(name)).unwrap();
    }
    assert_eq!(calls(folder.path(), &[]), [false, false]);
    stand_in::build("cublaslt.c", &folder.path().join("libcublasLt.so"), &["cublasLtMatmul"]);
    stand_in::build("cudnn.c", &folder.path().join("libcudnn.so"), &["cudnnConvolutionBackwardData"]);
    assert_eq!(calls(folder.path(), &[]), [false, false]);
    // A front whose parts are not beside it would end the program.
    std::fs::remove_file(folder.path().join("libcudnn.so")).unwrap();
    stand_in::build("cudnn.c", &folder.path().join("libcudnn.so.9"), &[]);
    assert_eq!(calls(folder.path(), &[]), [false, false]);
    for part in ["graph", "ops", "cnn", "heuristic", "engines_precompiled"] {
        std::fs::write(folder.path().join(format!("libcudnn_{part}.so.9")), "").unwrap();
    }
    assert_eq!(calls(folder.path(), &[]), [false, true]);
}

#[test]
fn small_work_is_left_to_kernels() {
    let Some(libraries) = stand_in::libraries() else { return };
    let log = beside("child_small", libraries, &[]);
    assert_eq!(starting(&log, "call c"), ["call cublaslt 68 128x128x128 1"]);
}

#[test]
#[ignore = "runs beside the stand-ins"]
fn child_small() {
    let product = |size: usize| {
        let op: Arc<dyn Op> = Arc::new(Dot { a: b"ij".into(), b: b"jk".into(), result: b"ik".into() });
        (size.to_string(), Sample { op, operands: vec![(vec![size, size], Draws::Signed); 2] })
    };
    let (graph, values) = graph([64, 128].map(product).into_iter());
    let truth = results(&Cpu::default(), &graph, &values);
    close(&graph, &results(&Cuda::default(), &graph, &values), &truth, 1e-5);
}

#[test]
fn work_of_libraries_is_recorded_and_replayed() {
    let Some(libraries) = stand_in::libraries() else { return };
    let log = beside("child_recorded", libraries, &[]);
    assert_eq!(starting(&log, "graph launched").len(), 2);
    assert_eq!(starting(&log, "record cu").len(), starting(&log, "call c").len());
    assert_eq!(starting(&log, "record cu").len(), 11 + 5);
}

#[test]
#[ignore = "runs beside the stand-ins"]
fn child_recorded() {
    let (graph, values) = larger();
    let program = plan(&fuse(&graph, true));
    let truth = results(&Cuda::default().with(Libraries::Never), &graph, &values);
    let ready = Cuda::default().with(Libraries::Always).ready(&program).unwrap();
    let card = ready.card().clone();
    let room = Room::new(&card, ready.needs()).unwrap();
    let inputs: Vec<_> = values.iter().map(|values| card.buffer(values.len()).unwrap().view()).collect();
    let bound = ready.bind(&room, inputs.clone(), vec![None; program.outputs.len()]).unwrap();
    let mut stream = card.stream().unwrap();
    ready.launch_all(&mut stream, &bound).unwrap();
    let replayed = stream.capture(|stream| ready.launch_all(stream, &bound)).unwrap();
    stream.replay(&replayed).unwrap();
    for (values, view) in values.iter().zip(&inputs) {
        stream.upload(values, view).unwrap();
    }
    stream.replay(&replayed).unwrap();
    let made: Vec<Vec<f32>> = (0..program.outputs.len())
        .map(|number| {
            let view = ready.output(&bound, number).unwrap();
            let mut result = vec![0.0; view.elements()];
            stream.download(&view, &mut result).unwrap();
            result
        })
        .collect();
    close(&graph, &made, &truth, 1e-5);
    drop(stream);
    // What a library reads must lie as it was planned: not in the midst of a buffer.
    let large = card.buffer(values[0].len() + 1).unwrap();
    let mut shifted = inputs;
    shifted[0] = large.part(1, values[0].len()).unwrap();
    let error = ready.bind(&room, shifted, vec![None; program.outputs.len()]).err().unwrap();
    assert!(error.to_string().contains("begins where a buffer does"), "{error}");
}
