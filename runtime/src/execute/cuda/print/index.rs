//! Places in buffers as formulas of an index: mixed-radix digits times steps.

/// An axis that an index runs through: its size and its step in a buffer.
pub(super) type Axis = (usize, usize);

/// Where the index at `name` leads through axes, the last one fastest.
pub(super) fn formula(name: &str, axes: &[Axis]) -> String {
    let axes = merged(axes);
    let mut inner = 1;
    let mut terms = Vec::new();
    for (number, (size, step)) in axes.iter().enumerate().rev() {
        let over = if inner == 1 { name.to_owned() } else { format!("{name} / {inner}u") };
        let digit = if number == 0 { over } else { format!("{over} % {size}u") };
        match step {
            0 => {}
            1 => terms.push(if digit == name { digit } else { format!("({digit})") }),
            step if digit == name => terms.push(format!("{digit} * {step}u")),
            step => terms.push(format!("({digit}) * {step}u")),
        }
        inner *= size;
    }
    terms.reverse();
    if terms.is_empty() { "0u".into() } else { terms.join(" + ") }
}

/// Neighbours that are run through like one axis taken as one.
fn merged(axes: &[Axis]) -> Vec<Axis> {
    let mut list: Vec<Axis> = Vec::new();
    for &(size, step) in axes.iter().filter(|(size, _)| *size != 1) {
        match list.last_mut() {
            Some(last) if last.1 == size * step => *last = (last.0 * size, step),
            _ => list.push((size, step)),
        }
    }
    list
}

/// The first of some places and the axes that lead to all of them, if few do.
pub(super) fn axes(places: &[usize]) -> Option<(usize, Vec<Axis>)> {
    const MOST: usize = 5;
    let first = *places.first()?;
    let (mut rest, mut found) = (places.to_vec(), Vec::new());
    while rest.len() > 1 {
        let step = rest[1].checked_sub(rest[0])?;
        let mut run = (2..rest.len()).find(|at| rest[*at] != rest[0] + at * step).unwrap_or(rest.len());
        while !rest.len().is_multiple_of(run) {
            run -= 1;
        }
        let even = |part: &[usize]| part.iter().enumerate().all(|(at, place)| *place == part[0] + at * step);
        if run == 1 || found.len() == MOST || !rest.chunks(run).all(even) {
            return None;
        }
        found.push((run, step));
        rest = rest.into_iter().step_by(run).collect();
    }
    found.reverse();
    Some((first, found))
}

/// `base` and a formula as one sum.
pub(super) fn sum(terms: &[String]) -> String {
    let terms: Vec<&str> = terms.iter().map(String::as_str).filter(|term| !term.is_empty() && *term != "0u").collect();
    if terms.is_empty() { "0u".into() } else { terms.join(" + ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_axes_where_they_are_regular() {
        let starts: Vec<usize> = (0..24).map(|i| 7 + i / 12 * 100 + i / 4 % 3 * 5 + i % 4 * 20).collect();
        assert_eq!(axes(&starts), Some((7, vec![(2, 100), (3, 5), (4, 20)])));
        assert_eq!(axes(&[3]), Some((3, vec![])));
        assert_eq!(axes(&[0, 0, 0, 4, 4, 4]), Some((0, vec![(2, 4), (3, 0)])));
        assert_eq!(axes(&[0, 1, 3, 4, 5]), None);
        assert_eq!(axes(&[4, 2, 0]), None);
    }

    #[test]
    fn formulas_leave_out_what_changes_nothing() {
        assert_eq!(formula("i", &[(2, 12), (3, 4), (4, 1)]), "i");
        assert_eq!(formula("i", &[(2, 100), (3, 5), (4, 20)]), "(i / 12u) * 100u + (i / 4u % 3u) * 5u + (i % 4u) * 20u");
        assert_eq!(formula("i", &[(9, 0), (1, 5)]), "0u");
        assert_eq!(formula("i", &[(9, 0), (5, 2)]), "(i % 5u) * 2u");
    }
}
