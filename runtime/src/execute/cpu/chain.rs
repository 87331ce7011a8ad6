//! Loops that follow each other over one space, where each element needs nothing but its own row of what the loops before it made: they
//! run band by band, all of them on one band before the next, so that a norm or a softmax reads its numbers from memory once.

use std::ops::Range;

use segc_compiler::kernel::{Access, Over, Place, Scalar};

use super::alone::Hands;
use super::prepare::{Leave, TileLoop, What};
use super::tile::{Between, Buffer, Job, Share, Work, fill, partial, range, read, split};

/// Elements of a band, as near as whole rows allow: what some loops read and write of it stays in the second cache.
const BAND: usize = 1 << 15;

/// Elements below which all stays in the caches anyway.
const LEAST: usize = 8 * BAND;

/// Elements of the longest rows: with longer ones a band is too large for the cache.
const LONGEST: usize = 2 * BAND;

/// How loops run together.
#[derive(Debug)]
pub(super) struct Chain {
    parts: Vec<Part>,
    /// For each loop the part that each of its effects writes.
    effects: Vec<Vec<usize>>,
    /// Bands of rows, counted over all outer axes.
    bands: Vec<Range<usize>>,
}

/// A part of the arena that loops write, or a result of the program.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    /// The number of the result.
    result: Option<usize>,
    at: usize,
    elements: usize,
    kind: Kind,
}

/// What there is of a part for each band.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Each,
    Row,
    Outer,
}

/// Whether a loop is over one element for each row of another one: it stands between sums of rows and what is made of them.
fn is_by_row(body: &TileLoop, first: &TileLoop) -> bool {
    let plain = |(access, stencil): (&Access, bool)| access.columns == 1 && !stencil;
    let store = |leave: &Leave| matches!(leave, Leave::Store(..));
    [body.outer, body.rows, body.columns] == [1, 1, first.outer * first.rows]
        && first.columns > 1
        && accesses(body).all(plain)
        && body.leaves.iter().all(store)
}

impl Part {
    /// What a loop leaves; none where it cannot be cut into bands of the first one's rows.
    fn new(body: &TileLoop, first: &TileLoop, leave: &Leave) -> Option<Part> {
        let (at, elements) = range(body, leave);
        let part = |result, elements, kind| Some(Part { result, at, elements, kind });
        let each = if is_by_row(body, first) { Kind::Row } else { Kind::Each };
        match leave {
            Leave::Store(_, access) => match access.place {
                Place::Arena(_) => part(None, elements, each),
                Place::Result(number) => part(Some(number), body.outer * body.rows * body.columns, each),
                Place::Input(_) => None,
            },
            Leave::Reduce { over: Over::Columns, .. } => part(None, elements, Kind::Row),
            Leave::Reduce { over: Over::Rows, .. } => part(None, elements, Kind::Outer),
            Leave::Reduce { .. } => None,
        }
    }

    fn meets(&self, from: usize, to: usize) -> bool {
        self.result.is_none() && from < self.at + self.elements && self.at < to
    }

    fn overlaps(&self, other: &Part) -> bool {
        match (self.result, other.result) {
            (None, None) => self.meets(other.at, other.at + other.elements),
            (own, other) => own == other,
        }
    }

    /// Elements before a row of the first loop, counted over all outer axes.
    fn before(&self, first: &TileLoop, row: usize) -> usize {
        match self.kind {
            Kind::Each => row * first.columns,
            Kind::Row => row,
            Kind::Outer => row / first.rows,
        }
    }

    /// Whether an access reads of each row what belongs to it.
    fn is_own(&self, body: &TileLoop, first: &TileLoop, access: &Access) -> bool {
        let Place::Arena(at) = access.place else { return false };
        if is_by_row(body, first) {
            return self.kind == Kind::Row && at + access.outer[0] == self.at;
        }
        let (rows, columns, step) = match self.kind {
            Kind::Each => (body.columns, 1, body.rows * body.columns),
            Kind::Row => (1, 0, body.rows),
            Kind::Outer => (0, 0, 1),
        };
        let steps = (access.rows == rows || body.rows == 1) && (access.columns == columns || body.columns == 1);
        steps && access.outer.iter().enumerate().all(|(outer, start)| at + start == self.at + outer * step)
    }
}

