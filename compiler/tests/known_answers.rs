//! Answers of other people's code (PyTorch 2.4.1, double precision) on waves `sin(a + b k)` over the row-major place k.

mod evaluate;

use std::sync::Arc;

use segc_compiler::build::Leaf;
use segc_compiler::kernel::Slide;
use segc_compiler::ops::{Conv2d, Input, Resample, Sqrt};
use segc_compiler::rows::rows;
use segc_compiler::tensor::Tensor;
use segc_compiler::{Graph, NodeId};
use segc_lang::spec::{AxisMap, Filter, Outside};

fn wave(shape: &[usize], a: f64, b: f64) -> Tensor {
    let count = shape.iter().product::<usize>();
    Tensor::new(shape.to_vec(), (0..count).map(|k| (a + b * k as f64).sin()).collect())
}

/// What a graph makes of some values.
fn made(inputs: &[Tensor], build: impl Fn(&mut Graph, &[NodeId]) -> NodeId) -> Tensor {
    let mut graph = Graph::default();
    let nodes: Vec<NodeId> = inputs
        .iter()
        .enumerate()
        .map(|(number, x)| {
            graph.leaves.push(Leaf::Weight(number));
            graph.add(Arc::new(Input { number, shape: x.shape.clone() }), &[])
        })
        .collect();
    let y = build(&mut graph, &nodes);
    assert_eq!(graph.fault(), None);
    graph.outputs = vec![("y".into(), y)];
    let given = |leaf: &Leaf| match leaf {
        Leaf::Weight(number) => inputs[*number].clone(),
        other => panic!("{other:?}"),
    };
    evaluate::outputs(&graph, &given).remove(0)
}

/// A map along rows and columns.
fn pictures(x: &Tensor, map: &AxisMap, to: usize) -> Tensor {
    made(std::slice::from_ref(x), |graph, nodes| {
        [2, 3].into_iter().fold(nodes[0], |y, axis| {
            let map = rows(map, graph.shape(y)[axis], to);
            graph.add(Arc::new(Resample::new(axis, map)), &[y])
        })
    })
}

fn resize(by: Filter, corners: bool, scale: Option<f64>) -> AxisMap {
    AxisMap::Resize { by, corners, smooth: false, scale }
}

fn close(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= tolerance, "{a} instead of {b} in {ours:?}");
    }
}

fn total(x: &Tensor) -> f64 {
    x.data.iter().sum()
}

/// Half a unit of the last of six digits, and some slack.
const DIGITS: f64 = 6e-7;

#[test]
fn reflect_pad() {
    let y = pictures(&wave(&[1, 1, 5, 5], 0.1, 0.7), &AxisMap::Pad { before: 3, after: 3, with: Outside::Reflect }, 11);
    let row = [0.133232, -0.536573, -0.954019, -0.922775, -0.954019, -0.536573, 0.133232, 0.740376, 0.133232, -0.536573, -0.954019];
    close(&y.data[..11], &row, DIGITS);
    close(&[total(&y)], &[-7.033549], DIGITS);
}

fn averaged(window: usize, to: usize) -> Tensor {
    pictures(&wave(&[1, 1, 32, 32], 0.1, 0.07), &AxisMap::Average { window, stride: window, pad: 0, inside: false }, to)
}

#[test]
fn average_pool() {
    let means = [0.093521, 0.104487, 0.066311, -0.106152, -0.087479, -0.027664, 0.101284, 0.056051, -0.015543];
    close(&averaged(10, 3).data, &means, DIGITS);
    close(&[total(&averaged(5, 6))], &[0.739263], DIGITS);
}

#[test]
fn bilinear() {
    let y = pictures(&averaged(10, 3), &resize(Filter::Bilinear, false, None), 32);
    let at = |row: usize, column: usize| y.at(&[0, 0, row, column]);
    close(&[at(0, 0), at(5, 7), at(16, 16), at(31, 20)], &[0.093521, 0.092653, -0.078236, 0.025847], DIGITS);
    close(&[total(&y)], &[21.073176], DIGITS);
    let y = pictures(&wave(&[1, 1, 3, 3], 0.1, 0.7), &resize(Filter::Bilinear, true, None), 6);
    close(&y.data[6..12], &[0.383299, 0.440425, 0.497550, 0.505188, 0.463339, 0.421489], DIGITS);
    close(&[total(&y)], &[0.718263], DIGITS);
}

