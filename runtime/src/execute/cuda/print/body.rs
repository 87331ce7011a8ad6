//! The body of a loop at one element: a statement for each instruction that is needed.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use segc_compiler::kernel::{Access, Effect, Function as Name, Instruction, Loop, Operand, Place, Scalar, Tap};

use super::Argument;
use super::index::{axes, formula, sum};
use super::text::{Function, Text, number};

/// Instructions that a stencil within rows repeats at every tap; where there would be more, its operand is made before.
const REPEAT: usize = 64;

/// Values that are made before and lie in scratch, element by element of the loop's space.
pub(super) type Staged = HashMap<usize, Argument>;

/// Prints statements at an element. Its number in the space is `i`; `o`, `r` and `c` are its outer index, row and column.
pub(super) struct Body<'a> {
    body: &'a Loop,
    staged: &'a Staged,
    text: &'a mut Text,
    pub function: &'a mut Function,
    /// Which of `o`, `r` and `c` the statements name.
    pub named: BTreeSet<char>,
    scalars: HashMap<usize, String>,
    shifts: usize,
}

/// Where a statement stands: at the element itself, or some columns away from it.
#[derive(Default)]
pub(super) struct Scope {
    pub lines: String,
    known: HashMap<usize, String>,
    /// Behind the names of what belongs to this place.
    suffix: String,
}

