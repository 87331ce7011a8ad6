//! Programs of many samples: sample by sample what programs of one sample give; values that all share; states threaded through calls.

mod evaluate;

use segc_compiler::build::{Leaf, Request, build};
use segc_compiler::rng::{Place, Stream};
use segc_compiler::tensor::Tensor;
use segc_compiler::{differentiate, simplify};
use segc_lang::source::{SourceId, Span};
use segc_lang::spec::{
    Axis, AxisMap, Binary, Buffer, Call, Distribution, Element, Filter, Per, Prim, Reduction, Sliding, Spec, Term, TermId, Type, Unary,
    Unit, Weight,
};

const CHANNEL: Axis = Axis(0);
const HEIGHT: Axis = Axis(1);
const WIDTH: Axis = Axis(2);
const OTHER: Axis = Axis(3);
const OUT: Axis = Axis(4);
const ROW: Axis = Axis(5);
const COLUMN: Axis = Axis(6);
const KIND: Axis = Axis(7);

const SIZES: [(Axis, usize); 3] = [(CHANNEL, 2), (HEIGHT, 4), (WIDTH, 5)];
const BATCH: usize = 3;

/// Terms by hand.
struct Text(Spec);

impl Text {
    fn new() -> Text {
        let axes = ["channel", "height", "width", "other", "out", "row", "column", "kind"];
        Text(Spec { axes: axes.map(String::from).into(), ..Spec::default() })
    }

    fn term(&mut self, prim: Prim, args: &[TermId], axes: &[(Axis, usize)]) -> TermId {
        self.typed(prim, args, Element::Real, axes)
    }

    fn typed(&mut self, prim: Prim, args: &[TermId], element: Element, axes: &[(Axis, usize)]) -> TermId {
        let span = Span { source: SourceId(0), start: self.0.terms.len() as u32, end: 0 };
        self.0.terms.push(Term { prim, args: args.to_vec(), ty: Type { element, axes: axes.to_vec() }, span })
    }

    fn number(&mut self, value: f64) -> TermId {
        self.term(Prim::Const(value), &[], &[])
    }

    fn image(&mut self) -> TermId {
        self.term(Prim::Field { data: 0, field: "image".into() }, &[], &SIZES)
    }

    fn weight(&mut self, axes: &[(Axis, usize)]) -> TermId {
        let start = self.number(0.0);
        let ty = Type { element: Element::Real, axes: axes.to_vec() };
        let span = self.0.terms.get(start).span;
        self.0.weights.push(Weight { path: format!("w{}", self.0.weights.len()), ty, order: Vec::new(), start, span });
        self.term(Prim::Weight(self.0.weights.len() - 1), &[], axes)
    }

    fn binary(&mut self, function: Binary, a: TermId, b: TermId, axes: &[(Axis, usize)]) -> TermId {
        self.term(Prim::Binary(function), &[a, b], axes)
    }

    fn sum(&mut self, x: TermId) -> TermId {
        let axes = self.0.terms.get(x).ty.axes.iter().map(|(axis, _)| *axis).collect();
        self.term(Prim::Reduce(Reduction::Sum, axes), &[x], &[])
    }

    fn draw(&mut self, from: Distribution, path: &str, per: Per, args: &[TermId], axes: &[(Axis, usize)]) -> TermId {
        self.term(Prim::Draw { from, path: path.into(), per }, args, axes)
    }
}

/// The leaves of sample `from` to `to`, or of one sample without the axis of samples.
fn leaf(leaf: &Leaf, shape: &[usize], samples: std::ops::Range<usize>) -> Tensor {
    let wave = |key: usize, count: usize| (0..count).map(|i| (0.3 + 0.7 * i as f64 + 5.0 * key as f64).sin()).collect::<Vec<_>>();
    let own = |count: usize| samples.clone().flat_map(|sample| wave(sample, count)).collect();
    match leaf {
        Leaf::Field(..) => Tensor::new(shape.to_vec(), own(40)),
        Leaf::Samples => Tensor::new(shape.to_vec(), samples.flat_map(|sample| [sample as f64, 1.0]).collect()),
        Leaf::Clock => Tensor::new(vec![8], vec![7.0, 0.0, 0.0, 0.0, 2.0, 3.0, 9.0, 0.0]),
        Leaf::Weight(n) | Leaf::Buffer(n) => Tensor::new(shape.to_vec(), wave(100 + n, shape.iter().product())),
        _ => Tensor::new(shape.to_vec(), vec![0.25; shape.iter().product()]),
    }
}

