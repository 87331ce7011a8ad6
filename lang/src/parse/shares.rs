//! Pieces of a long text are parsed by several threads: they do not depend on each other.

use std::thread;

use super::MOST_FAULTS;
use super::pieces::Piece;
use super::tree::Tree;
use crate::fault::Fault;
use crate::syntax::Item;
use crate::threads;

/// An item and what is wrong with it.
type Found = (Item, Vec<Fault>);

/// Text that is worth a thread, bytes: more than a millisecond of parsing.
const SHARE: usize = 3000;
/// The stack of a thread, bytes.
const STACK: usize = 8 << 20;

/// The items of all pieces, in their order. What stands behind the hundredth fault of a share may be left unparsed.
pub fn items(tree: &Tree, pieces: &[Piece]) -> Vec<Found> {
    let shares = cut(pieces);
    let [others @ .., last] = shares.as_slice() else { return Vec::new() };
    thread::scope(|scope| {
        let start = |share: &&'_ [Piece]| {
            let (tree, share) = (tree.clone(), share.to_vec());
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || all(tree, &share))
        };
        let running: Vec<_> = others.iter().map(start).collect();
        let behind = all(tree.clone(), last);
        let own = |share: &&[Piece]| all(tree.clone(), share);
        let mut found: Vec<Found> = Vec::with_capacity(pieces.len());
        for (thread, share) in running.into_iter().zip(others) {
            found.extend(thread.ok().and_then(|thread| thread.join().ok()).unwrap_or_else(|| own(share)));
        }
        found.extend(behind);
        found
    })
}

/// One thread's items.
fn all(mut tree: Tree, pieces: &[Piece]) -> Vec<Found> {
    let mut faults = 0;
    let item = |piece: &Piece| {
        let item = if faults < MOST_FAULTS { tree.piece(*piece) } else { tree.lost_piece(*piece) };
        let found = std::mem::take(&mut tree.faults);
        faults += found.len();
        (item, found)
    };
    pieces.iter().map(item).collect()
}

/// Neighbouring pieces, about as many bytes for every thread.
fn cut(pieces: &[Piece]) -> Vec<&[Piece]> {
    let bytes: usize = pieces.iter().map(|piece| piece.end - piece.start).sum();
    let wanted = (bytes / SHARE).clamp(1, threads::most());
    let mut before = 0;
    let share_of = |piece: &Piece| {
        let share = before * wanted / bytes.max(1);
        before += piece.end - piece.start;
        share
    };
    let shares: Vec<usize> = pieces.iter().map(share_of).collect();
    let first = |share: usize| shares.partition_point(|other| *other < share);
    (0..wanted).map(|share| &pieces[first(share)..first(share + 1)]).collect()
}
