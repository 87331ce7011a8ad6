//! A bench for tests: a small spec of models and `let`s, its weights given as numbers, its graph open for derivatives, evaluated by the
//! f64 definitions.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::collections::BTreeMap;

use segc_compiler::build::{Leaf, Request, build};
use segc_compiler::ops::Form;
use segc_compiler::tensor::Tensor;
use segc_compiler::{Graph, NodeId};
use segc_lang::spec::Spec;
pub use segc_runtime::selftest::golden::compiled;

/// A compiled text with the numbers of its weights and states by path.
pub struct Lab {
    pub spec: Spec,
    pub graph: Graph,
    pub values: BTreeMap<String, Vec<f64>>,
    /// Whether draws are made: at step 0 of a run seeded with 0.
    pub clock: bool,
}

/// Elaborates `wanted` of a text that must be sound, for a batch, where models train.
pub fn elaborated(text: &str, wanted: &[&str], batch: usize) -> Spec {
    let wanted = wanted.iter().map(|name| (*name).to_string()).collect();
    compiled(text, wanted, true, batch).unwrap_or_else(|why| panic!("{why}"))
}

impl Lab {
    /// Elaborates and builds `wanted` for a batch.
    pub fn new(text: &str, wanted: &[&str], batch: usize, values: &[(&str, Vec<f64>)]) -> Lab {
        let spec = elaborated(text, wanted, batch);
        let graph = build(&spec, &spec.wanted, &Request { batch: Some(batch), states: true }).unwrap_or_else(|fault| panic!("{fault:?}"));
        Lab { spec, graph, values: values.iter().map(|(path, data)| ((*path).to_string(), data.clone())).collect(), clock: false }
    }

    /// The node of a weight or state.
    pub fn input(&self, path: &str) -> NodeId {
        let number = self.graph.leaves.iter().position(|leaf| self.path(leaf) == Some(path)).unwrap_or_else(|| panic!("no {path}"));
        let is_it = |id: &NodeId| matches!(self.graph.node(*id).op.form(), Form::Input(own) if own == number);
        self.graph.ids().find(is_it).expect("an input node")
    }

    /// The node of an output.
    pub fn output(&self, name: &str) -> NodeId {
        self.graph.outputs.iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    /// The outputs, by definition.
    pub fn run(&self) -> BTreeMap<String, Vec<f64>> {
        let live = self.graph.live();
        let mut made: Vec<Option<Tensor>> = vec![None; self.graph.len()];
        for id in self.graph.ids().filter(|id| live[id.index()]) {
            let node = self.graph.node(id);
            let operands: Vec<&Tensor> = self.graph.operands(id).iter().filter_map(|o| made[o.index()].as_ref()).collect();
            made[id.index()] = Some(match node.op.form() {
                Form::Input(number) => Tensor::new(node.shape.clone(), self.value(number, node.shape.iter().product())),
                _ => node.op.reference(&operands, &node.shape),
            });
        }
        let result = |(name, id): &(String, NodeId)| (name.clone(), made[id.index()].clone().map_or(Vec::new(), |x| x.data));
        self.graph.outputs.iter().map(result).collect()
    }

    fn value(&self, number: usize, elements: usize) -> Vec<f64> {
        let leaf = &self.graph.leaves[number];
        if self.clock && matches!(leaf, Leaf::Clock | Leaf::Samples) {
            return vec![0.0; elements];
        }
        let given = self.path(leaf).and_then(|path| self.values.get(path));
        let data = given.unwrap_or_else(|| panic!("{leaf:?} ({:?}) has no value", self.path(leaf)));
        assert_eq!(data.len(), elements, "{:?}", self.path(leaf));
        data.clone()
    }

    fn path(&self, leaf: &Leaf) -> Option<&str> {
        match leaf {
            Leaf::Weight(number) => Some(&self.spec.weights[*number].path),
            Leaf::Buffer(number) => Some(&self.spec.buffers[*number].path),
            _ => None,
        }
    }
}
