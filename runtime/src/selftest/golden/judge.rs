//! One case: its spec is compiled, derivatives are added as the vectors define them, and a device must agree with what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use segc_compiler::build::{Leaf, Request, build};
use segc_compiler::differentiate::derivative;
use segc_compiler::ops::{Input as InputOp, Sum};
use segc_compiler::{Graph, NodeId, differentiate, fuse, plan, simplify};
use segc_lang::spec::{Prim, Spec, TermId};

use super::case::{Array, Bound, Case};
use super::form::{Form, Forms, Output};
use super::text;
use crate::execute::{Device, Reference};
use crate::outcome::RunError;
use crate::selftest::Far;

/// What a case asks of one graph.
pub struct Asked {
    /// The spec that says it.
    pub text: String,
    graph: Graph,
    simple: Graph,
    inputs: Vec<Vec<f32>>,
    checks: Vec<Check>,
}

/// One tensor that must come out.
struct Check {
    path: String,
    want: Vec<f64>,
    bound: Bound,
}

impl Asked {
    /// Compiles a case. Errors: no form fits it, or its spec is wrong, in words.
    pub fn new(case: &Case, forms: &Forms) -> Result<Asked, String> {
        let form = forms.of(case)?;
        let text = text::spec(case, &form);
        let wanted = form.outputs.iter().filter(|output| output.next.is_none()).map(|output| output.called.clone()).collect();
        let batch = batch(case, &form);
        let spec = super::compiled(&text, wanted, form.training, batch)?;
        let graph = build(&spec, &roots(&form, &spec)?, &Request { batch: Some(batch), states: true }).map_err(|fault| fault.message)?;
        let graph = differentiate(&graph);
        let mut asked = Asked { text, graph, simple: Graph::default(), inputs: Vec::new(), checks: Vec::new() };
        asked.ask(case, &form, &spec)?;
        asked.simple = simplify(&differentiate(&asked.graph));
        Ok(asked)
    }

    /// Each tensor that a device makes against what it is to be; the executor of definitions runs the graph as it was written, others
    /// the simplified one. Errors: the device cannot run it.
    pub fn on(&self, device: &dyn Device) -> Result<Vec<(&str, Far)>, RunError> {
        let graph = if device.name() == Reference.name() { &self.graph } else { &self.simple };
        let ready = device.prepare(plan(&fuse(graph, true)))?;
        let inputs: Vec<&[f32]> = self.inputs.iter().map(Vec::as_slice).collect();
        let mut scratch = ready.scratch();
        ready.run(&inputs, &mut scratch).map_err(RunError::Numeric)?;
        if self.checks.len() != scratch.outputs.len() {
            return Err(RunError::Numeric(format!("{} results instead of {}", scratch.outputs.len(), self.checks.len())));
        }
        let far = |(check, found): (&Check, &Vec<f32>)| {
            let largest = check.want.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            Far::of(found, &check.want, check.bound.atol + check.bound.rtol * largest)
        };
        Ok(self.checks.iter().zip(&scratch.outputs).map(|one| (one.0.path.as_str(), far(one))).collect())
    }
}

fn batch(case: &Case, form: &Form) -> usize {
    let sizes = form.inputs.iter().filter_map(|input| {
        let place = input.layout.iter().position(|axis| axis == "sample")?;
        case.inputs[&input.name].shape.get(place).copied()
    });
    sizes.max().unwrap_or(1)
}

/// An input of the graph: its node, and how its axes stand against the stored ones.
struct Held {
    node: Option<NodeId>,
    layout: Layout,
    values: Vec<f32>,
}

/// For each of our axes its place among the stored ones.
#[derive(Clone)]
struct Layout {
    order: Vec<usize>,
    stored: Vec<usize>,
}