fn run(spec: &Spec, roots: &[TermId], request: Request, samples: std::ops::Range<usize>) -> Vec<Tensor> {
    let roots: Vec<_> = roots.iter().enumerate().map(|(i, id)| (format!("{i}"), *id)).collect();
    let graph = differentiate(&build(spec, &roots, &request).expect("a graph"));
    let shapes: Vec<_> = graph
        .ids()
        .filter_map(|id| match graph.node(id).op.form() {
            segc_compiler::ops::Form::Input(number) => Some((graph.leaves[number].clone(), graph.shape(id).to_vec())),
            _ => None,
        })
        .collect();
    let given = |asked: &Leaf| {
        let shape = shapes.iter().find(|(known, _)| known == asked).map(|(_, shape)| shape.clone()).unwrap_or_default();
        leaf(asked, &shape, samples.clone())
    };
    let plain = evaluate::outputs(&graph, &given);
    let simple = evaluate::outputs(&simplify(&graph), &given);
    for (a, b) in plain.iter().zip(&simple) {
        close(&a.data, &b.data);
    }
    plain
}

fn close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= 1e-9 * (1.0 + y.abs()), "{x} instead of {y}");
    }
}

/// The terms in a program of all samples are, sample by sample, those of programs of one sample.
fn same_sample_by_sample(text: &Text, roots: &[TermId]) {
    let together = run(&text.0, roots, Request { batch: Some(BATCH), states: false }, 0..BATCH);
    for sample in 0..BATCH {
        let alone = run(&text.0, roots, Request::default(), sample..sample + 1);
        for (number, (all, one)) in together.iter().zip(&alone).enumerate() {
            let shared = all.shape == one.shape;
            let part = if shared { &all.data[..] } else { &all.data[sample * one.data.len()..][..one.data.len()] };
            assert!(shared || all.shape == [&[BATCH][..], &one.shape].concat(), "root {number}: {:?} and {:?}", all.shape, one.shape);
            close(part, &one.data);
        }
    }
}

#[test]
fn along_axes() {
    let mut text = Text::new();
    let (x, w) = (text.image(), text.weight(&[(CHANNEL, 2), (KIND, 3)]));
    let roots = [
        text.term(Prim::Dot(vec![CHANNEL]), &[x, w], &[(HEIGHT, 4), (WIDTH, 5), (KIND, 3)]),
        text.term(Prim::Dot(vec![CHANNEL]), &[w, x], &[(HEIGHT, 4), (WIDTH, 5), (KIND, 3)]),
        text.term(Prim::Reduce(Reduction::Max, vec![HEIGHT]), &[x], &[(CHANNEL, 2), (WIDTH, 5)]),
        text.term(Prim::ArgMax(WIDTH), &[x], &[(CHANNEL, 2), (HEIGHT, 4)]),
        text.term(Prim::Pick(HEIGHT, 2), &[x], &[(CHANNEL, 2), (WIDTH, 5)]),
        text.term(Prim::Slice(WIDTH, 1), &[x], &[(CHANNEL, 2), (HEIGHT, 4), (WIDTH, 3)]),
        text.term(Prim::Rename(CHANNEL, OTHER), &[x], &[(HEIGHT, 4), (WIDTH, 5), (OTHER, 2)]),
        text.term(Prim::Split(HEIGHT, vec![(OTHER, 2), (HEIGHT, 2)]), &[x], &[(CHANNEL, 2), (HEIGHT, 2), (WIDTH, 5), (OTHER, 2)]),
        text.term(Prim::Merge(vec![WIDTH, CHANNEL], OTHER), &[x], &[(HEIGHT, 4), (OTHER, 10)]),
        text.term(Prim::Along(HEIGHT, AxisMap::AverageTo), &[x], &[(CHANNEL, 2), (HEIGHT, 3), (WIDTH, 5)]),
    ];
    same_sample_by_sample(&text, &roots);
}

#[test]
fn shared_values_meet_those_of_samples() {
    let mut text = Text::new();
    let x = text.image();
    let bias = text.weight(&[(CHANNEL, 2)]);
    let scale = text.weight(&SIZES);
    let time = text.term(Prim::Elapsed(Unit::Steps), &[], &[]);
    let moved = text.binary(Binary::Add, x, bias, &SIZES);
    let faded = text.binary(Binary::Multiply, time, moved, &SIZES);
    let more = text.binary(Binary::Greater, scale, x, &SIZES);
    let roots = [
        faded,
        text.term(Prim::Where, &[more, bias, x], &SIZES),
        text.term(Prim::Stack(KIND), &[x, scale], &[(CHANNEL, 2), (HEIGHT, 4), (WIDTH, 5), (KIND, 2)]),
        text.term(Prim::Concat(HEIGHT), &[scale, x], &[(CHANNEL, 2), (HEIGHT, 8), (WIDTH, 5)]),
        text.term(Prim::Spread, &[bias], &[(CHANNEL, 2), (KIND, 3)]),
    ];
    same_sample_by_sample(&text, &roots);
}

