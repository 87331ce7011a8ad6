//! The nearest name to a misspelt one.

/// The candidate that `word` most likely means, if any is near enough to be offered.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let least = word.chars().count();
    if least > 60 {
        return None;
    }
    let allowed = match least {
        0 | 1 => 0,
        2 | 3 => 1,
        _ => (least / 3).max(2),
    };
    let lower = word.to_lowercase();
    let mut found: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate == word || candidate.len() > 80 {
            continue;
        }
        let distance = distance(&lower, &candidate.to_lowercase());
        let near = distance <= allowed && distance < candidate.chars().count().max(2);
        if near && found.is_none_or(|(best, name)| (distance, candidate) < (best, name)) {
            found = Some((distance, candidate));
        }
    }
    found.map(|(_, name)| name)
}

/// Edits between two words; a longer word that contains the other at its start or end counts as one edit away.
fn distance(word: &str, candidate: &str) -> usize {
    let edits = strsim::damerau_levenshtein(word, candidate);
    let long = word.len().min(candidate.len()) >= 4;
    let extends = long && (candidate.starts_with(word) || word.starts_with(candidate) || candidate.ends_with(word));
    if extends { edits.min(2) } else { edits }
}

/// `Did you mean ..?`, or else the names that there are (at most eight), or nothing.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut all: Vec<&str> = candidates.into_iter().collect();
    if let Some(name) = nearest(word, all.iter().copied()) {
        return Some(format!("Did you mean `{name}`?"));
    }
    all.sort_unstable();
    all.dedup();
    match all.len() {
        0 => None,
        1 => Some(format!("There is only `{}`.", all[0])),
        2..=8 => Some(format!("There are {}.", list(&all))),
        _ => None,
    }
}

/// `` `a`, `b` and `c` ``.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_understood() {
        assert_eq!(nearest("heigth", ["height", "width", "channel"]), Some("height"));
        assert_eq!(nearest("lambada", ["lambda", "sigma"]), Some("lambda"));
        assert_eq!(nearest("zzz", ["height", "width"]), None);
        assert_eq!(nearest("x", ["m", "size"]), None);
    }

    #[test]
    fn few_names_are_listed() {
        assert_eq!(suggestion("zzzz", ["paper", "code"]).as_deref(), Some("There are `code` and `paper`."));
    }
}
