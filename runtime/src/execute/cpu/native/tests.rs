//! Machine code gives the bits of steps one by one, for every function, with both kinds of vectors.

use segc_compiler::kernel::{Access, Effect, Function, Instruction, Join, Loop, Operand, Over, Place, Scalar, Tap};
use segc_compiler::rng::{Place as At, Stream};

use super::super::alone::Hands;
use super::super::prepare::TileLoop;
use super::super::team::Team;
use super::super::tile;
use super::Phase;
use crate::execute::Lines;

const ONE: [Function; 17] = [
    Function::Copy,
    Function::Negate,
    Function::Exp,
    Function::Log,
    Function::Log1p,
    Function::Sqrt,
    Function::Sin,
    Function::Cos,
    Function::Erf,
    Function::Tanh,
    Function::Sigmoid,
    Function::Softplus,
    Function::Abs,
    Function::Sign,
    Function::Floor,
    Function::Round,
    Function::Not,
];

const TWO: [Function; 14] = [
    Function::Add,
    Function::Subtract,
    Function::Multiply,
    Function::Divide,
    Function::Power,
    Function::Maximum,
    Function::Minimum,
    Function::Modulo,
    Function::Equal,
    Function::NotEqual,
    Function::Less,
    Function::LessEqual,
    Function::And,
    Function::Or,
];

const SPACES: [[usize; 3]; 10] =
    [[1, 1, 37], [2, 3, 5], [2, 3, 16], [1, 5, 33], [2, 40, 24], [1, 1, 3000], [1, 2, 2500], [3, 64, 64], [1, 1, 1], [5, 70, 17]];

/// Numbers with which functions have trouble.
const EDGES: [f32; 10] = [0.0, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-42, 3e38, -90.0];

const INPUTS: usize = 3;

/// Draws one after the other.
struct Draws {
    stream: Stream,
    next: u64,
}

impl Draws {
    fn new(number: u64) -> Draws {
        Draws { stream: Stream::new(number, "loops", At::default()), next: 0 }
    }

    fn uniform(&mut self) -> f64 {
        self.next += 1;
        self.stream.uniform(self.next)
    }
}

fn below(draws: &mut Draws, count: usize) -> usize {
    (draws.uniform() * count as f64) as usize
}

fn numbers(draws: &mut Draws, count: usize, edges: bool) -> Vec<f32> {
    (0..count)
        .map(|_| match below(draws, 12) {
            0 if edges => EDGES[below(draws, EDGES.len())],
            _ => 6.0 * (draws.uniform() as f32 - 0.5),
        })
        .collect()
}

/// One of the ways to read a buffer of twice the elements of the space.
fn access(draws: &mut Draws, [outer, rows, columns]: [usize; 3]) -> Access {
    let place = Place::Input(below(draws, INPUTS));
    let each = |step: usize| (0..outer).map(|o| o * step).collect();
    let (outer, rows, columns) = match below(draws, 7) {
        0 => (each(rows), 1, 0),
        1 => (each(1), 0, 0),
        2 => (each(0), 0, 1),
        3 => (each(rows * columns), columns + 3, 1),
        4 => (each(rows * columns), 1, rows),
        _ => (each(rows * columns), columns, 1),
    };
    Access { place, outer, rows, columns }
}

/// What a random loop reads and writes: effects lie one after the other behind what the arena holds at first.
fn random_loop(draws: &mut Draws, space: [usize; 3]) -> Loop {
    let elements = space.iter().product::<usize>();
    let whole = |place| Access { place, outer: (0..space[0]).map(|o| o * space[1] * space[2]).collect(), rows: space[2], columns: 1 };
    let scalars = vec![Scalar::Number(0.7), Scalar::At(Place::Input(0), 0), Scalar::Number(-2.0)];
    let mut body = vec![Instruction::Load(whole(Place::Input(0)))];
    let in_place = below(draws, 2) == 0;
    if in_place {
        body.push(Instruction::Load(whole(Place::Arena(0))));
    }
    for _ in 0..1 + below(draws, 40) {
        let operand = |draws: &mut Draws| match below(draws, 6) {
            0 => Operand::Scalar(below(draws, 3)),
            1 => Operand::Value(body.len() - 1),
            _ => Operand::Value(below(draws, body.len())),
        };
        let next = match below(draws, 9) {
            0 | 1 => Instruction::Load(access(draws, space)),
            2 | 3 => Instruction::Apply(ONE[below(draws, ONE.len())], vec![operand(draws)]),
            4 => Instruction::Apply(Function::Select, vec![operand(draws), operand(draws), operand(draws)]),
            5 if below(draws, 4) == 0 => {
                let taps = [-1, 0, 2].map(|right| Tap { down: 0, right, weight: 0.25 });
                Instruction::RowStencil(below(draws, body.len()), taps.to_vec())
            }
            _ => Instruction::Apply(TWO[below(draws, TWO.len())], vec![operand(draws), operand(draws)]),
        };
        body.push(next);
    }
    let value = |draws: &mut Draws| body.len() - 1 - below(draws, body.len().min(3));
    let mut effects = vec![Effect::Store(value(draws), whole(Place::Arena(0)))];
    if below(draws, 2) == 0 {
        effects.push(Effect::Store(value(draws), whole(Place::Arena(elements))));
    }
    let over = [Over::All, Over::Rows, Over::Columns][below(draws, 3)];
    let join = [Join::Sum, Join::Max, Join::Min][below(draws, 3)];
    if below(draws, 2) == 0 {
        effects.push(Effect::Reduce { value: value(draws), join, result: Place::Arena(2 * elements), over });
    }
    Loop { space, scalars, body, effects }
}