#[test]
fn indices_of_run_time() {
    let mut text = Text::new();
    let (x, table) = (text.image(), text.weight(&[(CHANNEL, 2), (KIND, 5)]));
    let place = text.typed(Prim::ArgMax(WIDTH), &[x], Element::Int, &[(CHANNEL, 2), (HEIGHT, 4)]);
    let one = text.typed(Prim::Pick(CHANNEL, 0), &[place], Element::Int, &[(HEIGHT, 4)]);
    let single = text.typed(Prim::Pick(HEIGHT, 0), &[one], Element::Int, &[]);
    let along = text.typed(Prim::Index(OTHER), &[], Element::Int, &[(OTHER, 3)]);
    let roots = [
        text.term(Prim::PickAt(WIDTH), &[x, place], &[(CHANNEL, 2), (HEIGHT, 4)]),
        text.term(Prim::PickAt(KIND), &[table, one], &[(CHANNEL, 2), (HEIGHT, 4)]),
        text.term(Prim::PickAt(WIDTH), &[x, one], &[(CHANNEL, 2), (HEIGHT, 4)]),
        text.term(Prim::PickAt(WIDTH), &[x, single], &[(CHANNEL, 2), (HEIGHT, 4)]),
        text.term(Prim::PickAt(HEIGHT), &[x, along], &[(CHANNEL, 2), (WIDTH, 5), (OTHER, 3)]),
    ];
    same_sample_by_sample(&text, &roots);
}

#[test]
fn pictures() {
    let mut text = Text::new();
    let x = text.image();
    let many = text.term(Prim::Stack(KIND), &[x, x, x], &[(CHANNEL, 2), (HEIGHT, 4), (WIDTH, 5), (KIND, 3)]);
    let w = text.weight(&[(CHANNEL, 2), (OUT, 4), (ROW, 3), (COLUMN, 2)]);
    let own = text.weight(&[(CHANNEL, 2), (OUT, 4), (ROW, 3), (COLUMN, 2), (KIND, 3)]);
    let total = text.sum(x);
    let mixed = text.binary(Binary::Multiply, w, total, &[(CHANNEL, 2), (OUT, 4), (ROW, 3), (COLUMN, 2)]);
    let sliding = Sliding { stride: [1, 2], pad: [1, 0, 1, 1], dilation: [1, 1], input_dilation: [1, 1], groups: 1 };
    let grouped = Sliding { groups: 2, ..sliding };
    let thin = text.weight(&[(CHANNEL, 1), (OUT, 4), (ROW, 3), (COLUMN, 2)]);
    let large = [(CHANNEL, 4), (HEIGHT, 3), (WIDTH, 3)];
    let made = text.term(Prim::Conv2d(sliding), &[x, w], &large);
    let turned = text.weight(&[(CHANNEL, 4), (OUT, 1), (ROW, 3), (COLUMN, 2)]);
    let (mapped, pooled) = ([(CHANNEL, 4), (HEIGHT, 3), (WIDTH, 3), (KIND, 3)], [(CHANNEL, 2), (HEIGHT, 2), (WIDTH, 2)]);
    let roots = [
        made,
        text.term(Prim::Conv2d(grouped), &[x, thin], &large),
        text.term(Prim::Conv2d(sliding), &[many, w], &mapped),
        text.term(Prim::Conv2d(sliding), &[many, own], &mapped),
        text.term(Prim::Conv2d(sliding), &[x, own], &mapped),
        text.term(Prim::Conv2d(sliding), &[x, mixed], &large),
        text.term(Prim::Conv2dTransposed(grouped), &[made, turned], &[(CHANNEL, 2), (HEIGHT, 4), (WIDTH, 5)]),
        text.term(Prim::MaxPool { window: [2, 3], stride: [2, 2], pad: [0; 4] }, &[x], &pooled),
        text.term(
            Prim::Along(WIDTH, AxisMap::Resize { by: Filter::Bilinear, corners: false, smooth: false, scale: None }),
            &[many],
            &[(CHANNEL, 2), (HEIGHT, 4), (WIDTH, 9), (KIND, 3)],
        ),
    ];
    same_sample_by_sample(&text, &roots);
}

