//! The second opinion: values by dfdx's kernels and derivatives by its tape against the definitions and our rules, for the ops of the
//! table and for whole objectives, in double and in single precision.
#![cfg(feature = "dfdx")]

use std::sync::Arc;

use segc_compiler::build::{Leaf, Request, build};
use segc_compiler::differentiate;
use segc_compiler::ops::{Derivative, Draws, Exactness, Form, Grad, Input, Op, Sample, TABLE};
use segc_compiler::tensor::Tensor;
use segc_compiler::{Graph, NodeId, Shape};
use segc_lang::fault::Severity;
use segc_lang::params::Overrides;
use segc_lang::source::{LoadError, Loader};
use segc_lang::spec::Spec;
use segc_runtime::execute::dfdx::{runs, second_opinion};
use segc_runtime::selftest::sample::{applied, definition, operands, weighted_sum};

const DOUBLE: f64 = 1e-9;
const SINGLE: f64 = 1e-4;

/// Asserts that dfdx gives in f64 and in f32 what the graph gives by definition, with `grad` nodes expanded by our rules.
fn agrees(what: &str, graph: &Graph, inputs: &[Tensor]) -> Vec<Vec<f64>> {
    let ours = definition(&differentiate(graph), inputs);
    let wide: Vec<Vec<f64>> = inputs.iter().map(|x| x.data.clone()).collect();
    let single: Vec<Vec<f32>> = inputs.iter().map(|x| x.data.iter().map(|v| *v as f32).collect()).collect();
    let double = second_opinion::<f64>(graph, &wide).expect(what);
    close(&format!("{what} in f64"), &ours, &double, DOUBLE);
    let single = second_opinion::<f32>(graph, &single).expect(what);
    let single: Vec<Vec<f64>> = single.iter().map(|x| x.iter().map(|v| f64::from(*v)).collect()).collect();
    close(&format!("{what} in f32"), &ours, &single, SINGLE);
    single
}

/// Compares relative to the largest element of each output, and to 1 where all are small.
fn close(what: &str, ours: &[Tensor], theirs: &[Vec<f64>], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert_eq!(a.data.len(), b.len(), "{what}");
        let size = a.data.iter().fold(1.0, |size: f64, x| size.max(x.abs()));
        for (a, b) in a.data.iter().zip(b) {
            assert!(a == b || (a - b).abs() <= tolerance * size, "{what}: {b} by dfdx, {a} by us");
        }
    }
}

/// The op, the weighted sum of its result, and the derivatives of that by all smooth operands.
fn opinion(sample: &Sample) -> Graph {
    let (mut graph, inputs, y) = applied(sample);
    let goal = weighted_sum(&mut graph, y);
    graph.outputs = vec![("y".into(), y), ("goal".into(), goal)];
    for (i, (_, draws)) in sample.operands.iter().enumerate() {
        if sample.op.derivative() == Derivative::Every && matches!(draws, Draws::Positive | Draws::Signed) {
            let slope = graph.add(Arc::new(Grad), &[goal, inputs[i]]);
            graph.outputs.push((format!("d{i}"), slope));
        }
    }
    graph
}

#[test]
fn ops_of_the_table_agree() {
    let (mut covered, mut asked, mut cases) = (Vec::new(), Vec::new(), 0);
    for entry in TABLE {
        let samples = (entry.samples)();
        if samples.is_empty() {
            continue;
        }
        asked.push(entry.name);
        let fits = |sample: &Sample| {
            let shapes: Vec<&[usize]> = sample.operands.iter().map(|(shape, _)| shape.as_slice()).collect();
            runs(&sample.op, &shapes, &sample.op.shape(&shapes).expect("a shape"))
        };
        if !samples.iter().all(fits) {
            println!("dfdx does not run {}", entry.name);
            continue;
        }
        for sample in samples {
            let (what, values) = (format!("{} {sample:?}", entry.name), operands(&sample));
            let single = agrees(&what, &opinion(&sample), &values);
            if sample.op.form().exactness() < Exactness::Approximate {
                let exact: Vec<f64> =
                    definition(&differentiate(&opinion(&sample)), &values)[0].data.iter().map(|x| f64::from(*x as f32)).collect();
                assert_eq!(single[0], exact, "{what}: not the same bits");
            }
            cases += 1;
        }
        covered.push(entry.name);
    }
    println!("dfdx agrees on {} of {} ops, {cases} cases", covered.len(), asked.len());
    assert!(covered.len() * 10 >= asked.len() * 8, "{covered:?} of {asked:?}");
}