impl<'a> Body<'a> {
    pub fn new(body: &'a Loop, staged: &'a Staged, text: &'a mut Text, function: &'a mut Function) -> Body<'a> {
        Body { body, staged, text, function, named: BTreeSet::new(), scalars: HashMap::new(), shifts: 0 }
    }

    /// The name of a value, whose statements are printed where they are not yet.
    pub fn value(&mut self, value: usize, scope: &mut Scope) -> String {
        if let Some(known) = scope.known.get(&value) {
            return known.clone();
        }
        let body = self.body;
        let made = match (&body.body[value], self.staged.get(&value)) {
            (_, Some(at)) => {
                let from = self.function.reads(*at);
                format!("{from}[i{}]", scope.suffix)
            }
            (Instruction::Splat(scalar), _) => self.scalar(*scalar),
            (Instruction::Load(access), _) => {
                let from = self.function.from(access.place);
                format!("{from}[{}]", self.place(access, &scope.suffix))
            }
            (Instruction::LoadStencil(access, taps), _) => return self.load_stencil(value, access, taps, scope),
            (Instruction::RowStencil(of, taps), _) => return self.row_stencil(value, *of, taps, scope),
            (Instruction::Apply(function, operands), _) => {
                let of = |operand: &Operand, own: &mut Self, scope: &mut Scope| match operand {
                    Operand::Value(value) => own.value(*value, scope),
                    Operand::Scalar(scalar) => own.scalar(*scalar),
                };
                let operands: Vec<String> = operands.iter().map(|operand| of(operand, self, scope)).collect();
                applied(*function, &operands)
            }
        };
        let name = format!("v{value}{}", scope.suffix);
        let _ = writeln!(scope.lines, "const float {name} = {made};");
        scope.known.insert(value, name.clone());
        name
    }

    /// The statement that writes a value to where an access leads.
    pub fn store(&mut self, value: usize, access: &Access, scope: &mut Scope) -> String {
        let made = self.value(value, scope);
        let to = self.function.writes(Argument::At(access.place));
        format!("{to}[{}] = {made};", self.place(access, ""))
    }

    fn scalar(&mut self, scalar: usize) -> String {
        match self.body.scalars[scalar] {
            Scalar::Number(value) => number(value as f32),
            Scalar::At(place, element) => {
                let from = self.function.from(place);
                let name = format!("s{scalar}");
                if self.scalars.insert(scalar, name.clone()).is_none() {
                    self.function.line(format!("const float {name} = {from}[{element}u];"));
                }
                name
            }
        }
    }

    /// Where an access leads at the element.
    fn place(&mut self, access: &Access, suffix: &str) -> String {
        let [outer, rows, columns] = self.body.space;
        let base = |first: usize| if first == 0 { String::new() } else { format!("{first}u") };
        let first = access.outer.first().copied().unwrap_or(0);
        let in_order = access.outer.iter().enumerate().all(|(at, start)| *start == first + at * rows * columns);
        if in_order && (rows == 1 || access.rows == columns) && (columns == 1 || access.columns == 1) {
            return sum(&[base(first), format!("i{suffix}")]);
        }
        let (first, outside) = match axes(&access.outer) {
            _ if outer == 1 => (first, String::new()),
            Some((first, axes)) => (first, formula("o", &axes)),
            None => {
                let first = access.outer.iter().min().copied().unwrap_or(0);
                let table = self.text.table(access.outer.iter().map(|start| (start - first) as u32).collect());
                (first, format!("{}[o]", self.function.reads(table)))
            }
        };
        let step = |name: String, size: usize, step: usize| match step {
            _ if size == 1 => String::new(),
            0 => String::new(),
            1 => name,
            step => format!("{name} * {step}u"),
        };
        let row = step("r".into(), rows, access.rows);
        let column = step(format!("c{suffix}"), columns, access.columns);
        for (name, term) in [('o', &outside), ('r', &row), ('c', &column)] {
            if term.contains(name) {
                self.named.insert(name);
            }
        }
        sum(&[base(first), outside, row, column])
    }

    /// A weighted sum of a buffer's elements around this one, in the order of the taps.
    fn load_stencil(&mut self, value: usize, access: &Access, taps: &[Tap], scope: &mut Scope) -> String {
        let from = self.function.from(access.place);
        let name = format!("v{value}{}", scope.suffix);
        let at = self.place(access, &scope.suffix);
        let [_, rows, columns] = self.body.space;
        let mut lines = format!("const index_t a{value}{} = {at};\nfloat {name} = 0.0f;\n", scope.suffix);
        for tap in taps {
            let inside = [self.inside('r', "", tap.down, rows), self.inside('c', &scope.suffix, tap.right, columns)];
            let away = tap.down * access.rows as isize + tap.right * access.columns as isize;
            let at = moved(&format!("a{value}{}", scope.suffix), away);
            let sum = format!("{name} = fmaf({from}[{at}], {}, {name});", number(tap.weight as f32));
            let _ = writeln!(lines, "{}", guarded(&inside, &sum));
        }
        scope.lines.push_str(&lines);
        scope.known.insert(value, name.clone());
        name
    }

    /// A weighted sum of a value of this loop along the row.
    fn row_stencil(&mut self, value: usize, of: usize, taps: &[Tap], scope: &mut Scope) -> String {
        let name = format!("v{value}{}", scope.suffix);
        let _ = writeln!(scope.lines, "float {name} = 0.0f;");
        for tap in taps {
            let inside = self.inside('c', &scope.suffix, tap.right, self.body.space[2]);
            let weight = number(tap.weight as f32);
            self.shifts += 1;
            let suffix = format!("_{}", self.shifts);
            let mut there = Scope { suffix: suffix.clone(), ..Scope::default() };
            let made = self.value(of, &mut there);
            let own = &scope.suffix;
            let mut lines = String::new();
            for name in ["i", "c"].into_iter().filter(|name| names(&there.lines, &format!("{name}{suffix}"))) {
                if name == "c" {
                    self.named.insert('c');
                }
                let _ = writeln!(lines, "const index_t {name}{suffix} = {};", moved(&format!("{name}{own}"), tap.right));
            }
            let _ = write!(lines, "{}{name} = fmaf({made}, {weight}, {name});", there.lines);
            let _ = writeln!(scope.lines, "{}", guarded(&[inside], &lines));
        }
        scope.known.insert(value, name.clone());
        name
    }

    /// The condition under which an element so far up or to the left exists.
    fn inside(&mut self, axis: char, suffix: &str, by: isize, size: usize) -> String {
        if by == 0 {
            return String::new();
        }
        if by.unsigned_abs() >= size {
            return "0".into();
        }
        self.named.insert(axis);
        if by > 0 { format!("{axis}{suffix} >= {by}u") } else { format!("{axis}{suffix} < {}u", size - by.unsigned_abs()) }
    }
}

