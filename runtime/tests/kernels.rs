//! Kernels of the cpu on sizes that are cut into several tiles and shared by threads: against the definition, and the same bits for any
//! number of threads.

use std::sync::Arc;

use segc_compiler::build::Leaf;
use segc_compiler::kernel::{Chance, Slide, Window};
use segc_compiler::ops::{
    Concat, Conv2d, Dot, Embed, Gather, Input, Log, Max, MaxPool, MaxPoolPlace, Op, Permute, Random, Resample, Scatter, Shift, Slice, Sum,
};
use segc_compiler::plan::{self, plan};
use segc_compiler::{Graph, fuse};
use segc_runtime::execute::{Cpu, Device, Reference};

type Case = (Arc<dyn Op>, Vec<Vec<usize>>);

/// Between -1 and 1, the same in every run.
fn elements(shape: &[usize], seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..shape.iter().product::<usize>()).map(|_| next()).collect()
}

fn run(device: &dyn Device, (op, shapes): &Case) -> Vec<f32> {
    let mut graph = Graph::default();
    let inputs: Vec<_> = shapes
        .iter()
        .enumerate()
        .map(|(number, shape)| {
            graph.leaves.push(Leaf::Field(number, String::new()));
            graph.add(Arc::new(Input { number, shape: shape.clone() }), &[])
        })
        .collect();
    let y = graph.add(op.clone(), &inputs);
    assert_eq!(graph.fault(), None);
    graph.outputs = vec![("y".into(), y)];
    let ready = device.prepare(plan(&fuse(&graph, true))).expect("prepared");
    // Places of run time are whole numbers, not all of them inside.
    let places = ["gather", "scatter", "shift", "random"].contains(&op.name());
    let value = |(number, shape): (usize, &Vec<usize>)| {
        let mut elements = elements(shape, number as u64);
        if places && (number > 0 || op.name() == "random") {
            let middle = if op.name() == "shift" { 0.0 } else { 30.0 };
            elements.iter_mut().for_each(|x| *x = (*x * 30.0 + middle).floor());
        }
        elements
    };
    let values: Vec<Vec<f32>> = shapes.iter().enumerate().map(value).collect();
    let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let mut scratch = ready.scratch();
    ready.run(&inputs, &mut scratch).expect("run");
    scratch.outputs.swap_remove(0)
}

fn check(cases: Vec<Case>, tolerance: f32) {
    let team = Cpu::new(2).expect("two threads");
    for case in cases {
        let truth = run(&Reference, &case);
        let ours = run(&Cpu::default(), &case);
        let largest = truth.iter().fold(1.0f32, |most, x| most.max(x.abs()));
        for made in [&ours, &run(&Cpu::default().portable(), &case)] {
            for (at, (a, b)) in made.iter().zip(&truth).enumerate() {
                assert!((a - b).abs() <= tolerance * largest, "{case:?} at {at}: {a} instead of {b}");
            }
        }
        assert_eq!(ours, run(&team, &case), "{case:?}: two threads differ in bits");
        assert_eq!(ours, run(&Cpu::default().poisoned(), &case), "{case:?}: it reads what no kernel has left");
    }
}

fn dot(text: &str, a: &[usize], b: &[usize]) -> Case {
    let (sides, result) = text.split_once(" -> ").expect("letters");
    let (first, second) = sides.split_once(' ').expect("two operands");
    (Arc::new(Dot { a: first.into(), b: second.into(), result: result.into() }), vec![a.to_vec(), b.to_vec()])
}