/// A graph of one input with these elements, and what is made from it.
fn small(shape: &[usize], make: impl FnOnce(&mut Graph, NodeId) -> Vec<NodeId>) -> Graph {
    let mut graph = Graph::default();
    graph.leaves.push(Leaf::Field(0, String::new()));
    let x = graph.add(Arc::new(Input { number: 0, shape: shape.to_vec() }), &[]);
    let outputs = make(&mut graph, x);
    graph.outputs = outputs.into_iter().enumerate().map(|(i, id)| (format!("o{i}"), id)).collect();
    graph
}

#[test]
fn a_derivative_of_a_derivative_is_ours_inside_and_the_tape_outside() {
    // The gradient penalty: the derivative of the squared norm of a derivative.
    let graph = small(&[3, 4], |graph, x| {
        let wave = graph.add(Arc::new(segc_compiler::ops::Sin), &[x]);
        let cube = graph.times(wave, x);
        let cube = graph.times(cube, x);
        let y = weighted_sum(graph, cube);
        let slope = graph.add(Arc::new(Grad), &[y, x]);
        let square = graph.times(slope, slope);
        let penalty = weighted_sum(graph, square);
        let again = graph.add(Arc::new(Grad), &[penalty, x]);
        vec![slope, penalty, again]
    });
    let x = Tensor::from_index(&[3, 4], |i| 0.3 * i[0] as f64 - 0.2 * i[1] as f64 + 0.1);
    agrees("a gradient penalty", &graph, &[x]);
}

#[test]
fn values_inside_what_is_differentiated_have_derivatives_too() {
    let graph = small(&[5], |graph, x| {
        let inner = graph.times(x, x);
        let same = graph.add(Arc::new(segc_compiler::ops::Reshape { shape: vec![5, 1] }), &[inner]);
        let flat = graph.add(Arc::new(segc_compiler::ops::Reshape { shape: vec![5] }), &[same]);
        let product = graph.times(flat, inner);
        let y = weighted_sum(graph, product);
        let other = weighted_sum(graph, x);
        [(y, x), (y, inner), (y, same), (other, x), (other, inner)].map(|(y, x)| graph.add(Arc::new(Grad), &[y, x])).into()
    });
    agrees("derivatives by several values", &graph, &[Tensor::new(vec![5], vec![0.5, -1.0, 2.0, 0.0, 1.5])]);
}

#[test]
fn ties_and_corners_have_our_slopes() {
    use segc_compiler::ops::{Abs, Erf, Log1p, Max, Maximum, Minimum, Softplus};
    let graph = small(&[2, 3], |graph, x| {
        let none = graph.filled(0.0, &[2, 3]);
        let functions: [Arc<dyn Op>; 4] = [Arc::new(Abs), Arc::new(Erf), Arc::new(Softplus), Arc::new(Log1p)];
        let mut values: Vec<NodeId> = functions.into_iter().map(|op| graph.add(op, &[x])).collect();
        values.push(graph.add(Arc::new(Max { over: vec![1] }), &[x]));
        values.push(graph.add(Arc::new(Maximum), &[x, none]));
        values.push(graph.add(Arc::new(Minimum), &[x, none]));
        let goals: Vec<NodeId> = values.iter().map(|value| weighted_sum(graph, *value)).collect();
        let slopes = goals.iter().map(|goal| graph.add(Arc::new(Grad), &[*goal, x])).collect::<Vec<_>>();
        values.into_iter().chain(slopes).collect()
    });
    agrees("ties and corners", &graph, &[Tensor::new(vec![2, 3], vec![0.0, 0.0, -0.5, 2.0, 1e-7, 2.0])]);
}