/// The elements of the arena that an access may read; none of an input.
fn touched(body: &TileLoop, access: &Access) -> Range<usize> {
    let Place::Arena(at) = access.place else { return 0..0 };
    let (first, last) = access.outer.iter().fold((usize::MAX, 0), |(first, last), start| (first.min(*start), last.max(*start)));
    at + first.min(last)..at + last + (body.rows - 1) * access.rows + (body.columns - 1) * access.columns + 1
}

/// What a loop reads, and whether through a stencil.
fn accesses(body: &TileLoop) -> impl Iterator<Item = (&Access, bool)> {
    let of_steps = body.steps.iter().filter_map(|step| Some((step.access()?, matches!(step.what, What::LoadStencil(..)))));
    body.there.iter().map(|access| (access, false)).chain(of_steps)
}

impl Chain {
    /// As many of the loops, from the first one on, as can run together; none if that are fewer than two.
    pub fn new(loops: &[&TileLoop]) -> Option<(Chain, usize)> {
        let first = loops.first()?;
        let space = |body: &TileLoop| [body.outer, body.rows, body.columns];
        let elements = space(first).iter().product::<usize>();
        if elements < LEAST || first.columns > LONGEST {
            return None;
        }
        let mut chain = Chain { parts: Vec::new(), effects: Vec::new(), bands: Vec::new() };
        let mut count = 0;
        for number in 0..loops.len() {
            let alike = space(loops[number]) == space(first) || is_by_row(loops[number], first);
            let fits = alike && Chain::bands(&loops[..=number]).is_some();
            if !fits || !chain.takes(&loops[..=number]) {
                break;
            }
            count += 1;
        }
        chain.bands = Chain::bands(&loops[..count])?;
        (count > 1).then_some((chain, count))
    }

    /// Takes the last of the loops if each of them still reads of what they write its own rows only.
    fn takes(&mut self, loops: &[&TileLoop]) -> bool {
        let (Some(first), Some(body)) = (loops.first(), loops.last()) else { return false };
        let (mut parts, mut effects) = (self.parts.clone(), Vec::new());
        for leave in &body.leaves {
            let Some(part) = Part::new(body, first, leave) else { return false };
            let known = parts.iter().position(|known| *known == part);
            if known.is_none() && parts.iter().any(|other| other.overlaps(&part)) {
                return false;
            }
            effects.push(known.unwrap_or(parts.len()));
            if known.is_none() {
                parts.push(part);
            }
        }
        let twice = (1..effects.len()).any(|number| effects[..number].contains(&effects[number]));
        if twice || !loops.iter().all(|body| reads_own(body, first, &parts)) {
            return false;
        }
        self.parts = parts;
        self.effects.push(effects);
        true
    }

    /// Bands of whole tiles of all loops; none where there are no such that are small enough.
    fn bands(loops: &[&TileLoop]) -> Option<Vec<Range<usize>>> {
        let first = loops.first()?;
        let (by_row, alike): (Vec<&TileLoop>, Vec<&TileLoop>) = loops.iter().partition(|body| is_by_row(body, first));
        let widest = by_row.iter().map(|body| body.width).min().unwrap_or(usize::MAX);
        let plane = first.rows * first.columns;
        let whole = |leave: &Leave| matches!(leave, Leave::Reduce { over: Over::Rows, .. });
        if plane <= BAND {
            let step = (BAND / plane.max(1)).max(1) * first.rows;
            let all = first.outer * first.rows;
            return (step <= widest).then(|| (0..all).step_by(step).map(|row| row..(row + step).min(all)).collect());
        }
        let tall = alike.iter().map(|body| body.height).max()?;
        if alike.iter().any(|body| !tall.is_multiple_of(body.height) || body.leaves.iter().any(whole)) {
            return None;
        }
        let step = (BAND / first.columns).max(1).next_multiple_of(tall).min(first.rows);
        if step > widest {
            return None;
        }
        let cut = |outer: usize| {
            let (from, to) = (outer * first.rows, (outer + 1) * first.rows);
            (from..to).step_by(step).map(move |row| row..(row + step).min(to))
        };
        Some((0..first.outer).flat_map(cut).collect())
    }