impl Layout {
    fn new(array: &Array, stored: &[Option<String>], ours: &[(String, usize)]) -> Result<Layout, String> {
        if stored.is_empty() {
            let (have, want) = (ours.iter().map(|(_, size)| size).product::<usize>(), array.data.len());
            return if have == want {
                Ok(Layout { order: vec![0], stored: vec![want] })
            } else {
                Err(format!("{ours:?} has not {want} elements"))
            };
        }
        let named: Vec<(&String, usize)> =
            stored.iter().zip(&array.shape).filter_map(|(axis, size)| Some((axis.as_ref()?, *size))).collect();
        let place = |(name, size): &(String, usize)| {
            let found = named.iter().position(|(axis, _)| *axis == name).ok_or(format!("the layout has no axis `{name}`"))?;
            if named[found].1 == *size { Ok(found) } else { Err(format!("`{name}` is {size} here and {} in the vector", named[found].1)) }
        };
        let order: Vec<usize> = ours.iter().map(place).collect::<Result<_, _>>()?;
        if order.len() != named.len() {
            return Err(format!("the layout {stored:?} has more axes than {ours:?}"));
        }
        Ok(Layout { order, stored: named.iter().map(|(_, size)| *size).collect() })
    }

    /// Stored elements in our order.
    fn ours(&self, data: &[f64]) -> Vec<f64> {
        let shape: Vec<usize> = self.order.iter().map(|&axis| self.stored[axis]).collect();
        let at = |index: Vec<usize>| {
            let mut stored = vec![0; index.len()];
            self.order.iter().zip(&index).for_each(|(&axis, &i)| stored[axis] = i);
            data[segc_compiler::tensor::offset(&self.stored, &stored)]
        };
        segc_compiler::tensor::indices(&shape).map(at).collect()
    }
}

impl Asked {
    /// Adds results and derivatives, and what they are to be.
    fn ask(&mut self, case: &Case, form: &Form, spec: &Spec) -> Result<(), String> {
        let held = self.hold(case, form, spec)?;
        let made = self.results(case, form, spec)?;
        self.graph.outputs = Vec::new();
        for (name, (node, layout)) in &made {
            self.check(&format!("out/{name}"), *node, layout, named(&case.outputs, name)?, case);
        }
        if case.cotangents.is_empty() { Ok(()) } else { self.differentiate(case, &held, &made) }
    }

    /// Binds every leaf: an input of the case, or the first value of a state that the case does not give.
    fn hold(&mut self, case: &Case, form: &Form, spec: &Spec) -> Result<BTreeMap<String, Held>, String> {
        let mut held = BTreeMap::new();
        for input in &form.inputs {
            let path = text::path(input);
            let array = &case.inputs[&input.name];
            let leaf = spec.weights.iter().position(|weight| weight.path == path).map(Leaf::Weight);
            let leaf = leaf.or_else(|| spec.buffers.iter().position(|buffer| buffer.path == path).map(Leaf::Buffer));
            let ty = match leaf {
                Some(Leaf::Weight(number)) => &spec.weights[number].ty,
                Some(Leaf::Buffer(number)) => &spec.buffers[number].ty,
                _ => {
                    let known: Vec<&str> =
                        spec.weights.iter().map(|w| w.path.as_str()).chain(spec.buffers.iter().map(|b| b.path.as_str())).collect();
                    return Err(format!("`{}`: no weight or state is called {path}; there are {}", input.name, known.join(", ")));
                }
            };
            let ours: Vec<(String, usize)> = ty.axes.iter().map(|(axis, size)| (spec.axes[usize::from(axis.0)].clone(), *size)).collect();
            let layout = Layout::new(array, &text::layout(case, input), &ours).map_err(|why| format!("`{}`: {why}", input.name))?;
            let values = layout.ours(&array.data).into_iter().map(|x| x as f32).collect();
            let number = leaf.and_then(|leaf| self.graph.leaves.iter().position(|known| *known == leaf));
            held.insert(input.name.clone(), Held { node: number.and_then(|number| self.input_node(number)), layout, values });
        }
        for number in 0..self.graph.leaves.len() {
            let node = self.input_node(number);
            let given = held.values().find(|held| held.node.is_some() && held.node == node).map(|held| held.values.clone());
            let values = match given {
                Some(values) => values,
                None => start(&self.graph, &self.graph.leaves[number], node, spec)?,
            };
            self.inputs.push(values);
        }
        Ok(held)
    }