#[test]
fn contractions() {
    check(
        vec![
            dot("ik kj -> ij", &[70, 300], &[300, 290]),
            dot("ik kj -> ij", &[400, 33], &[33, 5]),
            dot("ik jk -> ij", &[13, 77], &[45, 77]),
            dot("ki kj -> ij", &[301, 16], &[301, 48]),
            dot("ik kj -> ji", &[29, 31], &[31, 40]),
            dot("ik k -> i", &[500, 70], &[70]),
            dot("k kj -> j", &[70], &[70, 500]),
            dot("jk k -> j", &[3, 1000], &[1000]),
            dot("i j -> ij", &[37], &[65]),
            dot("i i -> ", &[1000], &[1000]),
            dot("bi bi -> b", &[33, 70], &[33, 70]),
            dot("bik bkj -> bij", &[9, 17, 20], &[9, 20, 35]),
            dot("bqhd bkhd -> bhqk", &[2, 11, 3, 8], &[2, 14, 3, 8]),
            dot("bhqk bkhd -> bqhd", &[2, 3, 11, 14], &[2, 14, 3, 8]),
            dot("bqhd bkhd -> bqkh", &[2, 11, 3, 8], &[2, 14, 3, 8]),
            dot("nchw oc -> nohw", &[2, 12, 9, 7], &[20, 12]),
            dot("nchw nohw -> oc", &[3, 12, 9, 7], &[3, 20, 9, 7]),
            dot("icx cj -> ij", &[21, 10, 6], &[10, 19]),
            dot("xik ky -> i", &[3, 21, 10], &[10, 4]),
            dot("ij kj -> jik", &[6, 5], &[7, 5]),
            dot("ii i -> i", &[6, 6], &[6]),
            dot("ik kj -> ij", &[6, 1], &[1, 9]),
            // Left sides that are read where they lie: several blocks of depths, several items, tiles that are not full.
            dot("ik kj -> ij", &[297, 550], &[550, 273]),
            dot("ik jk -> ij", &[33, 2], &[21, 2]),
            dot("fk btk -> btf", &[75, 290], &[2, 23, 290]),
            dot("fk btk -> bft", &[75, 19], &[2, 50, 19]),
            dot("btf fk -> btk", &[2, 250, 40], &[40, 16]),
            dot("bhqk bhkd -> bqhd", &[2, 3, 41, 277], &[2, 3, 277, 48]),
            dot("bqhd bkhd -> bhqk", &[2, 67, 3, 8], &[2, 45, 3, 8]),
            dot("iik kj -> ij", &[35, 35, 12], &[12, 33]),
        ],
        2e-6,
    );
}

#[test]
fn axes_in_another_order() {
    let case = |shape: &[usize], order: &[usize]| -> Case { (Arc::new(Permute { order: order.into() }), vec![shape.to_vec()]) };
    check(
        vec![
            case(&[70, 90], &[1, 0]),
            case(&[3, 40, 50], &[0, 2, 1]),
            case(&[3, 40, 50], &[2, 1, 0]),
            case(&[3, 40, 50], &[1, 0, 2]),
            case(&[2, 3, 5, 7, 11], &[4, 1, 3, 0, 2]),
            case(&[2, 3, 5, 7, 11], &[0, 3, 1, 4, 2]),
            case(&[1, 1], &[1, 0]),
            case(&[2, 33, 65, 3], &[0, 3, 1, 2]),
        ],
        0.0,
    );
}

#[test]
fn parts_of_axes() {
    let one = |op: Arc<dyn Op>, shape: &[usize]| -> Case { (op, vec![shape.to_vec()]) };
    check(
        vec![
            one(Arc::new(Slice { axis: 1, from: 3, size: 40 }), &[30, 50, 20]),
            one(Arc::new(Embed { axis: 1, from: 3, size: 60 }), &[30, 50, 20]),
            one(Arc::new(Embed { axis: 2, from: 0, size: 23 }), &[30, 50, 20]),
            (Arc::new(Concat { axis: 1 }), vec![vec![20, 30, 40], vec![20, 1, 40], vec![20, 9, 40]]),
        ],
        0.0,
    );
}

#[test]
fn reductions() {
    let shapes: [(&[usize], &[usize]); 9] = [
        (&[70, 90], &[0]),
        (&[70, 90], &[1]),
        (&[4, 30, 33, 35], &[0, 2, 3]),
        (&[4, 30, 33, 35], &[0]),
        (&[4, 30, 33, 35], &[1]),
        (&[4, 30, 33, 35], &[2, 3]),
        (&[4, 30, 33, 35], &[0, 1, 2, 3]),
        (&[4, 30, 33, 35], &[1, 3]),
        (&[300, 300], &[0, 1]),
    ];
    let sum = |(shape, over): &(&[usize], &[usize])| -> Case { (Arc::new(Sum { over: over.to_vec() }), vec![shape.to_vec()]) };
    let max = |(shape, over): &(&[usize], &[usize])| -> Case { (Arc::new(Max { over: over.to_vec() }), vec![shape.to_vec()]) };
    check(shapes.iter().map(sum).collect(), 3e-6);
    check(shapes.iter().map(max).collect(), 0.0);
}

