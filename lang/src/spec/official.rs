//! Official names of weights: which tensor of a file a line of a `names` map means, and how its axes lie.

use super::{Axis, Official, Pretrained, Spec, Type};

/// What a map says of one of our weights or states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// No line fits.
    Nowhere,
    /// A line says that the file does not have it: it starts as the net says.
    Absent,
    /// Official names: the first one that the file has is meant.
    As(Vec<Sought<'a>>),
}

/// An official name under which a tensor is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought<'a> {
    /// The name, with numbers in the place of counters.
    pub name: String,
    /// The line that names the weight or the part that it belongs to.
    pub line: &'a Official,
    /// The line whose bracket counts: an ending, or the same.
    pub bracket: &'a Official,
}

impl Spec {
    /// Where a weight or state of a net gets its first value from, if that is a file. States of optimisers come from none.
    pub fn pretrained_for(&self, path: &str) -> Option<&Pretrained> {
        let found = self.pretrained.iter().find(|one| below(path, &one.model).is_some())?;
        let of_optimiser = self.weights.iter().any(|weight| below(path, &weight.path).is_some());
        (!of_optimiser).then_some(found)
    }

    /// The lines of a model's map.
    pub fn map_of(&self, pretrained: &Pretrained) -> (&str, &[Official]) {
        self.names.get(pretrained.names).map_or(("", &[]), |(name, lines)| (name, lines))
    }

    /// What the map of a model says of the weight or state at `path`.
    pub fn named(&self, pretrained: &Pretrained, path: &str) -> Named<'_> {
        let (_, lines) = self.map_of(pretrained);
        below(path, &pretrained.model).map_or(Named::Nowhere, |own| named(lines, own))
    }
}

/// What some lines say of a path inside a model: whole names first, then stems with endings, each in the order of the lines.
pub fn named<'a>(lines: &'a [Official], own: &str) -> Named<'a> {
    let ours = || lines.iter().filter_map(|line| Some((line, line.path.as_deref()?)));
    if ours().any(|(line, path)| line.name.is_empty() && (numbers(path, own).is_some() || above(path, own))) {
        return Named::Absent;
    }
    let stems = || ours().filter(|(line, _)| !line.name.is_empty() && !line.is_ending());
    let whole = |path: &str| -> Vec<Sought<'a>> {
        let filled = |line: &'a Official, ours| Some(Sought { name: filled(&line.name, &numbers(ours, path)?), line, bracket: line });
        stems().filter_map(|(line, ours)| filled(line, ours)).collect()
    };
    let mut found = whole(own);
    for (ending, leaf) in ours().filter(|(line, _)| line.is_ending()) {
        let Some(part) = own.strip_suffix(leaf).and_then(|rest| rest.strip_suffix('.')) else { continue };
        let ended = |stem: Sought<'a>| Sought { name: format!("{}{}", stem.name, &ending.name[1..]), bracket: ending, ..stem };
        found.extend(whole(part).into_iter().map(ended));
    }
    if found.is_empty() { Named::Nowhere } else { Named::As(found) }
}

impl Official {
    /// Whether the line says how official names end below the stems of other lines: `"*.weight" : w`.
    pub fn is_ending(&self) -> bool {
        self.path.is_some() && self.name.starts_with('*')
    }

    /// Whether the line says of a tensor of the file that nothing uses it.
    pub fn passes_over(&self, official: &str) -> bool {
        self.path.is_none() && fits(&self.name, official)
    }

    /// The axes of the official tensor, each with the axes of ours that it joins, for a weight of a type that was declared with its
    /// axes in an `order`. An axis that ours does not have has length one. None where the bracket is of other axes or sizes.
    pub fn laid_out(&self, ty: &Type, order: &[Axis]) -> Option<Vec<Vec<(Axis, usize)>>> {
        let own = |axis: Axis| ty.axes.iter().find(|(known, _)| *known == axis).map(|(_, size)| *size);
        if self.layout.is_empty() {
            return order.iter().map(|axis| Some(vec![(*axis, own(*axis)?)])).collect();
        }
        let sized = |(axis, size): &(Axis, Option<usize>)| match (own(*axis), *size) {
            (Some(known), given) if given.is_none_or(|given| given == known) => Some((*axis, known)),
            (None, Some(1)) => Some((*axis, 1)),
            _ => None,
        };
        let groups: Vec<Vec<(Axis, usize)>> = self.layout.iter().map(|group| group.iter().map(sized).collect()).collect::<Option<_>>()?;
        let once = |axis: Axis| groups.iter().flatten().filter(|(known, _)| *known == axis).count() == 1;
        ty.axes.iter().all(|(axis, _)| once(*axis)).then_some(groups)
    }
}

/// What follows a part in a path.
fn below<'a>(path: &'a str, part: &str) -> Option<&'a str> {
    path.strip_prefix(part)?.strip_prefix('.')
}

/// Whether a path of ours, perhaps with counters, is that of a part around another one.
fn above(part: &str, path: &str) -> bool {
    let ends = path.match_indices('.').map(|(at, _)| at);
    ends.into_iter().any(|at| numbers(part, &path[..at]).is_some())
}

