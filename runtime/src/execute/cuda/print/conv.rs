//! Convolutions as products of matrices: weights over windows. The windows are never laid out; each is found by its formula.

use segc_compiler::kernel::{Slide, Whole};

use super::text::Text;
use super::tiles::{Product, Side};

/// Columns of a result from which on neighbours of it are read side by side.
const WIDE: usize = 8;

/// Prints it. `None` where its operands are not two of four axes.
pub(super) fn print(text: &mut Text, whole: &Whole, slide: &Slide) -> Option<()> {
    let [(picture, x), (weight, w)] = whole.operands.as_slice() else { return None };
    let (to, made) = &whole.result;
    let (&[samples, _, height, width], &[first, second, down, across]) = (x.as_slice(), w.as_slice()) else { return None };
    let &[_, results, tall, broad] = made.as_slice() else { return None };
    let (places, taps, groups) = (tall * broad, down * across, slide.groups.max(1));
    let part = if slide.turned { first } else { second };
    let own = results / groups;
    let depth = part * taps;
    let read = if slide.turned {
        format!("return from[(depth / {taps}u * {second}u + line) * {taps}u + ({}u - depth % {taps}u)];", taps.saturating_sub(1))
    } else {
        format!("return from[(batch * {own}u + line) * {depth}u + depth];")
    };
    let plane = height * width;
    let lines = [
        format!("const index_t sample = line / {places}u, place = line % {places}u;"),
        format!("const index_t channel = depth / {taps}u, tap = depth % {taps}u;"),
        source("down", &format!("place / {broad}u"), &format!("tap / {across}u"), slide, 0, height),
        source("right", &format!("place % {broad}u"), &format!("tap % {across}u"), slide, 1, width),
        format!("const index_t first = (sample * {groups}u + batch) * {part}u + channel;"),
        format!("return from[first * {plane}u + (index_t)down * {width}u + (index_t)right];"),
    ];
    let product = Product {
        batches: groups,
        rows: own,
        columns: samples * places,
        depth,
        left: Side { at: *weight, read, deep: true },
        right: Side { at: *picture, read: lines.join("\n"), deep: broad < WIDE && across > broad },
        place: format!(
            "return (column / {places}u * {groups}u + batch) * {}u + row * {places}u + column % {places}u;",
            own * places
        ),
        to: *to,
    };
    product.print(text);
    Some(())
}

/// Statements that find the row or column of the picture at a name; nothing lies outside and between its places.
fn source(name: &str, place: &str, tap: &str, slide: &Slide, axis: usize, size: usize) -> String {
    let (stride, dilation, apart, pad) = (slide.stride[axis], slide.dilation[axis], slide.input_dilation[axis], slide.pad[2 * axis]);
    let at = format!("(int)({place}) * {stride} + (int)({tap}) * {dilation} - ({pad})");
    if apart == 1 {
        return format!("const int {name} = {at};\nif ({name} < 0 || {name} >= {size}) {{\n    return 0.0f;\n}}");
    }
    format!(
        "const int {name}_at = {at}, {name} = {name}_at / {apart};\n\
         if ({name}_at < 0 || {name}_at % {apart} != 0 || {name} >= {size}) {{\n    return 0.0f;\n}}"
    )
}