#[test]
fn convolutions() {
    let plain = Slide { stride: [1, 1], pad: [0; 4], dilation: [1, 1], input_dilation: [1, 1], groups: 1, turned: false };
    let same = Slide { pad: [1; 4], ..plain };
    let cases = [
        ([2, 20, 30, 29], [17, 20, 3, 3], same),
        ([9, 20, 8, 8], [17, 20, 3, 3], same),
        ([3, 70, 4, 4], [5, 70, 4, 4], plain),
        ([2, 40, 20, 20], [33, 40, 1, 1], plain),
        ([2, 10, 33, 31], [16, 10, 3, 3], Slide { stride: [2, 2], ..same }),
        ([2, 10, 16, 16], [16, 10, 3, 3], Slide { input_dilation: [2, 2], pad: [1, 2, 1, 2], ..plain }),
        ([2, 10, 16, 16], [16, 10, 3, 3], Slide { dilation: [2, 3], pad: [2, 2, 3, 3], ..plain }),
        ([2, 10, 26, 26], [16, 10, 4, 3], Slide { pad: [-2, 1, 3, -1], ..plain }),
        ([2, 24, 17, 18], [24, 1, 3, 3], Slide { groups: 24, ..same }),
        ([2, 24, 17, 18], [24, 1, 5, 5], Slide { groups: 24, stride: [2, 2], pad: [2; 4], ..plain }),
        ([2, 24, 17, 18], [36, 8, 3, 3], Slide { groups: 3, ..same }),
        ([2, 24, 40, 40], [1, 24, 3, 3], same),
        // Minimal filtering: pieces of sixteen, eight, four windows and one; odd results; pads of all kinds; results that threads share.
        ([2, 20, 32, 64], [30, 20, 3, 3], same),
        ([3, 17, 16, 16], [100, 17, 3, 3], same),
        ([9, 40, 8, 8], [25, 40, 3, 3], same),
        ([20, 33, 4, 4], [33, 33, 3, 3], same),
        ([3, 30, 15, 31], [18, 30, 3, 3], same),
        ([2, 28, 11, 13], [20, 28, 3, 3], Slide { pad: [0, 3, -1, 2], ..plain }),
        ([2, 18, 12, 14], [39, 18, 3, 3], Slide { pad: [2, 2, 2, 2], ..plain }),
        ([4, 300, 4, 4], [600, 300, 3, 3], same),
        // Turned weights: minimal filtering, sweeps, products.
        ([3, 17, 16, 16], [17, 100, 3, 3], Slide { turned: true, ..same }),
        ([2, 20, 30, 29], [20, 7, 3, 3], Slide { turned: true, ..same }),
        ([2, 10, 16, 16], [10, 16, 3, 4], Slide { input_dilation: [2, 2], pad: [1, 2, 1, 2], turned: true, ..plain }),
        ([9, 20, 4, 4], [20, 3, 3, 3], Slide { turned: true, ..same }),
        ([9, 20, 1, 1], [20, 9, 4, 4], Slide { pad: [3; 4], turned: true, ..plain }),
        // More than is laid out at a time.
        ([5, 512, 33, 31], [2, 512, 1, 1], plain),
        ([7, 150, 40, 40], [2, 150, 40, 40], same),
        ([5, 16, 70, 66], [16, 16, 3, 3], same),
        // Tiles of eight results: long sums, groups, several tiles.
        ([2, 12, 21, 35], [16, 12, 5, 5], Slide { pad: [2; 4], ..plain }),
        ([2, 24, 20, 33], [32, 12, 3, 3], Slide { groups: 2, ..same }),
        ([3, 9, 14, 40], [40, 9, 3, 3], same),
        // Derivatives of weights: few results, windows as large as pictures.
        ([20, 3, 30, 29], [17, 3, 30, 29], same),
        ([20, 3, 8, 8], [17, 3, 8, 8], same),
        ([5, 3, 30, 29], [17, 3, 30, 29], same),
        // By minimal filtering: chunks side by side, several blocks of results, sums of many parts, pads of all kinds.
        ([33, 2, 20, 70], [40, 2, 20, 70], same),
        ([10, 7, 4, 4], [130, 7, 4, 4], same),
        ([12, 5, 64, 66], [24, 5, 64, 66], same),
        ([12, 1, 9, 14], [30, 1, 10, 13], Slide { pad: [2, 1, -1, 2], ..plain }),
        ([1, 60, 17, 18], [20, 3, 17, 18], Slide { groups: 20, ..same }),
        ([10, 2, 33, 31], [16, 2, 17, 16], Slide { dilation: [2, 2], pad: [1, 1, 1, 1], ..plain }),
        ([1, 40, 17, 18], [20, 2, 9, 9], Slide { groups: 20, dilation: [2, 2], pad: [1, 1, 1, 1], ..plain }),
    ];
    let case = |(x, w, slide): ([usize; 4], [usize; 4], Slide)| -> Case { (Arc::new(Conv2d(slide)), vec![x.into(), w.into()]) };
    check(cases.map(case).into(), 2e-6);
}