/// The arena after a loop.
fn result(body: &TileLoop, inputs: &[&[f32]], arena: &[f32], arch: pulp::Arch) -> Vec<f32> {
    let mut arena = arena.to_vec();
    let (team, mut own) = (Team::default(), [Lines::new(body.memory())]);
    let mut hands = Hands { team: &team, arch, common: &mut [], own: &mut own };
    tile::run(body, inputs, &mut arena, &mut [], &mut vec![0.0; body.scalar_count()], &mut hands);
    arena
}

fn archs() -> Vec<pulp::Arch> {
    #[cfg(target_arch = "x86_64")]
    {
        let narrow = pulp::x86::V3::try_new().map(pulp::Arch::V3);
        let wide = pulp::x86::V4::try_new().map(pulp::Arch::V4);
        narrow.into_iter().chain(wide).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

fn compare(body: &Loop, inputs: &[Vec<f32>], arena: &[f32], name: &str) -> usize {
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut groups = 0;
    for arch in archs() {
        let native = TileLoop::new(body, arch);
        groups += native.native.phases.iter().filter(|phase| matches!(phase, Phase::Code(_))).count();
        let steps = TileLoop::by_steps(body);
        let (ours, theirs) = (result(&native, &inputs, arena, arch), result(&steps, &inputs, arena, arch));
        let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan());
        let different = ours.iter().zip(&theirs).position(differs);
        if let Some(at) = different {
            panic!("{name} with {arch:?} at {at}: {} beside {}\n{body:#?}\n{:#?}", ours[at], theirs[at], native.steps);
        }
    }
    groups
}

#[test]
fn code_has_the_bits_of_steps() {
    let mut groups = 0;
    for number in 0..600 {
        let draws = &mut Draws::new(number);
        let space = SPACES[below(draws, SPACES.len())];
        let body = random_loop(draws, space);
        let elements = space.iter().product::<usize>();
        let inputs: Vec<Vec<f32>> = (0..INPUTS).map(|_| numbers(draws, 2 * elements + 4 * space[1], number % 3 == 0)).collect();
        let arena = numbers(draws, 2 * elements + space[0] * space[1], false);
        groups += compare(&body, &inputs, &arena, &format!("loop {number}"));
    }
    assert!(archs().is_empty() || groups > 600, "only {groups} groups of steps were code");
}

#[test]
fn long_results_go_past_the_caches() {
    let elements = super::build::PAST + 77;
    let space = [1, 1, elements];
    let whole = |place| Access { place, outer: vec![0], rows: elements, columns: 1 };
    let input = |number| Instruction::Load(whole(Place::Input(number)));
    let multiply = Instruction::Apply(Function::Multiply, vec![Operand::Value(0), Operand::Value(1)]);
    let maximum = Instruction::Apply(Function::Maximum, vec![Operand::Value(2), Operand::Scalar(0)]);
    // Both lie alike, but not at the start of a vector.
    let behind = elements.next_multiple_of(16) + 5;
    let effects = vec![Effect::Store(3, whole(Place::Arena(5))), Effect::Store(2, whole(Place::Arena(behind)))];
    let body = Loop { space, scalars: vec![Scalar::Number(0.2)], body: vec![input(0), input(1), multiply, maximum], effects };
    let inputs = [3, 5].map(|step| (0..elements).map(|i| (i * step % 1001) as f32 / 300.0 - 1.0).collect());
    assert_eq!(compare(&body, &inputs, &vec![0.0; behind + elements], "a long loop"), archs().len());
    if let Some(arch) = archs().pop() {
        let native = TileLoop::new(&body, arch).native;
        assert!(matches!(&native.phases[..], [Phase::Code(group)] if group.past.is_some()));
    }
}
