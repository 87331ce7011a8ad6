//! The trees of training phases.

use super::grammar::Rule;
use super::tree::{Kids, Node, Tree, children};
use crate::source::Span;
use crate::syntax::{Train, TrainKind, TrainStatement, Update};

/// What a step consists of.
const STEP: [Rule; 5] = [Rule::update, Rule::together, Rule::average, Rule::every, Rule::finally];
/// What happens now and then.
const ACTIONS: [Rule; 7] = [Rule::update, Rule::keep, Rule::restart, Rule::finish, Rule::show, Rule::measure, Rule::checkpoint];

impl<'a> Tree<'a> {
    /// A training phase.
    pub fn train(&mut self, kids: &mut Kids<'a>) -> Train {
        let binder = kids.binder(self);
        let after = kids.take(Rule::after).map(|node| Kids::of(self, node).path(self));
        let (with, duration) = (self.with(kids), kids.expr(self));
        let mut train = Train { binder, after, with, duration, batch: None, fresh: Vec::new(), statements: Vec::new() };
        while let Some(node) = kids.any() {
            match node.as_rule() {
                Rule::batch => train.batch = Some(Kids::of(self, node).expr(self)),
                Rule::fresh => train.fresh.extend(self.paths(node)),
                Rule::turns => train.statements = self.turns(node, "train", &STEP),
                _ => {}
            }
        }
        train
    }

    fn turns(&mut self, node: Node<'a>, place: &str, allowed: &[Rule]) -> Vec<TrainStatement> {
        let mut last = None;
        children(node).filter(|n| n.as_rule() != Rule::doc).map(|node| self.turn(node, place, allowed, &mut last)).collect()
    }

    fn turn(&mut self, node: Node<'a>, place: &str, allowed: &[Rule], last: &mut Option<Span>) -> TrainStatement {
        if node.as_rule() == Rule::broken_turn {
            return TrainStatement { span: self.lost(&node, Rule::only_turn, last), kind: TrainKind::Broken };
        }
        let span = self.span(&node);
        let Some(node) = children(node).next() else { return TrainStatement { span, kind: TrainKind::Broken } };
        let rule = node.as_rule();
        if !allowed.contains(&rule) {
            self.misplaced(&node, place, allowed);
            return TrainStatement { span, kind: TrainKind::Broken };
        }
        let mut kids = Kids::of(self, node);
        TrainStatement { span, kind: self.turn_kind(rule, &mut kids) }
    }

    fn turn_kind(&mut self, rule: Rule, kids: &mut Kids<'a>) -> TrainKind {
        match rule {
            Rule::update => TrainKind::Update(self.update(kids)),
            Rule::together => {
                let when = kids.inside(self, Rule::when);
                TrainKind::Together(when, self.nested(kids, "together", &[Rule::update]))
            }
            Rule::average => TrainKind::Average(kids.paths(self), kids.expr(self), kids.maybe_expr(self)),
            Rule::every => TrainKind::Every(kids.expr(self), self.nested(kids, "every", &ACTIONS)),
            Rule::finally => TrainKind::Finally(self.nested(kids, "finally", &ACTIONS[1..])),
            Rule::keep => TrainKind::Keep(kids.expr(self)),
            Rule::restart => TrainKind::Restart(kids.expr(self)),
            Rule::finish => TrainKind::Finish(kids.expr(self)),
            Rule::show => {
                let count = kids.expr(self);
                let shown = kids.all(Rule::expr).into_iter().map(|node| self.expr(node)).collect();
                TrainKind::Show(count, shown)
            }
            Rule::measure => TrainKind::Measure(kids.paths(self)),
            Rule::checkpoint => TrainKind::Checkpoint,
            _ => TrainKind::Broken,
        }
    }

    fn nested(&mut self, kids: &mut Kids<'a>, place: &str, allowed: &[Rule]) -> Vec<TrainStatement> {
        kids.take(Rule::turns).map_or(Vec::new(), |node| self.turns(node, place, allowed))
    }

    fn update(&mut self, kids: &mut Kids<'a>) -> Update {
        let (models, by, with) = (kids.paths(self), kids.path(self), kids.expr(self));
        let but = kids.take(Rule::but).map(|node| {
            let mut inner = Kids::of(self, node);
            (inner.expr(self), inner.paths(self))
        });
        Update { models, by, with, but, clip: kids.inside(self, Rule::clip), repeat: kids.inside(self, Rule::repeat) }
    }
}
