//! What makes two runs the same: the spec's meaning, the params, the seed and the device. Threads, fusion and formatting do not.

use std::path::PathBuf;

use segc_lang::spec::{Param, ParamValue};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A source text of the run; the library's modules belong to the version instead.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its name, as given or as written in `extend`.
    pub name: String,
    /// The text as it stands in the file.
    pub text: String,
    /// The text as `segc fmt` writes it, so that formatting changes no identity.
    pub canonical: String,
}

/// What is needed to do a run again to the same bits.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the spec.
    pub name: String,
    /// The spec, then the files that it extends or uses.
    pub sources: Vec<Text>,
    /// The params with their values in this run.
    pub params: Vec<Param>,
    /// The seed of all draws.
    pub seed: u64,
    /// Files of weights that models begin with, as the spec names them, with the SHA-256 of their content.
    pub weights: Vec<(String, String)>,
    /// Name of the device: executors may differ in the last bits.
    pub device: String,
}

impl Identity {
    /// SHA-256 of the texts alone, in hexadecimal.
    pub fn spec_hash(&self) -> String {
        let mut hash = Sha256::new();
        for source in &self.sources {
            // Lengths keep two texts apart from one text that joins them.
            hash.update((source.canonical.len() as u64).to_le_bytes());
            hash.update(&source.canonical);
        }
        hex(&hash.finalize())
    }

    /// SHA-256 of all that decides the result, in hexadecimal.
    pub fn hash(&self) -> String {
        let parts = (crate::VERSION, self.spec_hash(), self.param_values(), self.seed, &self.device);
        // Serialising strings and numbers into memory cannot fail.
        let mut bytes = serde_json::to_vec(&parts).unwrap_or_default();
        if !self.weights.is_empty() {
            bytes.extend(serde_json::to_vec(&self.weights).unwrap_or_default());
        }
        hex(&Sha256::digest(bytes))
    }

    /// Where the run goes if the user names no folder: `runs/iem+paper-1a2b3c4d`.
    pub fn default_folder(&self, variants: &[String]) -> PathBuf {
        let variants: String = variants.iter().map(|variant| format!("+{variant}")).collect();
        PathBuf::from("runs").join(format!("{}{variants}-{}", self.name, &self.hash()[..8]))
    }

    /// Name and value of each param in the order of the spec.
    pub(crate) fn param_values(&self) -> Vec<(String, ParamValue)> {
        self.params.iter().map(|param| (param.name.clone(), param.value.clone())).collect()
    }

    /// What differs from the run that wrote `run` (a `run.json`), in words; empty for the same run.
    pub(crate) fn differences(&self, run: &Value) -> Vec<String> {
        if run["identity"] == self.hash() {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut compare = |what: &str, there: &Value, here: Value| {
            if *there != here {
                found.push(format!("{what} is {} there and {} here", shown(there), shown(&here)));
            }
        };
        compare("the spec", &run["spec"]["name"], json(&self.name));
        for (name, value) in self.param_values() {
            compare(&name, &run["params"][&name], json(&value));
        }
        for (file, hash) in &self.weights {
            compare(&format!("the content of {file}"), &run["weights"][file], json(hash));
        }
        compare("the seed", &run["seed"], json(self.seed));
        compare("the device", &run["device"], json(&self.device));
        compare("the version of segc", &run["segc"], json(crate::VERSION));
        if run["spec"]["hash"] != self.spec_hash() {
            found.push("the text of the spec has changed".into());
        }
        if found.is_empty() {
            found.push("its run.json is of another kind".into());
        }
        found
    }
}

/// Hexadecimal digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(text: &str, size: i64) -> Identity {
        let param = Param { name: "size".into(), value: ParamValue::Int(size), help: String::new() };
        let source = Text { name: "a.seg".into(), text: text.into(), canonical: text.trim().into() };
        Identity { name: "a".into(), sources: vec![source], params: vec![param], seed: 0, weights: Vec::new(), device: "cpu".into() }
    }

    #[test]
    fn formatting_changes_no_hash_but_a_param_does() {
        assert_eq!(identity("let a = 1", 1).hash(), identity("  let a = 1 ", 1).hash());
        assert_ne!(identity("let a = 1", 1).hash(), identity("let a = 1", 2).hash());
        assert_ne!(identity("let a = 1", 1).hash(), identity("let a = 2", 1).hash());
    }

    #[test]
    fn the_content_of_weights_is_part_of_a_run() {
        let with = |hash: &str| Identity { weights: vec![("a.pth".into(), hash.into())], ..identity("x", 1) };
        assert_ne!(with("1").hash(), with("2").hash());
        assert_ne!(with("1").hash(), identity("x", 1).hash());
        let run = serde_json::json!({ "spec": { "name": "a", "hash": identity("x", 1).spec_hash() }, "params": { "size": 1 }, "seed": 0,
            "device": "cpu", "segc": crate::VERSION, "identity": "other", "weights": { "a.pth": "1" } });
        assert_eq!(with("2").differences(&run), ["the content of a.pth is \"1\" there and \"2\" here"]);
    }

    #[test]
    fn a_text_is_not_the_same_as_its_halves() {
        let mut halves = identity("ab", 1);
        halves.sources = ["a", "b"].map(|t| Text { name: t.into(), text: t.into(), canonical: t.into() }).to_vec();
        assert_ne!(halves.spec_hash(), identity("ab", 1).spec_hash());
    }

    #[test]
    fn differences_name_the_params() {
        let run = serde_json::json!({ "spec": { "name": "a", "hash": identity("x", 1).spec_hash() }, "params": { "size": 1 }, "seed": 0,
            "device": "cpu", "segc": crate::VERSION, "identity": "other" });
        assert_eq!(identity("x", 2).differences(&run), ["size is 1 there and 2 here"]);
    }
}
