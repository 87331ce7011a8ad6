//! The library that is part of the compiler: the modules of `stdlib/`, by name.

/// What every file sees without `use`.
pub const PRELUDE: &str = "prelude";

macro_rules! modules {
    ($($name:literal)*) => {
        /// Names and texts, sorted by name.
        pub const MODULES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../stdlib/", $name, ".seg")))),*];
    };
}

modules! {
    "augment"
    "biggan"
    "colour"
    "compact"
    "efficientnet"
    "filter"
    "gan"
    "host"
    "iem"
    "kde"
    "losses"
    "mask"
    "metrics"
    "nn"
    "prelude"
    "redo"
    "region"
    "resnet"
    "schedule"
    "segmenter"
    "selfmask"
    "stylegan"
    "stylegan1"
    "stylegan2"
    "unet"
    "upsampling"
    "vit"
}

/// The text of `std::name`.
pub fn text(name: &str) -> Option<&'static str> {
    MODULES.iter().find(|module| module.0 == name).map(|module| module.1)
}

/// The names behind `std::` that a file may use.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|module| module.0).filter(|name| *name != PRELUDE)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../stdlib");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".seg").map(str::to_owned))
            .collect();
        found.sort();
        let table: Vec<&str> = super::MODULES.iter().map(|module| module.0).collect();
        assert_eq!(found, table);
    }
}