#[test]
fn moves() {
    let mut text = Text::new();
    let (x, low, high, half) = (text.image(), text.number(-2.0), text.number(3.0), text.number(1.75));
    let at = Prim::Translate { height: HEIGHT, width: WIDTH };
    let whole = text.draw(Distribution::Integers, "whole", Per::Sample, &[low, high], &[]);
    let shared = text.draw(Distribution::Uniform, "shared", Per::Batch, &[low, high], &[]);
    let channels = text.draw(Distribution::Uniform, "channels", Per::Sample, &[low, high], &[(CHANNEL, 2)]);
    let picture = text.weight(&SIZES);
    let roots = [
        text.term(at.clone(), &[x, whole, whole], &SIZES),
        text.term(at.clone(), &[x, shared, whole], &SIZES),
        text.term(at.clone(), &[x, channels, low], &SIZES),
        text.term(at.clone(), &[picture, channels, shared], &SIZES),
        text.term(at, &[x, half, low], &SIZES),
    ];
    same_sample_by_sample(&text, &roots);
    // Known and found at run time is the same.
    let time = text.term(Prim::Elapsed(Unit::Steps), &[], &[]);
    let quarter = text.number(0.25);
    let at = Prim::Translate { height: HEIGHT, width: WIDTH };
    let roots = [text.term(at.clone(), &[x, quarter, quarter], &SIZES), text.term(at, &[x, time, time], &SIZES)];
    let made = run(&text.0, &roots, Request::default(), 0..1);
    close(&made[0].data, &made[1].data);
}

#[test]
fn a_broken_move_has_a_slope() {
    let mut text = Text::new();
    let (x, by, kind) = (text.image(), text.weight(&[]), text.weight(&SIZES));
    let at = Prim::Translate { height: HEIGHT, width: WIDTH };
    let energy = |text: &mut Text, by: TermId| {
        let moved = text.term(at.clone(), &[x, by, by], &SIZES);
        let weighed = text.binary(Binary::Multiply, moved, kind, &SIZES);
        text.sum(weighed)
    };
    let (small, here) = (text.number(1e-5), energy(&mut text, by));
    let [above, below] = [Binary::Add, Binary::Subtract].map(|way| {
        let by = text.binary(way, by, small, &[]);
        energy(&mut text, by)
    });
    let slope = text.term(Prim::Grad, &[here, by], &[]);
    let back = text.term(Prim::Grad, &[here, x], &SIZES);
    same_sample_by_sample(&text, &[here, back]);
    let made = run(&text.0, &[slope, above, below], Request::default(), 0..1);
    let difference = (made[1].data[0] - made[2].data[0]) / 2e-5;
    assert!((made[0].data[0] - difference).abs() < 1e-6 && difference.abs() > 0.1, "{} instead of {difference}", made[0].data[0]);
}