/// Windows, strides, dilations and pads of all kinds; what does not fit is left out.
#[test]
fn random_convolutions() {
    let mut state = 1u64;
    let mut roll = |from: usize, to: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from + (state >> 33) as usize % (to - from + 1)
    };
    let mut cases: Vec<Case> = Vec::new();
    while cases.len() < 150 {
        let groups = [1, 1, 1, 2, 5][roll(0, 4)];
        let sizes = [roll(1, 40), roll(1, 40)];
        let taps = if roll(0, 2) == 0 { sizes } else { [roll(1, 5), roll(1, 5)] };
        let pad = [0; 4].map(|_| roll(0, 6) as isize - 2);
        let [stride, dilation, input_dilation] = [0; 3].map(|_| [roll(1, 3), roll(1, 3)].map(|by| if by == 3 { 1 } else { by }));
        let slide = Slide { stride, pad, dilation, input_dilation, groups, turned: groups == 1 && roll(0, 1) == 0 };
        let (n, c, o) = (roll(1, 5), roll(1, 9), roll(1, 14));
        let channels = if slide.turned { [c, o] } else { [groups * o, c] };
        let (x, w) = (vec![n, groups * c, sizes[0], sizes[1]], vec![channels[0], channels[1], taps[0], taps[1]]);
        if Conv2d(slide).shape(&[&x, &w]).is_ok_and(|to| to.iter().product::<usize>() < 20_000) {
            cases.push((Arc::new(Conv2d(slide)), vec![x, w]));
        }
    }
    check(cases, 2e-6);
}

#[test]
fn maps_along_axes_and_places_of_run_time() {
    let rows = |size: usize| {
        let taps = |place: usize| match place % 3 {
            0 => vec![(place, 1.0)],
            1 => vec![(place - 1, 0.25), (place, 0.5), ((place + 7) % size, -0.25)],
            _ => vec![],
        };
        (0..size).map(taps).collect::<Vec<_>>().into()
    };
    let map = |shape: &[usize], axis: usize| -> Case { (Arc::new(Resample::new(axis, rows(shape[axis]))), vec![shape.into()]) };
    let even = |size: usize, of: usize, repeats: usize| -> Case {
        let row = |place: usize| (0..of).map(|i| (place / repeats * of + i, 0.5 + i as f64)).collect();
        let rows: Vec<_> = (0..size / of * repeats).map(row).collect();
        (Arc::new(Resample::new(1, rows.into())), vec![vec![999, size]])
    };
    let pool = Window { size: [3, 3], stride: [2, 2], pad: [1; 4] };
    check(
        vec![
            map(&[30, 50, 20], 0),
            map(&[30, 50, 20], 1),
            map(&[30, 50, 20], 2),
            even(18, 2, 1),
            even(21, 3, 1),
            even(16, 1, 2),
            even(7, 1, 3),
            even(8, 2, 2),
            (Arc::new(Gather { batch: 0 }), vec![vec![50, 30], vec![700]]),
            (Arc::new(Gather { batch: 1 }), vec![vec![40, 50], vec![40, 700]]),
            (Arc::new(Scatter { batch: 1, size: 50 }), vec![vec![40, 70, 9], vec![40, 70]]),
            (Arc::new(Shift { batch: 1 }), vec![vec![20, 3, 33, 31], vec![20], vec![20]]),
            (Arc::new(MaxPool { window: pool }), vec![vec![5, 7, 33, 31]]),
            (Arc::new(MaxPoolPlace { window: pool }), vec![vec![5, 7, 33, 31]]),
            (Arc::new(Random { chance: Chance::Normal, path: "a".into(), shape: vec![3, 33, 31] }), vec![vec![8], vec![40, 2]]),
            (Arc::new(Random { chance: Chance::Uniform, path: "a".into(), shape: vec![3, 33, 31] }), vec![vec![8], vec![40, 2]]),
        ],
        1e-6,
    );
}

