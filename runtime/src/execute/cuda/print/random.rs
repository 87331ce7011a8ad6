//! Random draws: each element from its place alone, with the bits of their definition.

use segc_compiler::kernel::{Chance, Whole};

use super::Argument;
use super::text::{Function, Text, blocks, element};

/// Prints a draw.
pub(super) fn print(text: &mut Text, whole: &Whole, chance: Chance, path: &str) {
    let draws = match whole.operands.get(1).map(|(_, shape)| shape.as_slice()) {
        Some([samples, 2]) => *samples,
        _ => 1,
    };
    let batched = matches!(whole.operands.get(1).map(|(_, shape)| shape.len()), Some(2));
    let own = if batched { &whole.result.1[1..] } else { &whole.result.1[..] };
    let count: usize = own.iter().product();
    let row = own.last().copied().unwrap_or(1);
    let words = std::iter::once(path.len() as u32).chain(path.bytes().map(u32::from)).collect();
    let path = text.table(words);
    let elements = draws * count;
    let (blocks, threads) = blocks(elements);
    let head = |function: &mut Function| {
        let clock = function.from(whole.operands[0].0);
        let path = function.reads(path);
        function.line(element("i", elements, threads));
        function.line(format!("const index_t draw = i / {0}u;\nconst unsigned at = (unsigned)(i % {0}u);", count.max(1)));
        let sample = match whole.operands.get(1) {
            Some((place, _)) => {
                let samples = function.from(*place);
                format!("{samples}[2u * draw], {samples}[2u * draw + 1u]")
            }
            None => "0.0f, 0.0f".into(),
        };
        function.line(format!("const segc_stream stream = segc_stream_at({clock}, {sample}, {path});"));
    };
    let mut function = Function::default();
    if chance == Chance::Permutation {
        return permutation(text, whole, head, [elements, row.max(1)]);
    }
    head(&mut function);
    let to = function.writes(Argument::At(whole.result.0));
    let made = match chance {
        Chance::Normal => "segc_normal(stream, at)".into(),
        Chance::Uniform => "segc_uniform(stream, at)".into(),
        Chance::Integer(below) => {
            let below = below.max(1);
            format!("segc_integer(stream, at, {below}ull, {}ull)", ((1u128 << 64) % u128::from(below)) as u64)
        }
        Chance::Beta(a, b) => format!("segc_beta(stream, at, {:?}, {:?})", f64::from_bits(a), f64::from_bits(b)),
        Chance::Permutation => String::new(),
    };
    function.line(format!("{to}[i] = {made};"));
    text.launch("random", function, blocks, threads);
}

/// The numbers of the last axis sorted by random keys: the place of each is how many have smaller keys.
fn permutation(text: &mut Text, whole: &Whole, head: impl Fn(&mut Function), [elements, row]: [usize; 2]) {
    let (blocks, threads) = blocks(elements);
    let keys = text.scratch(2 * elements);
    let mut function = Function::default();
    head(&mut function);
    let to = function.writes(keys);
    function.line(format!("((unsigned long long *){to})[i] = segc_order_key(stream, at);"));
    text.launch("keys", function, blocks, threads);
    let mut function = Function::default();
    let (from, to) = (function.reads(keys), function.writes(Argument::At(whole.result.0)));
    function.line(element("i", elements, threads));
    function.line(format!("const unsigned long long *keys = (const unsigned long long *){from} + i / {row}u * {row}u;"));
    function.line(format!("const unsigned own = (unsigned)(i % {row}u);\nunsigned rank = 0u;\nfor (unsigned n = 0u; n < {row}u; ++n) {{"));
    function.line("    rank += keys[n] < keys[own] || (keys[n] == keys[own] && n < own) ? 1u : 0u;\n}");
    function.line(format!("{to}[i / {row}u * {row}u + rank] = (float)own;"));
    text.launch("ranks", function, blocks, threads);
}
