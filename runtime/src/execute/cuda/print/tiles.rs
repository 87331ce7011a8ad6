//! Products of matrices whose elements are found by formulas: in tiles of shared memory where there are enough of them, else a thread for
//! each result, or many where results are few and sums long.

use segc_compiler::kernel::{Join, Place};

use super::Argument;
use super::reduction::{Joined, Reduction, Term};
use super::text::{Function, THREADS, Text, blocks, element, filled};

/// `to[batch, row, column] = sum over depth of left[batch, row, depth] * right[batch, column, depth]`.
pub(super) struct Product {
    pub batches: usize,
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub left: Side,
    pub right: Side,
    /// Statements that return the place of a result from `batch`, `row` and `column`.
    pub place: String,
    /// Where the result lies.
    pub to: Place,
}

/// One side of a product.
pub(super) struct Side {
    /// Where it lies.
    pub at: Place,
    /// Statements that return the element of `from` at `batch`, `line` and `depth`; they may look into `table`.
    pub read: String,
    /// Whole numbers that they look up.
    pub table: Vec<u32>,
    /// Whether neighbours along the depth lie closer to each other than neighbouring lines.
    pub deep: bool,
}

/// A tile of results and how threads share it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tile {
    high: usize,
    wide: usize,
    /// Rows and columns of a thread.
    own: [usize; 2],
}

/// Depths of a tile.
const DEEP: usize = 16;

/// Blocks that keep a card busy.
const BUSY: usize = 264;

/// Depths of a part that are worth a block of their own.
const LONG: usize = 256;

/// Fewer multiplications are not worth tiles.
const SMALL: usize = 1 << 15;

impl Product {
    /// Prints it in the way that suits its sizes.
    pub fn print(self, text: &mut Text) {
        let product = if self.rows > self.columns { self.turned() } else { self };
        let results = product.batches * product.rows * product.columns;
        let thin = product.rows < 4 && product.depth <= 64 || product.columns < 16;
        let small = results * product.depth < SMALL;
        if product.depth >= 64 && (results < 256 || thin && (product.left.deep || product.right.deep)) {
            product.long(text);
        } else if results == 0 || product.depth <= 4 || thin || small {
            product.simple(text);
        } else {
            product.tiled(text);
        }
    }

    /// The same with rows and columns exchanged.
    fn turned(self) -> Product {
        let place = format!("const index_t turn = row;\nrow = column;\ncolumn = turn;\n{}", self.place);
        Product { rows: self.columns, columns: self.rows, left: self.right, right: self.left, place, ..self }
    }

    /// The formulas as functions of a kernel.
    fn formulas(&self, function: &mut Function) {
        let indented = |lines: &str| lines.lines().map(|line| format!("    {line}\n")).collect::<String>();
        for (name, side) in [("left", &self.left), ("right", &self.right)] {
            let head = format!(
                "INSIDE float @_{name}(const float *__restrict__ from, const unsigned *__restrict__ table, \
                 index_t batch, index_t line, index_t depth)"
            );
            function.inside(&format!("{head}\n{{\n{}}}\n", indented(&side.read)));
        }
    }

    fn place_formula(&self) -> String {
        let lines: String = self.place.lines().map(|line| format!("    {line}\n")).collect();
        format!("INSIDE index_t @_place(index_t batch, index_t row, index_t column)\n{{\n{lines}}}\n")
    }

    /// What the formulas of both sides are called with before the place: buffer and table.
    fn sides(&self, text: &mut Text, function: &mut Function) -> [String; 2] {
        [&self.left, &self.right].map(|side| {
            let from = function.from(side.at);
            let table = match side.table.is_empty() {
                true => "0".into(),
                false => {
                    let table = text.table(side.table.clone());
                    function.reads(table)
                }
            };
            format!("{from}, {table}")
        })
    }

    /// Statements that take the result's number at a name apart.
    fn taken_apart(&self, name: &str) -> String {
        let (rows, columns) = (self.rows, self.columns);
        let batch = format!("const index_t batch = {name} / {}u;", (rows * columns).max(1));
        format!("{batch}\nconst index_t row = {name} / {}u % {}u, column = {name} % {}u;", columns.max(1), rows.max(1), columns.max(1))
    }

    /// A thread for each result.
    fn simple(self, text: &mut Text) {
        let results = self.batches * self.rows * self.columns;
        let mut function = Function::default();
        self.formulas(&mut function);
        function.inside(&self.place_formula());
        let [left, right] = self.sides(text, &mut function);
        let to = function.writes(Argument::At(self.to));
        let (blocks, threads) = blocks(results);
        function.line(element("i", results, threads));
        function.line(self.taken_apart("i"));
        function.line("float sum = 0.0f;");
        function.line(format!("for (index_t depth = 0u; depth < {}u; ++depth) {{", self.depth));
        function.line(format!("    const float a = segc_operand(@_left({left}, batch, row, depth));"));
        function.line(format!("    const float b = segc_operand(@_right({right}, batch, column, depth));"));
        function.line(format!("    sum = fmaf(a, b, sum);\n}}\n{to}[@_place(batch, row, column)] = sum;"));
        text.launch("product", function, blocks, threads);
    }