    fn state(&self, path: &str, spec: &Spec) -> Option<NodeId> {
        let buffer = spec.buffers.iter().position(|buffer| buffer.path == path)?;
        self.input_node(self.graph.leaves.iter().position(|leaf| *leaf == Leaf::Buffer(buffer))?)
    }

    fn input_node(&self, number: usize) -> Option<NodeId> {
        self.graph.ids().find(|id| matches!(self.graph.node(*id).op.form(), segc_compiler::ops::Form::Input(own) if own == number))
    }

    /// The node and layout of each result.
    fn results(&self, case: &Case, form: &Form, spec: &Spec) -> Result<BTreeMap<String, (NodeId, Layout)>, String> {
        let one = |output: &Output| {
            let want = case.outputs.get(&output.name).ok_or(format!("the case has no result `{}`", output.name))?;
            let wanted = output.next.as_ref().map_or_else(|| output.called.clone(), |path| format!("next.{path}"));
            let made = self.graph.outputs.iter().find(|(name, _)| *name == wanted).map(|(_, node)| *node);
            // A model that does not train leaves its states as they are.
            let kept = output.next.as_ref().filter(|_| !form.training).and_then(|path| self.state(path, spec));
            let node = &made.or(kept).ok_or(format!("nothing is made of `{wanted}`"))?;
            let axes = our_axes(output, spec, self.graph.shape(*node));
            let stored: Vec<Option<String>> = output.layout.iter().map(|axis| (axis != "1").then(|| axis.clone())).collect();
            let layout = Layout::new(want, &stored, &axes).map_err(|why| format!("`{}`: {why}", output.name))?;
            Ok((output.name.clone(), (*node, layout)))
        };
        form.outputs.iter().map(one).collect()
    }

    fn check(&mut self, path: &str, node: NodeId, layout: &Layout, want: &Array, case: &Case) {
        self.graph.outputs.push((path.to_string(), node));
        self.checks.push(Check { path: path.to_string(), want: layout.ours(&want.data), bound: case.bound(path) });
    }

    fn differentiate(
        &mut self,
        case: &Case,
        held: &BTreeMap<String, Held>,
        made: &BTreeMap<String, (NodeId, Layout)>,
    ) -> Result<(), String> {
        let mut cotangents = BTreeMap::new();
        let mut goal = self.graph.number(0.0);
        for (name, ct) in &case.cotangents {
            let (node, layout) = named(made, name)?;
            let number = self.graph.leaves.len();
            self.graph.leaves.push(Leaf::Field(number, format!("cotangent {name}")));
            let shape = self.graph.shape(*node).to_vec();
            let input = self.graph.add(Arc::new(InputOp { number, shape }), &[]);
            self.inputs.push(layout.ours(&ct.data).into_iter().map(|x| x as f32).collect());
            cotangents.insert(name.clone(), input);
            let weighted = self.graph.times(*node, input);
            let part = self.total(weighted);
            goal = self.graph.plus(goal, part);
        }
        let mut slopes = BTreeMap::new();
        for (name, want) in &case.grads {
            let Held { node, layout, .. } = named(held, name)?;
            let slope = self.slope(goal, *node, want);
            slopes.insert(name.clone(), slope);
            self.check(&format!("grad/{name}"), slope, layout, want, case);
        }
        for second in &case.second {
            let mut s = self.graph.number(0.0);
            for name in &second.wrt {
                let slope = *named(&slopes, name)?;
                let square = self.graph.times(slope, slope);
                let part = self.total(square);
                s = self.graph.plus(s, part);
            }
            let scalar = Layout { order: vec![0], stored: vec![1] };
            self.check(&format!("{}/s", second.name), s, &scalar, &second.s, case);
            for (name, want) in &second.grads {
                let Held { node, layout, .. } = named(held, name)?;
                let slope = self.slope(s, *node, want);
                self.check(&format!("{}/grad/{name}", second.name), slope, layout, want, case);
            }
            for (name, want) in &second.cotangents {
                let slope = self.slope(s, Some(*named(&cotangents, name)?), want);
                self.check(&format!("{}/ct/{name}", second.name), slope, &named(made, name)?.1, want, case);
            }
        }
        Ok(())
    }