/// An op that no executor but the reference knows.
#[derive(Debug)]
struct Strange;

impl Op for Strange {
    fn name(&self) -> &'static str {
        "strange"
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        Ok(operands[0].to_vec())
    }

    fn gradient(&self, at: &mut segc_compiler::ops::Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("it is strange")
    }

    fn form(&self) -> Form {
        Form::Whole
    }

    fn reference(&self, operands: &[&Tensor], _: &[usize]) -> Tensor {
        operands[0].clone()
    }
}

#[test]
fn what_dfdx_cannot_run_is_named_with_its_place() {
    let place = segc_lang::source::Span { source: segc_lang::source::SourceId(0), start: 7, end: 9 };
    let graph = small(&[2], |graph, x| {
        graph.place = Some(place);
        vec![graph.add(Arc::new(Strange), &[x])]
    });
    let error = second_opinion::<f64>(&graph, &[vec![1.0, 2.0]]).expect_err("refused");
    let segc_runtime::outcome::RunError::Spec(fault) = error else { panic!("{error}") };
    assert!(fault.message.contains("`strange`"), "{}", fault.message);
    assert_eq!(fault.labels[0].0, place);
    assert!(fault.help.expect("help").contains("--on cpu"));
}

struct Specs;

impl Loader for Specs {
    fn load(&self, _: &str, _: &str) -> Result<(String, String), LoadError> {
        Err(LoadError::Missing(Vec::new()))
    }
}

/// What a text says of `wanted`, for a batch of two samples. Errors: faults, and what no executor runs.
fn built(text: &str, wanted: &str) -> (Spec, Graph) {
    let overrides = Overrides { wanted: vec![wanted.into()], training: true, batch: Some(2), ..Overrides::default() };
    let checked = segc_lang::compile("net.seg", text, &Specs, &overrides);
    let wrong = checked.faults.iter().find(|fault| fault.severity == Severity::Error);
    assert!(wrong.is_none(), "{wrong:?}");
    let spec = checked.spec.expect("an elaborated spec");
    assert!(spec.pending.is_empty(), "{:?}", spec.pending);
    let graph = build(&spec, &spec.wanted, &Request { batch: Some(2), states: false }).unwrap_or_else(|fault| panic!("{fault:?}"));
    (spec, graph)
}

/// Asserts that the value of a net and the derivatives of its weighted sum by all its weights and by the images agree.
fn net_agrees(what: &str, text: &str) {
    let (spec, mut graph) = built(text, "y");
    let y = graph.outputs[0].1;
    let goal = weighted_sum(&mut graph, y);
    let (mut values, mut weights) = (Vec::new(), 0);
    for (number, leaf) in graph.leaves.clone().iter().enumerate() {
        let is_it = |id: &NodeId| graph.node(*id).op.form() == Form::Input(number);
        let Some(input) = graph.ids().find(is_it) else { panic!("{leaf:?} is no input") };
        let shape = graph.shape(input).to_vec();
        let count = shape.iter().product::<usize>();
        // Weights as small as nets begin with, so that their values stay about one.
        let size = if let Leaf::Weight(_) = leaf { 1.5 / (shape.iter().skip(1).product::<usize>() as f64).sqrt() } else { 1.0 };
        let wave = |i: usize| f64::from((size * (0.7 + 1.37 * i as f64 + 3.1 * number as f64).sin()) as f32);
        values.push(Tensor::new(shape, (0..count).map(wave).collect()));
        if matches!(leaf, Leaf::Weight(_) | Leaf::Field(..)) {
            let slope = graph.add(Arc::new(Grad), &[goal, input]);
            graph.outputs.push((format!("d {leaf:?}"), slope));
            weights += usize::from(matches!(leaf, Leaf::Weight(_)));
        }
    }
    assert_eq!(weights, spec.weights.len(), "{what} uses all its weights");
    println!("{what}: {} nodes, {weights} weights", graph.len());
    agrees(what, &graph, &values);
}

