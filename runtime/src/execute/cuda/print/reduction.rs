//! Reductions: a fixed number of threads takes the elements of a result in turns, and what they have is joined as a tree in double
//! precision. Who takes what depends on sizes only, so that the bits of a result do too.

use segc_compiler::kernel::Join;

use super::Argument;
use super::text::{Function, THREADS, Text, blocks, element};

/// Elements that a thread joins in single precision.
const FLUSH: usize = 64;

/// Results of a thread that are joined over a block at the same time: as many as 48 KB of shared memory hold.
const TOGETHER: usize = 16;

/// Blocks that keep a card busy.
const BUSY: usize = 512;

/// What is joined for each element.
pub(super) enum Term {
    /// A value.
    Value(String),
    /// A product, which is added.
    Product(String, String),
}

/// A result of a reduction.
pub(super) struct Joined {
    pub join: Join,
    pub term: Term,
    pub to: Argument,
}

/// Results that are each joined from as many elements.
pub(super) struct Reduction {
    /// How many results there are.
    pub results: usize,
    /// Elements of a result.
    pub length: usize,
    /// Whether neighbouring results lie beside each other in memory, rather than neighbouring elements of one.
    pub side_by_side: bool,
    /// Where result `s` goes.
    pub place: String,
    /// Functions that `place` calls.
    pub inside: String,
    /// Statements that make element `j` of result `s`.
    pub lines: String,
    /// What is joined.
    pub joined: Vec<Joined>,
}

/// How a reduction is shared out.
struct Shares {
    /// Threads of a result in a block; a power of two.
    lanes: usize,
    threads: usize,
    /// Blocks of a result.
    parts: usize,
    /// Elements of such a part.
    part: usize,
}

impl Reduction {
    fn shares(&self) -> Shares {
        let own = self.results.max(1).next_power_of_two();
        let longest = self.length.max(1).next_power_of_two().min(THREADS);
        let lanes = match self.side_by_side {
            true if self.results >= 1 << 16 || self.length < 16 => 1,
            true => (THREADS / own).clamp(8, THREADS).min(longest),
            false => self.length.div_ceil(4).max(1).next_power_of_two().min(THREADS),
        };
        let threads = (lanes * own).clamp(lanes.max(32), THREADS.max(lanes));
        let blocks = self.results.div_ceil(threads / lanes).max(1);
        let parts = (self.length / lanes / 32).min(BUSY / blocks).clamp(1, 128);
        Shares { lanes, threads, parts, part: self.length.div_ceil(parts).next_multiple_of(lanes) }
    }

    /// Prints it; `function` has what its lines need.
    pub fn print(self, text: &mut Text, kind: &str, mut function: Function) {
        let shares = self.shares();
        let Shares { lanes, threads, parts, .. } = shares;
        let size = 2 * parts * self.results;
        function.inside(&self.inside);
        let scratch: Vec<Argument> = self.joined.iter().map(|_| if parts > 1 { text.scratch(size) } else { Argument::Flag }).collect();
        self.elements(&mut function, &shares);
        self.tree(&mut function, &shares);
        let condition = if lanes > 1 { format!("s < {}u && lane == 0u", self.results) } else { format!("s < {}u", self.results) };
        function.line(format!("if ({condition}) {{"));
        for (number, (joined, scratch)) in self.joined.iter().zip(&scratch).enumerate() {
            if parts > 1 {
                let to = function.writes(*scratch);
                function.line(format!("    ((double *){to})[part * {}u + s] = r{number};", self.results));
            } else {
                let to = function.writes(joined.to);
                function.line(format!("    {to}[{}] = (float)r{number};", self.place));
            }
        }
        function.line("}");
        text.launch(kind, function, self.results.div_ceil(threads / lanes) * parts, threads);
        if parts > 1 {
            self.end(text, &scratch, parts);
        }
    }