    fn total(&mut self, x: NodeId) -> NodeId {
        let rank = self.graph.shape(x).len();
        if rank == 0 { x } else { self.graph.add(Arc::new(Sum { over: (0..rank).collect() }), &[x]) }
    }

    /// The derivative, zeros of as many elements where nothing depends on the input.
    fn slope(&mut self, y: NodeId, x: Option<NodeId>, like: &Array) -> NodeId {
        match x {
            Some(x) => derivative(&mut self.graph, y, x),
            None => self.graph.filled(0.0, &[like.data.len()]),
        }
    }
}

/// What has this name. Errors: nothing has.
fn named<'a, T>(all: &'a BTreeMap<String, T>, name: &str) -> Result<&'a T, String> {
    all.get(name).ok_or_else(|| format!("the case speaks of `{name}`, which it does not hold"))
}

/// The terms of the results, and of what calls the states that are asked for.
fn roots(form: &Form, spec: &Spec) -> Result<Vec<(String, TermId)>, String> {
    let one = |output: &Output| match spec.wanted.iter().find(|(name, _)| *name == output.called) {
        Some((name, id)) => Ok((name.clone(), *id)),
        None => {
            let known: Vec<&str> = spec.wanted.iter().map(|(name, _)| name.as_str()).collect();
            Err(format!("`{}` has no single value; there are {}", output.called, known.join(", ")))
        }
    };
    form.outputs.iter().filter(|output| output.next.is_none()).map(one).collect()
}

/// Names and sizes of the axes of a result, the samples' first.
fn our_axes(output: &Output, spec: &Spec, shape: &[usize]) -> Vec<(String, usize)> {
    let ty = match &output.next {
        Some(path) => spec.buffers.iter().find(|buffer| buffer.path == *path).map(|buffer| &buffer.ty),
        None => spec.wanted.iter().find(|(name, _)| *name == output.called).map(|(_, id)| &spec.terms.get(*id).ty),
    };
    let own = ty.map(|ty| ty.axes.iter().map(|(axis, _)| spec.axes[usize::from(axis.0)].clone()).collect()).unwrap_or_default();
    let names: Vec<String> = if shape.len() > Vec::<String>::len(&own) { [vec!["sample".to_string()], own].concat() } else { own };
    names.into_iter().zip(shape.iter().copied()).collect()
}

/// What a leaf is that the case does not give: the first value of a weight or state, where that is a number.
fn start(graph: &Graph, leaf: &Leaf, node: Option<NodeId>, spec: &Spec) -> Result<Vec<f32>, String> {
    let elements = node.map_or(0, |node| graph.shape(node).iter().product());
    let (path, start) = match leaf {
        Leaf::Weight(number) => (&spec.weights[*number].path, spec.weights[*number].start),
        Leaf::Buffer(number) => (&spec.buffers[*number].path, spec.buffers[*number].start),
        Leaf::Clock | Leaf::Samples | Leaf::Elapsed(_) => return Ok(vec![0.0; elements]),
        other => return Err(format!("{other:?} has no value")),
    };
    let mut first = spec.terms.get(start);
    while matches!(first.prim, Prim::Spread) {
        first = spec.terms.get(first.args[0]);
    }
    match first.prim {
        Prim::Const(value) => Ok(vec![value as f32; elements]),
        _ => Err(format!("no input of the case is `{path}`")),
    }
}