    /// The threads of a reduction for each result.
    fn long(self, text: &mut Text) {
        let mut function = Function::default();
        self.formulas(&mut function);
        let [left, right] = self.sides(text, &mut function);
        let rows = self.columns.max(1);
        let lines = format!(
            "{}\nconst float a = segc_operand(@_left({left}, batch, row, j));\n\
             const float b = segc_operand(@_right({right}, batch, column, j));",
            self.taken_apart("s")
        );
        let place = format!("@_place(s / {}u, s / {rows}u % {}u, s % {rows}u)", (self.rows * rows).max(1), self.rows.max(1));
        let reduction = Reduction {
            results: self.batches * self.rows * self.columns,
            length: self.depth,
            side_by_side: !self.left.deep && !self.right.deep,
            place,
            inside: self.place_formula(),
            lines,
            joined: vec![Joined { join: Join::Sum, term: Term::Product("a".into(), "b".into()), to: Argument::At(self.to) }],
        };
        reduction.print(text, "dot", function);
    }

    fn tile(&self) -> Tile {
        let tile = |high, wide, own| Tile { high, wide, own };
        match (self.rows, self.columns) {
            (..=6, _) => tile(4, 256, [4, 1]),
            (..=20, _) => tile(16, 256, [4, 4]),
            (..=40, _) => tile(32, 128, [4, 4]),
            (rows, columns) if rows >= 96 && columns >= 96 && self.tiles(tile(128, 128, [8, 8])) >= BUSY / 2 => tile(128, 128, [8, 8]),
            _ => tile(64, 64, [4, 4]),
        }
    }

    fn tiles(&self, tile: Tile) -> usize {
        self.batches * self.rows.div_ceil(tile.high) * self.columns.div_ceil(tile.wide)
    }

    /// Tiles of results, the depth cut in parts where they are few.
    fn tiled(self, text: &mut Text) {
        let results = self.batches * self.rows * self.columns;
        let tile = self.tile();
        let tiles = self.tiles(tile);
        let parts = BUSY.div_ceil(tiles).min(self.depth / LONG).max(1);
        let part = self.depth.div_ceil(parts).next_multiple_of(DEEP);
        let parts = self.depth.div_ceil(part);
        let mut function = Function::default();
        self.formulas(&mut function);
        let to = if parts > 1 { text.scratch(parts * results) } else { Argument::At(self.to) };
        function.inside(&self.place_formula());
        let [left, right] = self.sides(text, &mut function);
        let name = function.writes(to);
        function.line(self.filled(tile, [part, parts], [left, right, name]));
        function.waits();
        text.launch("tiles", function, tiles * parts, THREADS);
        if parts > 1 {
            self.joined(text, to, parts);
        }
    }

    fn filled(&self, tile: Tile, [part, parts]: [usize; 2], [from, other, to]: [String; 3]) -> String {
        let results = self.batches * self.rows * self.columns;
        let Tile { high, wide, own: [tall, broad] } = tile;
        let places = |deep: bool, lines: usize| match deep {
            true => [format!("n % {DEEP}u"), format!("n / {DEEP}u")],
            false => [format!("n / {lines}u"), format!("n % {lines}u")],
        };
        let [left_depth, left_line] = places(self.left.deep, high);
        let [right_depth, right_line] = places(self.right.deep, wide);
        let (down, across) = (self.rows.div_ceil(high), self.columns.div_ceil(wide));
        let (tall_run, broad_run) = (tall.min(4), broad.min(4));
        let part_place = if parts > 1 { format!("part * {results}u + ") } else { String::new() };
        let numbers = [
            ("DEEP", DEEP),
            ("HIGH", high),
            ("WIDE", wide),
            ("TALL", tall),
            ("BROAD", broad),
            ("TALL_RUN", tall_run),
            ("BROAD_RUN", broad_run),
            ("TALL_STEP", high / (tall / tall_run)),
            ("BROAD_STEP", wide / (broad / broad_run)),
            ("ROW_THREADS", wide / broad),
            ("LEFT_EACH", (DEEP * high).div_ceil(THREADS)),
            ("RIGHT_EACH", (DEEP * wide).div_ceil(THREADS)),
            ("PARTS", parts),
            ("PART", part),
            ("DOWN", down),
            ("ACROSS", across),
            ("PLANE", down * across),
            ("DEPTH", self.depth),
            ("ROWS", self.rows),
            ("COLUMNS", self.columns),
        ];
        let guard = |lines: usize| match DEEP * lines % THREADS {
            0 => String::new(),
            _ => format!("n < {}u && ", DEEP * lines),
        };
        let words = [
            ("LEFT_GUARD", guard(high)),
            ("RIGHT_GUARD", guard(wide)),
            ("LEFT_DEPTH", left_depth),
            ("LEFT_LINE", left_line),
            ("RIGHT_DEPTH", right_depth),
            ("RIGHT_LINE", right_line),
            ("PART_PLACE", part_place),
            ("LEFT", from),
            ("RIGHT", other),
            ("TO", to),
        ];
        let numbers = numbers.map(|(name, value)| (name, value.to_string()));
        filled(include_str!("tiles.cuh"), &numbers.into_iter().chain(words).collect::<Vec<_>>())
    }

    /// Adds up the parts of sums, in order.
    fn joined(&self, text: &mut Text, from: Argument, parts: usize) {
        let results = self.batches * self.rows * self.columns;
        let mut function = Function::default();
        let (blocks, threads) = blocks(results);
        let (from, to) = (function.reads(from), function.writes(Argument::At(self.to)));
        function.line(element("i", results, threads));
        function.line(format!("double sum = 0.0;\nfor (unsigned part = 0u; part < {parts}u; ++part) {{"));
        function.line(format!("    sum += {from}[part * {results}u + i];\n}}\n{to}[i] = (float)sum;"));
        text.launch("parts", function, blocks, threads);
    }
}