#[test]
fn convolution() {
    let slide = Slide { stride: [2, 2], pad: [1; 4], dilation: [1, 1], input_dilation: [1, 1], groups: 1, turned: false };
    let operands = [wave(&[1, 2, 5, 5], 0.1, 0.7), wave(&[3, 2, 3, 3], 0.3, 0.9)];
    let y = made(&operands, |graph, nodes| graph.add(Arc::new(Conv2d(slide)), nodes));
    let channel = [-0.764124, -1.349318, -2.675262, -3.498214, -2.648437, -3.175627, -2.628291, -1.174860, -0.397239];
    close(&y.data[..9], &channel, DIGITS);
    close(&[total(&y)], &[-11.8705], 6e-5);
}

#[test]
fn instance_norm() {
    let y = made(&[wave(&[1, 2, 3, 3], 0.1, 0.7)], |graph, nodes| {
        let mean = |graph: &mut Graph, x: NodeId| {
            let sum = graph.sum(x, &[2, 3]);
            let mean = graph.scaled(sum, 1.0 / 9.0);
            graph.expand(mean, &[1, 2, 3, 3], &[0, 1])
        };
        let centre = mean(graph, nodes[0]);
        let rest = graph.minus(nodes[0], centre);
        let squares = graph.times(rest, rest);
        let variance = mean(graph, squares);
        let epsilon = graph.number(1e-5);
        let safe = graph.plus(variance, epsilon);
        let deviation = graph.add(Arc::new(Sqrt), &[safe]);
        graph.over(rest, deviation)
    });
    close(&y.data[..9], &[0.142289, 1.016713, 1.413395, 1.145769, 0.339705, -0.625695, -1.296386, -1.356932, -0.778858], DIGITS);
}

#[test]
fn binomial_blur() {
    let blur = AxisMap::Fir { taps: vec![0.25, 0.5, 0.25], up: 1, down: 1, before: 1, after: 1 };
    let y = pictures(&wave(&[1, 1, 4, 4], 0.1, 0.7), &blur, 4);
    close(&y.data[..8], &[0.116877, 0.218883, 0.237994, 0.149685, 0.000260, -0.011281, -0.023355, -0.020468], DIGITS);
}

#[test]
fn fir_resampling() {
    let taps = |gain: f64| [1.0, 3.0, 3.0, 1.0].map(|tap| gain * tap / 8.0).to_vec();
    let x = wave(&[1, 1, 4, 4], 0.1, 0.7);
    // Theirs are in single precision.
    let up = pictures(&x, &AxisMap::Fir { taps: taps(2.0), up: 2, down: 1, before: 2, after: 1 }, 8);
    close(&up.data[..8], &[0.056156, 0.190661, 0.422232, 0.590543, 0.695595, 0.712684, 0.641810, 0.454779], 2e-6);
    close(&[total(&up)], &[4.57781], 2e-5);
    let down = pictures(&x, &AxisMap::Fir { taps: taps(1.0), up: 1, down: 2, before: 1, after: 1 }, 2);
    close(&down.data, &[0.081185, 0.085964, 0.071461, -0.030073], 2e-6);
}

#[test]
fn bicubic() {
    let x = wave(&[1, 1, 4, 4], 0.1, 0.7);
    // The position tables of vision transformers are resized with a scale that is a little larger than the ratio of the sizes.
    let scaled = pictures(&x, &resize(Filter::Bicubic, false, Some(8.1 / 4.0)), 8);
    close(&scaled.data[..4], &[0.005109, 0.237084, 0.618351, 0.996961], DIGITS);
    close(&scaled.data[24..28], &[0.104274, -0.047948, -0.297112, -0.561736], DIGITS);
    close(&[total(&scaled)], &[5.989296], DIGITS);
    let plain = pictures(&x, &resize(Filter::Bicubic, false, None), 8);
    close(&plain.data[..4], &[0.005547, 0.243440, 0.630802, 1.007937], DIGITS);
    close(&[total(&plain)], &[5.733466], DIGITS);
}