#[test]
fn the_first_kernel_that_makes_numbers_which_are_none_is_found() {
    let mut graph = Graph::default();
    graph.leaves.push(Leaf::Field(0, String::new()));
    graph.leaves.push(Leaf::Field(1, String::new()));
    let [x, w] = [0, 1].map(|number| graph.add(Arc::new(Input { number, shape: vec![4, 4] }), &[]));
    let y = graph.add(dot("ik kj -> ij", &[4, 4], &[4, 4]).0, &[x, w]);
    let span = segc_lang::source::Span { source: segc_lang::source::SourceId(3), start: 7, end: 12 };
    graph.place = Some(span);
    let log = graph.add(Arc::new(Log), &[y]);
    graph.place = None;
    let z = graph.add(dot("ik kj -> ij", &[4, 4], &[4, 4]).0, &[log, w]);
    graph.outputs = vec![("z".into(), z)];
    let devices: [&dyn Device; 2] = [&Cpu::default(), &Reference];
    for device in devices {
        for fused in [true, false] {
            let ready = device.prepare(plan(&fuse(&graph, fused))).expect("prepared");
            let mut scratch = ready.scratch();
            let w: Vec<f32> = (0..16).map(|i| i as f32).collect();
            assert_eq!(ready.check(&[&[1.0; 16], &w], &mut scratch), Ok(None));
            let checked = scratch.outputs.clone();
            ready.run(&[&[1.0; 16], &w], &mut scratch).expect("run");
            assert_eq!(checked, scratch.outputs);
            let mut x = [1.0; 16];
            x[..4].fill(-1.0);
            let finding = ready.check(&[&x, &w], &mut scratch).expect("run").expect("found");
            assert_eq!(finding.ops, vec![("log", Some(span))]);
            assert_eq!((finding.writes[0].nan, finding.writes[0].infinite, finding.writes[0].op), (4, 0, "log"));
            let read = &finding.reads[0];
            assert_eq!((read.op, read.min, read.max, read.nan), ("dot", -36.0, 36.0, 0));
            // What comes in broken is nobody's fault.
            x[3] = f32::NAN;
            x[..4].fill(f32::NAN);
            assert_eq!(ready.check(&[&x, &w], &mut scratch), Ok(None));
        }
    }
}

/// Loops over values, values of a channel, values of a sample and of a column, with reductions of every kind.
fn loops(shape: &[usize]) -> Graph {
    let mut graph = Graph::default();
    let last = shape.len() - 1;
    let kept: [Vec<usize>; 4] = [(0..=last).collect(), vec![1], vec![0], vec![last]];
    let inputs: Vec<_> = kept
        .iter()
        .enumerate()
        .map(|(number, kept)| {
            graph.leaves.push(Leaf::Field(number, String::new()));
            let own = kept.iter().map(|axis| shape[*axis]).collect();
            let x = graph.add(Arc::new(Input { number, shape: own }), &[]);
            graph.expand(x, shape, kept)
        })
        .collect();
    let scaled = graph.times(inputs[0], inputs[1]);
    let moved = graph.plus(scaled, inputs[2]);
    let y = graph.times(moved, inputs[3]);
    let planes: Vec<usize> = (0..last - 1).collect();
    let mean = graph.add(Arc::new(Sum { over: vec![last - 1, last] }), &[y]);
    let mean = graph.expand(mean, shape, &planes);
    let z = graph.minus(y, mean);
    let mut outputs = vec![y, z];
    for over in [vec![last], vec![last - 1, last], (0..=last).collect()] {
        for value in [moved, z] {
            outputs.push(graph.add(Arc::new(Sum { over: over.clone() }), &[value]));
            outputs.push(graph.add(Arc::new(Max { over: over.clone() }), &[value]));
        }
    }
    graph.outputs = outputs.into_iter().enumerate().map(|(number, id)| (format!("{number}"), id)).collect();
    assert_eq!(graph.fault(), None);
    graph
}