    /// What each thread has of its result.
    fn elements(&self, function: &mut Function, shares: &Shares) {
        let Shares { lanes, threads, parts, part } = *shares;
        let own = threads / lanes;
        let (lane, result) = match self.side_by_side {
            _ if lanes == 1 => ("0u".into(), "threadIdx.x".into()),
            true => (format!("threadIdx.x / {own}u"), format!("threadIdx.x % {own}u")),
            false => (format!("threadIdx.x % {lanes}u"), format!("threadIdx.x / {lanes}u")),
        };
        let block = if parts == 1 { "blockIdx.x".into() } else { format!("(blockIdx.x / {parts}u)") };
        function.line(format!("const unsigned lane = {lane};\nconst index_t s = (index_t){block} * {own}u + {result};"));
        let (first, end) = if parts == 1 {
            ("lane".to_owned(), format!("{}u", self.length))
        } else {
            function.line(format!("const unsigned part = blockIdx.x % {parts}u;"));
            function.line(format!("index_t end = (index_t)(part + 1u) * {part}u;\nend = end < {0}u ? end : {0}u;", self.length));
            (format!("(index_t)part * {part}u + lane"), "end".into())
        };
        for (number, joined) in self.joined.iter().enumerate() {
            function.line(format!("double r{number} = {};", neutral(joined.join)));
        }
        let flushes = part.div_ceil(lanes) > FLUSH;
        function.line(format!("if (s < {}u) {{", self.results));
        for (number, joined) in self.joined.iter().enumerate() {
            function.line(format!("    float q{number} = (float)({});", neutral(joined.join)));
        }
        if flushes {
            function.line("    unsigned count = 0u;");
        }
        function.line(format!("    for (index_t j = {first}; j < {end}; j += {lanes}u) {{"));
        self.lines.lines().for_each(|line| function.line(format!("        {line}")));
        for (number, joined) in self.joined.iter().enumerate() {
            let sum = match (&joined.term, joined.join) {
                (Term::Product(a, b), _) => format!("fmaf({a}, {b}, q{number})"),
                (Term::Value(value), Join::Sum) => format!("q{number} + {value}"),
                (Term::Value(value), join) => format!("{}f(q{number}, {value})", name(join)),
            };
            function.line(format!("        q{number} = {sum};"));
        }
        let flush = |function: &mut Function, before: &str| {
            for (number, joined) in self.joined.iter().enumerate() {
                function.line(format!("{before}r{number} = {}(r{number}, (double)q{number});", name(joined.join)));
            }
        };
        if flushes {
            function.line(format!("        if (++count == {FLUSH}u) {{"));
            flush(function, "            ");
            for (number, joined) in self.joined.iter().enumerate() {
                function.line(format!("            q{number} = (float)({});", neutral(joined.join)));
            }
            function.line("            count = 0u;\n        }");
        }
        function.line("    }");
        flush(function, "    ");
        function.line("}");
    }

    /// Joins what the threads of a result have.
    fn tree(&self, function: &mut Function, shares: &Shares) {
        let Shares { lanes, threads, .. } = *shares;
        if lanes == 1 {
            return;
        }
        function.waits();
        let apart = if self.side_by_side { threads / lanes } else { 1 };
        let other = if apart == 1 { "threadIdx.x + half".to_owned() } else { format!("threadIdx.x + half * {apart}u") };
        for (group, joined) in self.joined.chunks(TOGETHER).enumerate() {
            let first = group * TOGETHER;
            for slot in 0..joined.len() {
                if group == 0 {
                    function.line(format!("__shared__ double t{slot}[{threads}];"));
                }
                function.line(format!("t{slot}[threadIdx.x] = r{};", first + slot));
            }
            function.line("__syncthreads();");
            function.line(format!("for (unsigned half = {}u; half > 0u; half /= 2u) {{\n    if (lane < half) {{", lanes / 2));
            for (slot, joined) in joined.iter().enumerate() {
                function.line(format!("        t{slot}[threadIdx.x] = {}(t{slot}[threadIdx.x], t{slot}[{other}]);", name(joined.join)));
            }
            function.line("    }\n    __syncthreads();\n}");
            for slot in 0..joined.len() {
                function.line(format!("r{} = t{slot}[threadIdx.x];", first + slot));
            }
        }
    }

    /// Joins the parts of results, in order.
    fn end(&self, text: &mut Text, scratch: &[Argument], parts: usize) {
        let mut function = Function::default();
        function.inside(&self.inside);
        let (blocks, threads) = blocks(self.results);
        function.line(element("s", self.results, threads));
        for (number, (joined, scratch)) in self.joined.iter().zip(scratch).enumerate() {
            let (from, to) = (function.reads(*scratch), function.writes(joined.to));
            function.line(format!("double r{number} = {};", neutral(joined.join)));
            function.line(format!("for (unsigned part = 0u; part < {parts}u; ++part) {{"));
            let next = format!("((const double *){from})[part * {}u + s]", self.results);
            function.line(format!("    r{number} = {}(r{number}, {next});\n}}", name(joined.join)));
            function.line(format!("{to}[{}] = (float)r{number};", self.place));
        }
        text.launch("join", function, blocks, threads);
    }
}

fn name(join: Join) -> &'static str {
    match join {
        Join::Sum => "segc_sum",
        Join::Max => "segc_maximum",
        Join::Min => "segc_minimum",
    }
}

/// What changes nothing when it is joined.
fn neutral(join: Join) -> &'static str {
    match join {
        Join::Sum => "0.0",
        Join::Max => "-(double)SEGC_FROM_BITS(0x7f800000u)",
        Join::Min => "(double)SEGC_FROM_BITS(0x7f800000u)",
    }
}
