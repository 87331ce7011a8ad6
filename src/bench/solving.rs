//! Steps of IEM's `solve`: every image has a program run of its own, images are shared by threads as `segc run` does.

use std::time::{Duration, Instant};

use segc_compiler::plan::finish;
use segc_compiler::{Leaf, Program, Request};
use segc_lang::params::Overrides;
use segc_lang::spec::{Spec, TermId};
use segc_runtime::execute::{Compiler, Cpu, Cuda, Executable};

use super::Measured;
use crate::console;
use crate::shipped;

/// Side of the square that every mask begins as, in parts of the side: 78 of 128 pixels.
const START: f64 = 78.0 / 128.0;

/// Times steps of so many images. Errors in words.
pub fn steps(images: usize, (warm, steps): (usize, usize), threads: usize) -> Result<Measured, String> {
    let begin = Instant::now();
    let (spec, roots) = subject()?;
    let mut compiler = Compiler::new(Box::new(Cpu::new(1)?), true, false);
    let ready = Instant::now();
    let step = compiler.compile(&spec, &roots, &Request::default()).map_err(|error| error.to_string())?;
    let compiled = ready.elapsed();
    let mut all: Vec<Image> = (0..images).map(|number| Image::new(step.as_ref(), &spec, number)).collect();
    let mut times = Vec::new();
    let mut first = Duration::ZERO;
    for number in 0..warm + steps {
        let start = Instant::now();
        round(step.as_ref(), &mut all, threads)?;
        times.push(start.elapsed());
        if number == 0 {
            first = begin.elapsed();
        }
    }
    let cost = step.program().cost();
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    Ok(Measured {
        ms: ms(times[warm..].iter().sum()) / steps as f64,
        first_ms: ms(first),
        compile_ms: ms(compiled),
        flop: (images as u64 * cost.flop) as f64,
        bytes: (images as u64 * cost.bytes) as f64,
        mb: console::peak_memory().map_or(0.0, |bytes| bytes as f64 / 1e6),
        ..Measured::default()
    })
}

/// IEM as published, and the terms of a step.
fn subject() -> Result<(Spec, Vec<(String, TermId)>), String> {
    let overrides = Overrides { variants: vec!["paper".into()], ..Overrides::default() };
    let (_, spec) = shipped::compiled("iem", shipped::IEM, &overrides)?;
    let member = spec.solves.first().and_then(|solve| solve.members.first()).ok_or("specs/iem.seg solves nothing")?;
    let roots = member.states.iter().map(|state| (state.name.clone(), state.next)).collect();
    Ok((spec, roots))
}

/// Times a step of all images as one program on a card; each begins from the same masks, which changes nothing in what it does. Errors in
/// words.
pub fn on_card(images: usize, cuda: Cuda) -> Result<Measured, String> {
    let begin = Instant::now();
    let (spec, roots) = subject()?;
    let program = together(&spec, &roots, images)?;
    let (compiled, cost) = (begin.elapsed(), program.cost());
    let values: Vec<Vec<f32>> = program.inputs.iter().map(|one| value(one, 0)).collect();
    let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let time = cuda.pace(program, &inputs, Duration::from_secs(1)).map_err(|error| error.to_string())?;
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    let (flop, bytes) = (cost.flop as f64, cost.bytes as f64);
    Ok(Measured { ms: ms(time), compile_ms: ms(compiled), flop, bytes, ..Measured::default() })
}

/// One program of a step of many images.
fn together(spec: &Spec, roots: &[(String, TermId)], images: usize) -> Result<Program, String> {
    let graph = segc_compiler::build(spec, roots, &Request { batch: Some(images), states: false }).map_err(|fault| fault.message)?;
    let results = vec![None; graph.outputs.len()];
    Ok(finish(graph, true, &results))
}

/// What an input is: a mask or an image, of one or of several.
fn value((leaf, shape): &(Leaf, Vec<usize>), number: usize) -> Vec<f32> {
    match leaf {
        Leaf::State(_) => square(shape),
        _ => waves(shape, number),
    }
}

/// An image with its mask: what the program reads, in the order of its inputs, and which of it each result replaces.
struct Image {
    inputs: Vec<Vec<f32>>,
    states: Vec<Option<usize>>,
}

impl Image {
    fn new(step: &dyn Executable, spec: &Spec, number: usize) -> Image {
        let program = step.program();
        let state = |(name, ..): &(String, _, _)| {
            let number = spec.solves[0].members[0].states.iter().position(|state| state.name == *name);
            program.inputs.iter().position(|(leaf, _)| matches!(leaf, Leaf::State(own) if Some(*own) == number))
        };
        Image { inputs: program.inputs.iter().map(|one| value(one, number)).collect(), states: program.outputs.iter().map(state).collect() }
    }
}

/// A centred square, for each of several masks.
fn square(shape: &[usize]) -> Vec<f32> {
    let [.., height, width] = shape else { return vec![0.0; shape.iter().product()] };
    let inside = |at: usize, side: usize| ((at as f64 + 0.5) / side as f64 - 0.5).abs() < START / 2.0;
    let pixels = (0..shape.iter().product()).map(|at: usize| inside(at / width % height, *height) && inside(at % width, *width));
    pixels.map(f32::from).collect()
}

/// Smooth colours between -1 and 1, others for each image.
fn waves(shape: &[usize], number: usize) -> Vec<f32> {
    let row = shape.last().copied().unwrap_or(1);
    let at = |place: usize| (place % row, place / row);
    let colour =
        |(x, y): (usize, usize)| ((x as f32 * 0.11 + number as f32).sin() + (y as f32 * 0.07 * (1 + number % 3) as f32).cos()) / 2.0;
    (0..shape.iter().product()).map(|place| colour(at(place))).collect()
}

/// One step of all images.
fn round(step: &dyn Executable, images: &mut [Image], threads: usize) -> Result<(), String> {
    let share = images.len().div_ceil(threads).max(1);
    let own = |images: &mut [Image]| -> Result<(), String> {
        let mut scratch = step.scratch();
        for image in images {
            step.run(&image.inputs.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut scratch)?;
            for (state, result) in image.states.iter().zip(&mut scratch.outputs) {
                if let Some(state) = state {
                    std::mem::swap(&mut image.inputs[*state], result);
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = images.chunks_mut(share).map(|images| scope.spawn(|| own(images))).collect();
        running.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread of the measurement failed".to_owned())?)
    })
}

#[cfg(test)]
mod tests {
    use segc_runtime::execute::Device;

    use super::*;

    #[test]
    fn many_images_are_one_program_that_computes_what_each_does() {
        let (spec, roots) = subject().unwrap();
        let run = |program: Program| {
            let ready = Cpu::default().prepare(program).unwrap();
            let values: Vec<Vec<f32>> = ready.program().inputs.iter().map(|one| value(one, 0)).collect();
            let mut scratch = ready.scratch();
            ready.run(&values.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut scratch).unwrap();
            scratch.outputs
        };
        let single = finish(segc_compiler::build(&spec, &roots, &Request::default()).unwrap(), true, &[None]);
        let (one, many) = (run(single), run(together(&spec, &roots, 3).unwrap()));
        assert_eq!(many[0].len(), 3 * one[0].len());
        let same = one[0].iter().zip(&many[0]).filter(|(a, b)| a == b).count();
        assert!(same * 1000 >= one[0].len() * 999, "{same} of {}", one[0].len());
    }
}