    /// Runs the loops that it was made for.
    pub fn run(&self, loops: &[&TileLoop], inputs: &[&[f32]], arena: &mut [f32], results: &mut [Vec<f32>], hands: &mut Hands) {
        let first = loops[0];
        let mut scalars: Vec<Vec<f32>> = loops.iter().map(|body| vec![0.0; body.scalar_count()]).collect();
        loops.iter().zip(&mut scalars).for_each(|(body, scalars)| fill(body, inputs, arena, scalars));
        let in_arena = |part: &Part| if part.result.is_none() { (part.at, part.elements) } else { (0, 0) };
        let ranges: Vec<(usize, usize)> = self.parts.iter().map(in_arena).collect();
        let (mut parts, reads) = split(&ranges, arena);
        for (number, result) in results.iter_mut().enumerate() {
            if let Some(part) = self.parts.iter().position(|part| part.result == Some(number)) {
                parts[part] = result;
            }
        }
        let item = |band: &Range<usize>| Item { band: band.clone(), parts: self.cut(first, band, &mut parts) };
        let items: Vec<Item> = self.bands.iter().map(item).collect();
        let arch = hands.arch;
        hands.team.each(items.into_iter(), hands.own, |mut item, memory| {
            for (number, (body, scalars)) in loops.iter().zip(&scalars).enumerate() {
                let to = self.effects[number].iter().map(|part| std::mem::take(&mut item.parts[*part])).collect();
                let sums = body.leaves.iter().map(partial).collect();
                let piece = is_by_row(body, first).then(|| item.band.clone());
                let tiles = if piece.is_some() { 0..1 } else { body.tile_of(item.band.start)..item.end(body) };
                let mut share = Share { tiles, piece, to, sums };
                let job = self.job([body, first], scalars, inputs, &reads, &item);
                arch.dispatch(Work { job: &job, share: &mut share, memory });
                let written = share.to;
                self.effects[number].iter().zip(written).for_each(|(part, to)| item.parts[*part] = to);
            }
        });
    }

    fn cut<'a>(&self, first: &TileLoop, band: &Range<usize>, parts: &mut [&'a mut [f32]]) -> Vec<&'a mut [f32]> {
        let own = |(part, rest): (&Part, &mut &'a mut [f32])| {
            let size = part.before(first, band.end) - part.before(first, band.start);
            let (own, behind) = std::mem::take(rest).split_at_mut(size);
            *rest = behind;
            own
        };
        self.parts.iter().zip(parts).map(own).collect()
    }

    /// A loop, of those that begin with a first one, on a band.
    fn job<'a>(
        &self,
        [body, first]: [&'a TileLoop; 2],
        scalars: &'a [f32],
        inputs: &[&'a [f32]],
        reads: &[Between<'a>],
        item: &'a Item,
    ) -> Job<'a> {
        let buffer = |access: &Access| {
            let touched = touched(body, access);
            match self.parts.iter().position(|part| part.meets(touched.start, touched.end)) {
                Some(part) => {
                    let outer = if let Place::Arena(at) = access.place { self.parts[part].at - at } else { 0 };
                    Buffer { part: &*item.parts[part], before: outer + self.parts[part].before(first, item.band.start) }
                }
                None => read(access.place, inputs, reads),
            }
        };
        let sources = body.steps.iter().map(|step| step.access().map_or(Buffer::default(), buffer)).collect();
        Job { body, scalars, sources, there: body.there.iter().map(buffer).collect() }
    }
}