/// Whether some lines have a name in them.
fn names(lines: &str, name: &str) -> bool {
    lines.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

/// A place so many elements before a named one.
fn moved(name: &str, by: isize) -> String {
    match by {
        0 => name.into(),
        by if by > 0 => format!("{name} - {by}u"),
        by => format!("{name} + {}u", -by),
    }
}

/// Lines under the conditions that are not empty; nothing where one never holds.
fn guarded(conditions: &[String], lines: &str) -> String {
    let conditions: Vec<&str> = conditions.iter().map(String::as_str).filter(|condition| !condition.is_empty()).collect();
    if conditions.contains(&"0") {
        return String::new();
    }
    let inner: Vec<String> = lines.lines().map(|line| format!("    {line}")).collect();
    let condition = if conditions.is_empty() { String::new() } else { format!("if ({}) ", conditions.join(" && ")) };
    format!("{condition}{{\n{}\n}}", inner.join("\n"))
}

/// Which operands of stencils within rows are made before, in order: those that are dear, and those that read what the loop writes over.
pub(super) fn to_stage(body: &Loop) -> Vec<usize> {
    let store = |effect: &Effect| if let Effect::Store(_, access) = effect { Some(access.place) } else { None };
    let written: Vec<Place> = body.effects.iter().filter_map(store).collect();
    let mut staged: Vec<usize> = Vec::new();
    for instruction in &body.body {
        let Instruction::RowStencil(value, taps) = instruction else { continue };
        if !is_cheap(body, *value, taps.len(), &written) && !staged.contains(value) {
            staged.push(*value);
        }
    }
    staged.sort_unstable();
    staged
}

fn is_cheap(body: &Loop, value: usize, taps: usize, written: &[Place]) -> bool {
    let (mut cone, mut cost) = (BTreeSet::from([value]), 0);
    while let Some(next) = cone.pop_last() {
        match &body.body[next] {
            Instruction::RowStencil(..) => return false,
            Instruction::Load(access) | Instruction::LoadStencil(access, _) if written.contains(&access.place) => return false,
            Instruction::LoadStencil(_, own) => cost += own.len(),
            Instruction::Load(_) | Instruction::Splat(_) => cost += 1,
            Instruction::Apply(_, operands) => {
                cost += 1;
                cone.extend(operands.iter().filter_map(|operand| if let Operand::Value(value) = operand { Some(*value) } else { None }));
            }
        }
    }
    cost * taps <= REPEAT
}

/// A function of its operands, with the bits that the cpu makes wherever it computes exactly or rounds once.
fn applied(function: Name, of: &[String]) -> String {
    let operand = |at: usize| of.get(at).map_or("0.0f", String::as_str);
    let (a, b) = (operand(0), operand(1));
    let call = |name: &str| format!("{name}({})", of.join(", "));
    let truth = |condition: String| format!("{condition} ? 1.0f : 0.0f");
    match function {
        Name::Copy => a.into(),
        Name::Negate => format!("-{a}"),
        Name::Exp => call("segc_expf"),
        Name::Log => call("logf"),
        Name::Log1p => call("log1pf"),
        Name::Sqrt => call("sqrtf"),
        Name::Sin => call("sinf"),
        Name::Cos => call("cosf"),
        Name::Erf => call("erff"),
        Name::Tanh => call("segc_tanhf"),
        Name::Sigmoid => call("segc_sigmoidf"),
        Name::Softplus => call("segc_softplusf"),
        Name::Abs => call("fabsf"),
        Name::Sign => call("segc_signf"),
        Name::Floor => call("floorf"),
        Name::Round => call("rintf"),
        Name::Not => format!("1.0f - {a}"),
        Name::Add => format!("{a} + {b}"),
        Name::Subtract => format!("{a} - {b}"),
        // Never fused with a sum, since a value that two kernels compute must be the same number in both.
        Name::Multiply => call("__fmul_rn"),
        Name::Divide => format!("{a} / {b}"),
        Name::Power => call("powf"),
        Name::Maximum => call("segc_maximumf"),
        Name::Minimum => call("segc_minimumf"),
        Name::Modulo => call("segc_modulof"),
        Name::Equal => truth(format!("{a} == {b}")),
        Name::NotEqual => truth(format!("{a} != {b}")),
        Name::Less => truth(format!("{a} < {b}")),
        Name::LessEqual => truth(format!("{a} <= {b}")),
        Name::And => truth(format!("{a} != 0.0f && {b} != 0.0f")),
        Name::Or => truth(format!("{a} != 0.0f || {b} != 0.0f")),
        Name::Select => format!("{a} != 0.0f ? {b} : {}", operand(2)),
    }
}
