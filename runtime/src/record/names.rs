//! Names of files in a folder: what is called like another gets a number.

use std::collections::BTreeSet;

/// Names that are taken, in lower case: some file systems do not tell cases apart.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// Takes a name; says whether it was free.
    pub fn take(&mut self, name: &str) -> bool {
        self.0.insert(name.to_lowercase())
    }

    /// Takes the files of a photograph, which `of` names for a stem: they are called after its stem, with a number behind it if one of
    /// them is taken. Gives their names.
    pub fn free(&mut self, stem: &str, of: impl Fn(&str) -> Vec<String>) -> Vec<String> {
        let stem = stem.replace(['/', '\\'], "-");
        let mut names = of(&stem);
        let mut number = 2;
        while names.iter().any(|name| self.0.contains(&name.to_lowercase())) {
            names = of(&format!("{stem}-{number}"));
            number += 1;
        }
        self.0.extend(names.iter().map(|name| name.to_lowercase()));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_photograph_get_one_number() {
        let mut names = Names::default();
        assert!(names.take("A.mask.png") && !names.take("a.mask.png"));
        let of = |stem: &str| vec![format!("{stem}.mask.png"), format!("{stem}.overlay.png")];
        assert_eq!(names.free("a", of), ["a-2.mask.png", "a-2.overlay.png"]);
        assert_eq!(names.free("x/a", of), ["x-a.mask.png", "x-a.overlay.png"]);
        assert_eq!(names.free("A", of), ["A-3.mask.png", "A-3.overlay.png"]);
    }
}