/// A band with what lies in it of each part.
struct Item<'a> {
    band: Range<usize>,
    parts: Vec<&'a mut [f32]>,
}

impl Item<'_> {
    /// The tile behind the last one.
    fn end(&self, body: &TileLoop) -> usize {
        let [down, across] = body.grid();
        match self.band.end % body.rows {
            0 => self.band.end / body.rows * down * across,
            _ => body.tile_of(self.band.end),
        }
    }
}

/// Whether a loop reads of parts nothing but its own rows.
fn reads_own(body: &TileLoop, first: &TileLoop, parts: &[Part]) -> bool {
    let own = |(access, stencil): (&Access, bool)| {
        let touched = touched(body, access);
        let mut met = parts.iter().filter(|part| part.meets(touched.start, touched.end));
        met.next().is_none_or(|part| !stencil && part.is_own(body, first, access) && met.next().is_none())
    };
    let outside = |scalar: &Scalar| match scalar {
        Scalar::At(Place::Arena(at), element) => !parts.iter().any(|part| part.meets(at + element, at + element + 1)),
        Scalar::At(..) | Scalar::Number(_) => true,
    };
    accesses(body).all(own) && body.scalars.iter().all(outside)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use segc_compiler::build::Leaf;
    use segc_compiler::{Graph, NodeId, ops, plan};

    use super::super::Cpu;

    const SHAPE: [usize; 4] = [9, 20, 40, 50];

    fn input(graph: &mut Graph, number: usize) -> NodeId {
        graph.leaves.push(Leaf::Field(0, format!("input {number}")));
        graph.add(Arc::new(ops::Input { number, shape: SHAPE.to_vec() }), &[])
    }

    /// Less the mean and over the root of the mean square along some axes.
    fn normed(graph: &mut Graph, x: NodeId, over: &[usize]) -> NodeId {
        let kept: Vec<usize> = (0..4).filter(|axis| !over.contains(axis)).collect();
        let count = over.iter().map(|axis| SHAPE[*axis]).product::<usize>();
        let mean = |graph: &mut Graph, x: NodeId| {
            let sum = graph.sum(x, over);
            let mean = graph.scaled(sum, 1.0 / count as f64);
            graph.expand(mean, &SHAPE, &kept)
        };
        let middle = mean(graph, x);
        let centred = graph.minus(x, middle);
        let squares = graph.times(centred, centred);
        let variance = mean(graph, squares);
        let deviation = graph.add(Arc::new(ops::Sqrt), &[variance]);
        graph.over(centred, deviation)
    }

    /// `run` chains loops, `timed` runs one kernel after the other.
    #[test]
    fn loops_together_leave_what_they_leave_one_by_one() {
        for over in [&[2, 3][..], &[3]] {
            let mut graph = Graph::default();
            let (x, y) = (input(&mut graph, 0), input(&mut graph, 1));
            let product = graph.times(x, y);
            let normed = normed(&mut graph, product, over);
            let result = graph.plus(normed, y);
            graph.outputs = vec![("result".into(), result)];
            let program = plan::finish(graph, true, &[None]);
            let elements = SHAPE.iter().product::<usize>();
            let values: Vec<Vec<f32>> = [7, 11].map(|step| (0..elements).map(|i| (i * step % 997) as f32 / 300.0).collect()).into();
            let inputs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
            for threads in [1, 2] {
                let cpu = Cpu::new(threads).unwrap();
                let ready = cpu.prepared(program.clone()).unwrap();
                assert!(matches!(ready.chains[0], Some((_, count)) if count == ready.kernels.len()), "{:#?}", ready.program.kernels);
                let ready: Box<dyn crate::execute::Executable> = Box::new(ready);
                let mut outputs = [ready.scratch(), ready.scratch()];
                ready.run(&inputs, &mut outputs[0]).unwrap();
                ready.timed(&inputs, &mut outputs[1]).unwrap();
                assert_eq!(outputs[0].outputs, outputs[1].outputs);
            }
        }
    }
}