#[test]
fn loops_of_every_shape() {
    let shapes = [vec![5, 7, 33, 31], vec![40, 30, 4, 4], vec![6, 3, 128, 128], vec![9, 8, 1, 1], vec![9, 7, 1, 500], vec![9, 7, 500, 1]];
    for shape in shapes.into_iter().chain([vec![700, 96, 3], vec![3, 4, 5000], vec![2, 3, 2, 50, 60]]) {
        let graph = loops(&shape);
        let sizes = [shape.clone(), vec![shape[1]], vec![shape[0]], vec![shape[shape.len() - 1]]];
        let values: Vec<Vec<f32>> = sizes.iter().enumerate().map(|(number, shape)| elements(shape, number as u64)).collect();
        let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let run = |device: &dyn Device, fused: bool| {
            let ready = device.prepare(plan(&fuse(&graph, fused))).expect("prepared");
            let mut scratch = ready.scratch();
            ready.run(&inputs, &mut scratch).expect("run");
            scratch.outputs
        };
        let ours = run(&Cpu::default(), true);
        for (number, (a, b)) in ours.iter().zip(run(&Reference, true)).enumerate() {
            let largest = b.iter().fold(1.0f32, |most, x| most.max(x.abs()));
            a.iter().zip(&b).for_each(|(a, b)| assert!((a - b).abs() <= 1e-4 * largest, "{shape:?} output {number}: {a} instead of {b}"));
        }
        assert_eq!(ours, run(&Cpu::default(), false), "{shape:?}: fused and unfused differ in bits");
        assert_eq!(ours, run(&Cpu::new(3).expect("threads"), true), "{shape:?}: threads differ in bits");
        assert_eq!(ours, run(&Cpu::default().poisoned(), true), "{shape:?}: it reads what no kernel has left");
    }
}

/// A step down a slope: the new value is written over the old one, and a slope that is none leaves it as it was.
#[test]
fn results_are_written_over_inputs_unless_what_they_are_made_of_is_not_finite() {
    let mut graph = Graph::default();
    let [w, x] = [0, 1].map(|number| {
        graph.leaves.push(Leaf::Field(number, String::new()));
        graph.add(Arc::new(Input { number, shape: vec![5, 400] }), &[])
    });
    let log = graph.add(Arc::new(Log), &[x]);
    let slope = graph.add(Arc::new(Sum { over: vec![0] }), &[log]);
    let slope = graph.expand(slope, &[5, 400], &[1]);
    let new = graph.minus(w, slope);
    graph.outputs = vec![("w".into(), new)];
    let program = plan::finish(graph, true, &[Some(0)]);
    assert_eq!((program.over.as_slice(), program.kernels.len() - program.last), ([Some(0)].as_slice(), 1));
    let old = elements(&[5, 400], 1);
    let good: Vec<f32> = elements(&[5, 400], 2).iter().map(|x| x.abs() + 0.5).collect();
    let bad: Vec<f32> = good.iter().map(|x| x - 1.0).collect();
    for device in [Cpu::default(), Cpu::new(2).expect("two threads"), Cpu::default().poisoned()] {
        let ready = device.prepare(program.clone()).expect("prepared");
        let step = |x: &[f32]| {
            let mut scratch = ready.scratch();
            assert!(scratch.outputs[0].is_empty());
            scratch.outputs[0].clone_from(&old);
            ready.run(&[&[], x], &mut scratch).expect("run");
            (scratch.outputs.swap_remove(0), scratch.held)
        };
        let (made, held) = step(&good);
        assert!(!held);
        for (at, made) in made.iter().enumerate() {
            let slope: f32 = (0..5).map(|row| good[row * 400 + at % 400].ln()).sum();
            assert!((made - (old[at] - slope)).abs() < 1e-5, "{at}");
        }
        assert_eq!(step(&bad), (old.clone(), true));
    }
}