#[test]
fn a_discriminator_block_of_stylegan_agrees() {
    let text = "use std::stylegan
        data images = pictures() |> resize(8)
        model block = stylegan::critic_block(5)
        let y = block(images.image)";
    net_agrees("a StyleGAN discriminator block", text);
}

#[test]
fn a_whole_discriminator_of_stylegan_and_its_penalty_agree() {
    let text = "use std::stylegan, std::gan
        data images = pictures() |> resize(8)
        model critic = stylegan::critic(8, widest: 4)
        fn score(x: image) -> real { return critic(x).score }";
    net_agrees("a StyleGAN discriminator", &format!("{text}\nlet y = score(images.image)"));
    net_agrees("R1 through it", &format!("{text}\nlet y = gan::r1(score, images.image, strength: 10)"));
}

#[test]
fn a_unet_agrees() {
    let text = "use std::unet
        data images = pictures() |> resize(8)
        model cutter = unet::segmenter(widths: [4, 5, 6])
        let y = cutter(images.image)";
    net_agrees("a U-Net", text);
}

#[test]
fn a_block_of_a_vision_transformer_agrees() {
    let text = "use std::vit
        data images = pictures() |> resize(8)
        model patches = vit::patch_tokens(4, 6)
        model block = vit::block(2)
        let y = block(patches(images.image))";
    net_agrees("a ViT block", text);
}

/// IEM as `specs/iem.seg` says it, on pictures of 40 pixels.
fn iem() -> Spec {
    let overrides = Overrides { sets: vec![("size".into(), "40".into())], ..Overrides::default() };
    let checked = segc_lang::compile("specs/iem.seg", include_str!("../../specs/iem.seg"), &Specs, &overrides);
    checked.spec.expect("an elaborated spec")
}

/// The parts of the picture and of the mask: waves, brighter in a disc.
fn iem_inputs(leaves: &[Leaf], shapes: &[Shape]) -> Vec<Tensor> {
    let wave = |i: &[usize]| {
        let [c, row, column] = [i[i.len() - 3], i[i.len() - 2], i[i.len() - 1]].map(|i| i as f64);
        let inside = (row - 18.0).powi(2) + (column - 22.0).powi(2) <= 90.0;
        if inside { 0.45 + 0.15 * (0.8 * row - 0.6 * column + 0.7 * c).cos() } else { -0.3 + 0.2 * (0.5 * row + 0.3 * column + c).sin() }
    };
    let mask = |i: &[usize]| 0.1 + 0.8 * f64::from((8..30).contains(&i[0]) && (10..32).contains(&i[1]));
    let value = |(leaf, shape): (&Leaf, &Shape)| match leaf {
        Leaf::Field(..) => Tensor::from_index(shape, |i| f64::from(wave(i) as f32)),
        _ => Tensor::from_index(shape, |i| f64::from(mask(i) as f32)),
    };
    leaves.iter().zip(shapes).map(value).collect()
}

#[test]
fn the_objective_of_iem_and_its_gradient_agree() {
    let spec = iem();
    let member = &spec.solves[0].members[0];
    let mut roots = vec![("next m".to_owned(), member.states[0].next)];
    roots.extend(member.watched.iter().cloned());
    let program = segc_compiler::compile(&spec, &roots, &Request::default(), true).expect("a program");
    let mut graph = program.forward.clone();
    let grads: Vec<NodeId> = graph.ids().filter(|id| graph.node(*id).op.name() == "grad").collect();
    assert!(!grads.is_empty(), "the step of IEM asks for a gradient");
    graph.outputs.extend(grads.into_iter().enumerate().map(|(i, id)| (format!("gradient {i}"), id)));
    let (leaves, shapes): (Vec<Leaf>, Vec<Shape>) = program.inputs.into_iter().unzip();
    agrees("IEM", &graph, &iem_inputs(&leaves, &shapes));
}