#[test]
fn draws_are_those_of_their_stream() {
    let mut text = Text::new();
    let axes = [(CHANNEL, 2), (WIDTH, 3)];
    let (zero, one, nine) = (text.number(0.0), text.number(1.0), text.number(9.0));
    let roots = [
        text.draw(Distribution::Normal, "a", Per::Sample, &[zero, one], &axes),
        text.draw(Distribution::Uniform, "b", Per::Sample, &[zero, one], &axes),
        text.draw(Distribution::Integers, "c", Per::Batch, &[zero, nine], &axes),
        text.draw(Distribution::Normal, "d", Per::Step, &[zero, one], &axes),
        text.draw(Distribution::Normal, "e", Per::Start, &[zero, one], &axes),
        text.draw(Distribution::Sphere, "f", Per::Sample, &[], &axes),
        text.draw(Distribution::Permutation, "g", Per::Sample, &[], &[(WIDTH, 6)]),
        text.draw(Distribution::Beta, "h", Per::Sample, &[one, nine], &axes),
        text.draw(Distribution::Bernoulli, "i", Per::Sample, &[one], &axes),
        text.draw(Distribution::Orthogonal, "j", Per::Start, &[nine], &[(CHANNEL, 3), (OUT, 2), (ROW, 2)]),
    ];
    same_sample_by_sample(&text, &roots);
    let made = run(&text.0, &roots, Request { batch: Some(BATCH), states: false }, 0..BATCH);
    let here = Place { phase: 2, turn: 3, step: 9, sample: 0 };
    let draw = |path: &str, place| Stream::new(7, path, place);
    let each = |path: &str, value: &dyn Fn(&Stream, u64) -> f64| -> Vec<f64> {
        let sample = |sample: u32| draw(path, Place { sample: sample | 1 << 16, ..here });
        (0..3).flat_map(|n| (0..6).map(move |i| (n, i))).map(|(n, i)| value(&sample(n), i)).collect()
    };
    let all = |path: &str, place, value: &dyn Fn(&Stream, u64) -> f64| (0..6).map(|i| value(&draw(path, place), i)).collect::<Vec<_>>();
    assert_eq!(made[0].data, each("a", &|s, i| s.normal(i)));
    assert_eq!(made[1].data, each("b", &|s, i| s.uniform(i)));
    assert_eq!(made[2].data, all("c", here, &|s, i| s.integer(i, 9) as f64));
    assert_eq!(made[3].data, all("d", Place { turn: 0, ..here }, &|s, i| s.normal(i)));
    assert_eq!(made[4].data, all("e", Place { phase: here.phase, ..Place::default() }, &|s, i| s.normal(i)));
    assert!(made[5].data.chunks(6).all(|row| (row.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12));
    assert_eq!(made[6].data, each("g", &|s, i| s.permutation(0, 6)[i as usize] as f64));
    assert_eq!(made[7].data, each("h", &|s, i| s.beta(i, 1.0, 9.0)));
    assert!(made[8].data.iter().all(|x| *x == 1.0));
    let product = |a: usize, b: usize| -> f64 {
        let element = |out: usize, i: usize| made[9].at(&[i / 2, out, i % 2]);
        (0..6).map(|i| element(a, i) * element(b, i)).sum()
    };
    assert!((product(0, 0) - 81.0).abs() < 1e-9 && (product(1, 1) - 81.0).abs() < 1e-9 && product(0, 1).abs() < 1e-9);
}

#[test]
fn the_door_of_the_batch() {
    let mut text = Text::new();
    let x = text.image();
    let total = text.sum(x);
    let all = text.term(Prim::Batch(OTHER), &[total], &[(OTHER, BATCH)]);
    let rows = text.term(Prim::Batch(OTHER), &[x], &[(CHANNEL, 2), (HEIGHT, 4), (WIDTH, 5), (OTHER, BATCH)]);
    let me = text.typed(Prim::SampleIndex, &[], Element::Int, &[]);
    let mine = text.term(Prim::PickAt(OTHER), &[all, me], &[]);
    let again = text.term(Prim::PickAt(OTHER), &[rows, me], &SIZES);
    let made = run(&text.0, &[total, all, mine, x, again, rows], Request { batch: Some(BATCH), states: false }, 0..BATCH);
    assert_eq!(made[1].shape, [BATCH]);
    close(&made[1].data, &made[0].data);
    close(&made[2].data, &made[0].data);
    close(&made[4].data, &made[3].data);
    assert_eq!(made[5].shape, [2, 4, 5, BATCH]);
    let wrong = build(&text.0, &[("x".into(), all)], &Request { batch: Some(2), states: false });
    assert!(wrong.is_err_and(|fault| fault.message.contains("2 samples")));
    let none = build(&text.0, &[("x".into(), total)], &Request { batch: Some(0), states: false });
    assert!(none.is_err_and(|fault| fault.message == "a batch has no samples"));
}

#[test]
fn derivatives_over_a_batch() {
    let mut text = Text::new();
    let (x, w) = (text.image(), text.weight(&[(CHANNEL, 2)]));
    let product = text.binary(Binary::Multiply, x, w, &SIZES);
    let bent = text.term(Prim::Unary(Unary::Tanh), &[product], &SIZES);
    let energy = text.sum(bent);
    let by_x = text.term(Prim::Grad, &[energy, x], &SIZES);
    let by_w = text.term(Prim::Grad, &[energy, w], &[(CHANNEL, 2)]);
    let squares = text.binary(Binary::Multiply, by_x, by_x, &SIZES);
    let penalty = text.sum(squares);
    let second = text.term(Prim::Grad, &[penalty, w], &[(CHANNEL, 2)]);
    same_sample_by_sample(&text, &[energy, by_x]);
    let together = run(&text.0, &[by_w, second], Request { batch: Some(BATCH), states: false }, 0..BATCH);
    let mut sums = vec![vec![0.0; 2]; 2];
    for sample in 0..BATCH {
        let alone = run(&text.0, &[by_w, second], Request::default(), sample..sample + 1);
        for (sum, part) in sums.iter_mut().zip(&alone) {
            sum.iter_mut().zip(&part.data).for_each(|(sum, x)| *sum += x);
        }
    }
    close(&together[0].data, &sums[0]);
    close(&together[1].data, &sums[1]);
}

/// A net with the state u: it gives `x * u` and leaves `u + x`, or with `alone` `2 u`.
struct Counter {
    text: Text,
}

impl Counter {
    fn new() -> Counter {
        let mut text = Text::new();
        let start = text.number(1.0);
        let span = text.0.terms.get(start).span;
        text.0.buffers.push(Buffer {
            path: "net.u".into(),
            ty: Type { element: Element::Real, axes: Vec::new() },
            order: Vec::new(),
            start,
            span,
        });
        Counter { text }
    }

    fn call(&mut self, x: TermId, place: u32, alone: bool) -> TermId {
        let call = self.text.0.calls.len();
        let u = self.text.term(Prim::Buffer { buffer: 0, call }, &[], &[]);
        let next = self.text.binary(Binary::Add, u, if alone { u } else { x }, &[]);
        let y = self.text.binary(Binary::Multiply, x, u, &[]);
        let order = vec![Span { source: SourceId(0), start: place, end: place }];
        self.text.0.calls.push(Call { states: vec![(0, Some(next))], order });
        self.text.term(Prim::Called(call), &[y], &[])
    }

    /// The named results and, behind them, what is left; u is `u` before.
    fn run(&self, roots: &[TermId]) -> Vec<f64> {
        let made = run(&self.text.0, roots, Request { batch: None, states: true }, 0..1);
        made.into_iter().flat_map(|x| x.data).collect()
    }
}

#[test]
fn states_go_from_call_to_call_in_the_order_of_the_text() {
    let mut counter = Counter::new();
    let (two, ten, five) = (counter.text.number(2.0), counter.text.number(10.0), counter.text.number(5.0));
    let late = counter.call(two, 90, false);
    let early = counter.call(ten, 10, false);
    let middle = counter.call(five, 50, true);
    let u = leaf(&Leaf::Buffer(0), &[], 0..1).data[0];
    close(&counter.run(&[late, early, middle]), &[2.0 * 2.0 * (u + 10.0), 10.0 * u, 5.0 * (u + 10.0), 2.0 * (u + 10.0) + 2.0]);
    // A call that nothing needs is not made.
    close(&counter.run(&[late, middle]), &[2.0 * 2.0 * u, 5.0 * u, 2.0 * u + 2.0]);
    close(&counter.run(&[late]), &[2.0 * u, u + 2.0]);
}

#[test]
fn a_call_may_need_what_another_gives() {
    let mut counter = Counter::new();
    let two = counter.text.number(2.0);
    let first = counter.call(two, 10, false);
    let second = counter.call(first, 20, false);
    let u = leaf(&Leaf::Buffer(0), &[], 0..1).data[0];
    close(&counter.run(&[second]), &[2.0 * u * (u + 2.0), u + 2.0 + 2.0 * u]);
    // Against the order it works as long as the state does not depend on what is given.
    let mut counter = Counter::new();
    let two = counter.text.number(2.0);
    let inner = counter.call(two, 20, false);
    let outer = counter.call(inner, 10, true);
    close(&counter.run(&[outer]), &[2.0 * 2.0 * u * u, 2.0 * u + 2.0]);
    let mut counter = Counter::new();
    let two = counter.text.number(2.0);
    let inner = counter.call(two, 20, false);
    let outer = counter.call(inner, 10, false);
    let fault = build(&counter.text.0, &[("y".into(), outer)], &Request::default()).expect_err("goes round");
    assert!(fault.message.contains("`net.u` goes round"), "{}", fault.message);
}

#[test]
fn no_gradient_passes_a_state() {
    let mut counter = Counter::new();
    let w = counter.text.weight(&[]);
    let first = counter.call(w, 10, false);
    let second = counter.call(first, 20, false);
    let slope = counter.text.term(Prim::Grad, &[second, w], &[]);
    let (u, w) = (leaf(&Leaf::Buffer(0), &[], 0..1).data[0], leaf(&Leaf::Weight(0), &[], 0..1).data[0]);
    // second = (w u) (u + w), where u + w is a state.
    close(&counter.run(&[slope])[..1], &[u * (u + w)]);
}
