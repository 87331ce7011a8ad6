//! Convolutions as products of matrices: weights over windows. The windows are never laid out; each is found by its formula.

use segc_compiler::kernel::{Slide, Whole};

use super::text::Text;
use super::tiles::{Product, Side};

/// Columns of a result from which on neighbours of it are read side by side.
const WIDE: usize = 8;

/// Depths up to which the taps of a window are looked up.
const LONGEST: usize = 1 << 14;

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
    let of_weight = if slide.turned {
        format!("return from[(depth / {taps}u * {second}u + line) * {taps}u + ({}u - depth % {taps}u)];", taps.saturating_sub(1))
    } else {
        format!("return from[(batch * {own}u + line) * {depth}u + depth];")
    };
    let window = Window { slide, picture: [height, width], made: [tall, broad], taps: [down, across], part };
    let deep = broad < WIDE && across > broad;
    let table = if deep || taps == 1 || depth > LONGEST { Vec::new() } else { window.table() };
    let read = |by_table: bool| if by_table { window.looked_up() } else { window.computed() };
    let right = Side { at: *picture, read: read(!table.is_empty()), table, deep };
    let product = Product {
        batches: groups,
        rows: own,
        columns: samples * places,
        depth,
        left: Side { at: *weight, read: of_weight, table: Vec::new(), deep: true },
        right,
        place: format!("return (column / {places}u * {groups}u + batch) * {}u + row * {places}u + column % {places}u;", own * places),
        to: *to,
    };
    product.print(text);
    Some(())
}

/// How the windows of a convolution lie in its picture.
struct Window<'a> {
    slide: &'a Slide,
    picture: [usize; 2],
    made: [usize; 2],
    taps: [usize; 2],
    /// Channels of a group.
    part: usize,
}

/// Rows and columns by name.
const AXES: [&str; 2] = ["down", "right"];

impl Window<'_> {
    /// For each depth where its tap lies from the first one of the window: in elements, and in columns and rows of sixteen bits each. It
    /// serves pictures without zeros between their places.
    fn table(&self) -> Vec<u32> {
        let [height, width] = self.picture;
        let reach = |axis: usize| self.slide.dilation[axis] * (self.taps[axis] - 1);
        if self.slide.input_dilation != [1, 1] || reach(0).max(reach(1)) >= 1 << 16 {
            return Vec::new();
        }
        let entry = |channel: usize, row: usize, column: usize| {
            let (down, right) = (row * self.slide.dilation[0], column * self.slide.dilation[1]);
            [(channel * height * width + down * width + right) as u32, (right << 16 | down) as u32]
        };
        let taps = (0..self.taps[0]).flat_map(|row| (0..self.taps[1]).map(move |column| (row, column))).collect::<Vec<_>>();
        (0..self.part).flat_map(|channel| taps.iter().flat_map(move |(row, column)| entry(channel, *row, *column))).collect()
    }

    /// The sample and the place of the result that a line stands for.
    fn line(&self) -> String {
        let places = self.made[0] * self.made[1];
        format!("const index_t sample = line / {places}u, place = line % {places}u;")
    }

    /// Row and column of the result.
    fn places(&self) -> [String; 2] {
        [format!("(int)(place / {}u)", self.made[1]), format!("(int)(place % {}u)", self.made[1])]
    }

    fn groups(&self) -> usize {
        self.slide.groups.max(1)
    }

    fn looked_up(&self) -> String {
        let [height, width] = self.picture;
        let [row, column] = self.places();
        let first = |name: &str, place: &str, axis: usize| {
            format!("const int {name}_first = {place} * {} - ({});", self.slide.stride[axis], self.slide.pad[2 * axis])
        };
        [
            self.line(),
            first("down", &row, 0),
            first("right", &column, 1),
            "const unsigned away = table[2u * depth], reach = table[2u * depth + 1u];".into(),
            "const unsigned down = (unsigned)(down_first + (int)(reach & 0xffffu));".into(),
            "const unsigned right = (unsigned)(right_first + (int)(reach >> 16));".into(),
            format!("if (down >= {height}u || right >= {width}u) {{\n    return 0.0f;\n}}"),
            format!("const index_t first = (sample * {}u + batch) * {}u;", self.groups(), self.part * height * width),
            format!("return from[first + (index_t)(down_first * {width} + right_first) + away];"),
        ]
        .join("\n")
    }

    fn computed(&self) -> String {
        let [height, width] = self.picture;
        let (taps, across) = (self.taps[0] * self.taps[1], self.taps[1]);
        let [row, column] = self.places();
        [
            self.line(),
            format!("const index_t channel = depth / {taps}u, tap = depth % {taps}u;"),
            self.source(0, &row, &format!("(int)(tap / {across}u)")),
            self.source(1, &column, &format!("(int)(tap % {across}u)")),
            format!("const index_t first = (sample * {}u + batch) * {}u + channel;", self.groups(), self.part),
            format!("return from[first * {}u + (index_t)down * {width}u + (index_t)right];", height * width),
        ]
        .join("\n")
    }

    /// Statements that find the row or column of the picture; nothing lies outside and between its places.
    fn source(&self, axis: usize, place: &str, tap: &str) -> String {
        let Slide { stride, dilation, input_dilation, pad, .. } = self.slide;
        let (name, size, apart) = (AXES[axis], self.picture[axis], input_dilation[axis]);
        let at = format!("{place} * {} + {tap} * {} - ({})", stride[axis], dilation[axis], pad[2 * axis]);
        let last = (stride[axis] * (self.made[axis] - 1) + dilation[axis] * (self.taps[axis] - 1)) as isize - pad[2 * axis];
        match apart {
            1 if pad[2 * axis] <= 0 && last < size as isize => format!("const int {name} = {at};"),
            1 => format!("const int {name} = {at};\nif ({name} < 0 || {name} >= {size}) {{\n    return 0.0f;\n}}"),
            _ => format!(
                "const int {name}_at = {at}, {name} = {name}_at / {apart};\n\
                 if ({name}_at < 0 || {name}_at % {apart} != 0 || {name} >= {size}) {{\n    return 0.0f;\n}}"
            ),
        }
    }
}
