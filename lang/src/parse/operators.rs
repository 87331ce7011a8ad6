//! What binds closer: the tree of a flat list of operands and operators. From loose to close: `|>`, `or`, `and`, `not`, comparisons,
//! `..`, sums, products, the sign, `^`. All lean left but `^`, whose right side has a sign of its own.

use super::expressions::make;
use super::grammar::Rule;
use super::tree::{Kids, Tree};
use crate::syntax::{BinaryOp, Expr, ExprKind, Unit};

impl<'a> Tree<'a> {
    /// `a |> f |> g(b)`: the whole list.
    pub fn pipe(&mut self, kids: &mut Kids<'a>) -> Expr {
        let mut left = self.either(kids);
        while let Some(node) = kids.take(Rule::postfix) {
            let right = self.expr(node);
            let both = left.span.to(right.span);
            left = make(ExprKind::Pipe(left, right), both);
        }
        left
    }

    fn either(&mut self, kids: &mut Kids<'a>) -> Expr {
        let mut left = self.both(kids);
        while kids.take(Rule::or).is_some() {
            left = binary(BinaryOp::Or, left, self.both(kids));
        }
        left
    }

    fn both(&mut self, kids: &mut Kids<'a>) -> Expr {
        let mut left = self.denied(kids);
        while kids.take(Rule::and).is_some() {
            left = binary(BinaryOp::And, left, self.denied(kids));
        }
        left
    }

    fn denied(&mut self, kids: &mut Kids<'a>) -> Expr {
        let mark = kids.take(Rule::not).map(|node| self.span(&node));
        let inner = self.compare(kids);
        match mark {
            Some(mark) => {
                let whole = mark.to(inner.span);
                make(ExprKind::Not(inner), whole)
            }
            None => inner,
        }
    }

    fn compare(&mut self, kids: &mut Kids<'a>) -> Expr {
        let left = self.range(kids);
        match kids.take(Rule::comparator) {
            Some(mark) => binary(comparison(mark.as_str()), left, self.range(kids)),
            None => left,
        }
    }

    fn range(&mut self, kids: &mut Kids<'a>) -> Expr {
        let low = self.sum(kids);
        if kids.take(Rule::dots).is_none() {
            return low;
        }
        let high = self.sum(kids);
        let both = low.span.to(high.span);
        make(ExprKind::Range(low, high), both)
    }

    fn sum(&mut self, kids: &mut Kids<'a>) -> Expr {
        let mut left = self.product(kids);
        while let Some(mark) = kids.take(Rule::add) {
            let op = if mark.as_str() == "+" { BinaryOp::Add } else { BinaryOp::Subtract };
            left = binary(op, left, self.product(kids));
        }
        left
    }

    fn product(&mut self, kids: &mut Kids<'a>) -> Expr {
        let mut left = self.sign(kids);
        while let Some(mark) = kids.take(Rule::times) {
            let op = if mark.as_str() == "*" { BinaryOp::Multiply } else { BinaryOp::Divide };
            left = binary(op, left, self.sign(kids));
        }
        left
    }

    fn sign(&mut self, kids: &mut Kids<'a>) -> Expr {
        let mark = kids.take(Rule::minus).map(|node| self.span(&node));
        let base = self.counted(kids);
        let inner = if kids.take(Rule::raise).is_some() { binary(BinaryOp::Power, base, self.sign(kids)) } else { base };
        match mark {
            Some(mark) => {
                let whole = mark.to(inner.span);
                make(ExprKind::Negate(inner), whole)
            }
            None => inner,
        }
    }

    /// An operand, perhaps with a unit of time.
    fn counted(&mut self, kids: &mut Kids<'a>) -> Expr {
        let value = self.next_postfix(kids);
        let Some(unit) = kids.take(Rule::unit) else { return value };
        let whole = value.span.to(self.span(&unit));
        let unit = match unit.as_str() {
            "steps" => Unit::Steps,
            "samples" => Unit::Samples,
            _ => Unit::Epochs,
        };
        make(ExprKind::Duration(value, unit), whole)
    }
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    let both = left.span.to(right.span);
    make(ExprKind::Binary(op, left, right), both)
}

fn comparison(mark: &str) -> BinaryOp {
    match mark {
        "==" => BinaryOp::Equal,
        "!=" => BinaryOp::NotEqual,
        "<" => BinaryOp::Less,
        "<=" => BinaryOp::LessEqual,
        ">" => BinaryOp::Greater,
        _ => BinaryOp::GreaterEqual,
    }
}
