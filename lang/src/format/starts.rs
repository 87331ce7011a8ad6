//! Where items, statements and entries of blocks begin.

use crate::syntax::{Body, File, Item, ItemKind, Set, Statement, TrainKind, TrainStatement};
use std::collections::BTreeSet;

/// First bytes of everything that begins at the indent of its block.
pub fn starts(file: &File) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    if let Some((_, span)) = file.edition {
        all.insert(span.start as usize);
    }
    for item in &file.items {
        all.insert(item.span.start as usize);
        inside(item, &mut all);
    }
    all
}

fn inside(item: &Item, all: &mut BTreeSet<usize>) {
    match item.kind() {
        ItemKind::Fn(function) => body(function.body.as_ref(), all),
        ItemKind::Net(net) => body(net.body.as_ref(), all),
        ItemKind::Scene(_, list) => statements(list, all),
        ItemKind::Perturb(perturb) => statements(&perturb.statements, all),
        ItemKind::Solve(solve) => statements(&solve.statements, all),
        ItemKind::Train(train) => turns(&train.statements, all),
        ItemKind::Variant(variant) => {
            sets(&variant.sets, all);
            all.extend(variant.reported.iter().map(|figure| figure.of.span.start as usize));
        }
        ItemKind::Names(_, rules) => all.extend(rules.iter().map(|rule| rule.official.span.start as usize)),
        _ => {}
    }
}

fn body(body: Option<&Body>, all: &mut BTreeSet<usize>) {
    if let Some(body) = body {
        statements(&body.statements, all);
    }
}

fn statements(list: &[Statement], all: &mut BTreeSet<usize>) {
    all.extend(list.iter().map(|statement| statement.span.start as usize));
}

fn sets(list: &[Set], all: &mut BTreeSet<usize>) {
    all.extend(list.iter().map(|set| set.target.span.start as usize));
}

fn turns(list: &[TrainStatement], all: &mut BTreeSet<usize>) {
    for turn in list {
        all.insert(turn.span.start as usize);
        if let TrainKind::Together(_, inner) | TrainKind::Every(_, inner) | TrainKind::Finally(inner) = &turn.kind {
            turns(inner, all);
        }
    }
}