/// The numbers that the counters of `block.{i}.w` have in `block.3.w`.
fn numbers<'a>(ours: &'a str, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let (mut left, mut right) = (ours.split('.'), path.split('.'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Some(found),
            (Some(own), Some(segment)) => match own.strip_prefix('{').and_then(|own| own.strip_suffix('}')) {
                None if own == segment => {}
                Some(counter) if segment.chars().all(|c| c.is_ascii_digit()) => {
                    if found.iter().any(|(known, number)| *known == counter && *number != segment) {
                        return None;
                    }
                    found.push((counter, segment));
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// An official name with its counters' numbers.
fn filled(name: &str, numbers: &[(&str, &str)]) -> String {
    numbers.iter().fold(name.to_string(), |name, (counter, number)| name.replace(&format!("{{{counter}}}"), number))
}

/// Whether a name fits a pattern in which `*` stands for any text and `{i}` for a number.
fn fits(pattern: &str, name: &str) -> bool {
    let mut rest = pattern;
    // Ends of what the pattern so far can cover; each once, so that many stars take no longer than few.
    let mut ends = vec![0];
    while let Some(first) = rest.chars().next() {
        let covered: Vec<usize> = match first {
            '*' => ends.first().map_or(Vec::new(), |from| (*from..=name.len()).filter(|at| name.is_char_boundary(*at)).collect()),
            '{' => ends.iter().flat_map(|from| numbers_from(name, *from)).collect(),
            _ => {
                let text = &rest[..rest.find(['*', '{']).unwrap_or(rest.len())];
                ends.iter().filter(|from| name[**from..].starts_with(text)).map(|from| from + text.len()).collect()
            }
        };
        ends = covered;
        ends.sort_unstable();
        ends.dedup();
        rest = match first {
            '*' => &rest[1..],
            '{' => rest.find('}').map_or("", |end| &rest[end + 1..]),
            _ => &rest[rest.find(['*', '{']).unwrap_or(rest.len())..],
        };
    }
    ends.contains(&name.len())
}

/// Ends of the numbers that begin at a place.
fn numbers_from(name: &str, from: usize) -> impl Iterator<Item = usize> {
    let digits = name[from..].bytes().take_while(u8::is_ascii_digit).count();
    (1..=digits).map(move |count| from + count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{SourceId, Span};
    use crate::spec::Element;

    fn line(name: &str, path: &str) -> Official {
        let span = Span { source: SourceId(0), start: 0, end: 0 };
        Official { name: name.into(), path: (path != "none").then(|| path.into()), layout: Vec::new(), span }
    }

    fn names(lines: &[Official], own: &str) -> Vec<String> {
        match named(lines, own) {
            Named::As(found) => found.into_iter().map(|one| one.name).collect(),
            Named::Absent => vec!["absent".into()],
            Named::Nowhere => Vec::new(),
        }
    }

    #[test]
    fn counters_stems_and_endings_make_official_names() {
        let lines = [
            line("*.weight", "w"),
            line("*.weight", "gain"),
            line("*.bias", "b"),
            line("blocks.{i}.norm", "stage.{i}.norm"),
            line("{i}.{k}.x", "deep.{k}.{i}.x"),
            line("fc_norm.weight", "norm.gain"),
            line("norm", "norm"),
            line("", "head"),
            line("", "spare.{i}"),
        ];
        assert_eq!(names(&lines, "stage.12.norm.gain"), ["blocks.12.norm.weight"]);
        assert_eq!(names(&lines, "stage.12.norm.b"), ["blocks.12.norm.bias"]);
        assert_eq!(names(&lines, "deep.1.2.x"), ["2.1.x"]);
        assert_eq!(names(&lines, "norm.gain"), ["fc_norm.weight", "norm.weight"]);
        assert_eq!(names(&lines, "head.w"), ["absent"]);
        assert_eq!(names(&lines, "spare.3.inner.w"), ["absent"]);
        for unknown in ["stage.x.norm.w", "stage.12.norm.other", "header.w", "deep.1.x"] {
            assert_eq!(names(&lines, unknown), Vec::<String>::new(), "{unknown}");
        }
    }

    #[test]
    fn what_is_passed_over_is_said_with_stars() {
        let over = |pattern: &str, name: &str| line(pattern, "none").passes_over(name);
        assert!(over("head.*", "head.fc.weight") && over("*.num_batches_tracked", "a.b.num_batches_tracked") && over("*", "x"));
        assert!(over("blocks.{i}.*.bias", "blocks.11.a.b.bias") && over("a{i}1", "a11"));
        assert!(!over("head.*", "heads.w") && !over("blocks.{i}.w", "blocks.x.w") && !over("a", "ab") && !over("*a", "ab"));
        assert!(!over(&"*a".repeat(60), &"a".repeat(59)) && over(&"*a".repeat(60), &"a".repeat(200)));
    }

    #[test]
    fn a_bracket_is_of_the_axes_of_the_weight() {
        let (out, token, feature, one) = (Axis(1), Axis(2), Axis(3), Axis(0));
        let ty = Type { element: Element::Real, axes: vec![(out, 2), (feature, 6)] };
        let laid = |layout: Vec<Vec<(Axis, Option<usize>)>>| Official { layout, ..line("a", "b") }.laid_out(&ty, &[feature, out]);
        assert_eq!(laid(Vec::new()), Some(vec![vec![(feature, 6)], vec![(out, 2)]]));
        let joined = laid(vec![vec![(one, Some(1))], vec![(feature, Some(6)), (out, None)]]);
        assert_eq!(joined, Some(vec![vec![(one, 1)], vec![(feature, 6), (out, 2)]]));
        assert_eq!(laid(vec![vec![(feature, None)]]), None);
        assert_eq!(laid(vec![vec![(feature, Some(5))], vec![(out, None)]]), None);
        assert_eq!(laid(vec![vec![(feature, None)], vec![(out, None)], vec![(token, Some(3))]]), None);
        assert_eq!(laid(vec![vec![(feature, None)], vec![(out, None)], vec![(out, None)]]), None);
    }
}
