//! `segc selftest`, `segc bench` on a card and `benches/card.py`, as their user sees them: what is right passes, what is wrong is named,
//! and where there is no card it is said. Cards are stood in for by `runtime/tests/card/stand_in`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use beside::stand_in;
use serde_json::Value;
use support::{Said, segc};

#[path = "support/beside.rs"]
mod beside;
mod support;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// Runs segc beside the stand-in; none where it cannot be built.
fn beside(home: &Path, words: &[&str], path: Option<&Path>) -> Option<Said> {
    let own = std::env::var("PATH").unwrap();
    let folders = path.map_or(own.clone(), |folder| format!("{}:{own}", folder.display()));
    beside::beside(home, words, &[("PATH", &folders)])
}

#[test]
fn this_machine_computes_right() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("found.json");
    let said = segc(&repository(), &["selftest", "--threads", "2", "--json", file.to_str().unwrap()]);
    said.succeeds();
    for word in ["worst error", "ops", "golden", "training", "sanitizer", "cpu computes right"] {
        assert!(said.out.contains(word), "{word} is not said:\n{}", said.out);
    }
    assert!(said.err.contains("sanitizer is left out: only kernels of a card"), "{}", said.err);
    let found = json(&file);
    assert_eq!((&found["right"], &found["device"], &found["threads"]), (&true.into(), &"cpu".into(), &2.into()));
    let part = |name: &str| found["parts"].as_array().unwrap().iter().find(|part| part["part"] == name).unwrap().clone();
    assert!(part("ops")["cases"].as_u64().unwrap() > 300);
    assert_eq!(part("golden")["cases"], 715);
    assert!(part("training")["cases"].as_u64().unwrap() >= 7);
    for name in ["ops", "golden", "training"] {
        assert_eq!(part(name)["wrong"].as_array().map(Vec::len), Some(0), "{found}");
        let worst = &part(name)["worst"];
        let (error, allowed) = (worst["error"].as_f64().unwrap(), worst["allowed"].as_f64().unwrap());
        assert!(error > 0.0 && error <= allowed, "{name}: {worst}");
    }
    assert!(part("sanitizer")["left_out"].is_string());
}

#[test]
fn parts_and_ops_are_chosen_and_misspelt_ones_are_named() {
    let home = tempfile::tempdir().unwrap();
    let said = segc(home.path(), &["selftest", "--only", "ops,golden", "--ops", "conv2d,sum", "--on", "reference"]);
    said.succeeds();
    assert!(said.err.contains("golden is left out: there is no folder tests/goldens here; --goldens DIR"), "{}", said.err);
    assert!(!said.out.contains("training"), "{}", said.out);
    segc(home.path(), &["selftest", "--ops", "conv3d"]).fails(2, &["there is no op `conv3d`", "Did you mean `conv2d`?"]);
    segc(home.path(), &["selftest", "--only", "opps"]).fails(2, &["ops", "golden", "training", "sanitizer"]);
    segc(home.path(), &["selftest", "--only", "golden", "--goldens", "nowhere"]).fails(3, &["golden cases cannot be read", "nowhere"]);
    segc(home.path(), &["selftest", "--only", "golden", "--precision", "bf16"]).fails(2, &["--on cuda"]);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_wrong_number_is_named_and_decides_the_exit_code() {
    let home = tempfile::tempdir().unwrap();
    let goldens = home.path().join("goldens");
    fs::create_dir(&goldens).unwrap();
    for entry in fs::read_dir(repository().join("tests/goldens")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, goldens.join(path.file_name().unwrap())).unwrap();
    }
    let stored = goldens.join("losses.safetensors");
    let mut bytes = fs::read(&stored).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&1e9f32.to_le_bytes());
    fs::write(&stored, bytes).unwrap();
    let words = ["selftest", "--only", "golden", "--goldens", "goldens", "--json", "found.json"];
    let said = segc(home.path(), &words);
    said.fails(1, &["golden: ", ": element ", " instead of 1000000000 (off by 1.00e9, "]);
    assert!(said.out.contains("cpu computes wrongly"), "{}", said.out);
    let found = json(&home.path().join("found.json"));
    assert_eq!((&found["right"], found["parts"][0]["wrong"].as_array().map(Vec::len)), (&false.into(), Some(1)));
}

#[test]
fn without_a_card_there_is_nothing_to_test_or_measure_on_it() {
    let home = tempfile::tempdir().unwrap();
    let doctor: Value = serde_json::from_str(&segc(home.path(), &["doctor", "--json"]).out).unwrap();
    if doctor["nvidia"]["usable"] == true {
        println!("skipped: there is a card");
        return;
    }
    for words in [&["selftest", "--on", "cuda"][..], &["bench", "W2", "--on", "cuda", "--precision", "f32,bf16"]] {
        let said = segc(home.path(), words);
        said.fails(6, &["no NVIDIA card can be used", "segc doctor"]);
        assert!(said.out.is_empty(), "{}", said.out);
    }
    segc(home.path(), &["bench", "W8", "--precision", "bf16"]).fails(2, &["--on cuda"]);
    segc(home.path(), &["bench", "W8", "--on", "reference"]).fails(2, &["--on cpu or --on cuda"]);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

/// A program of this name that does what the text says.
fn script(folder: &Path, name: &str, text: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_card_is_tested_with_its_sanitizer() {
    let home = tempfile::tempdir().unwrap();
    let tools = home.path().join("tools");
    // Does what it is asked to watch, but for what it finds.
    let asked = "[ \"$1\" = --tool ] && [ \"$3\" = --error-exitcode ] && [ \"$4\" = 86 ] || exit 3\n";
    let finds = "if [ \"$2\" = racecheck ]; then echo '========= Race at 0x40'; echo noise; exit 86; fi\n";
    script(&tools, "compute-sanitizer", &format!("#!/bin/sh\n{asked}{finds}exit 0\n"));
    let words = ["selftest", "--on", "cuda", "--threads", "2", "--ops", "add,dot", "--json", "found.json"];
    let Some(said) = beside(home.path(), &words, Some(&tools)) else { return };
    said.fails(1, &["computing on the card: Stand-in 0", "sanitizer: racecheck ends with 86", "========= Race at 0x40"]);
    assert!(said.out.contains("cuda computes wrongly") && !said.err.contains("noise"), "{}{}", said.out, said.err);
    let found = json(&home.path().join("found.json"));
    let [ops, golden, training, sanitizer] = [0, 1, 2, 3].map(|at| found["parts"][at].clone());
    assert!(golden["left_out"].is_string() && training["cases"].as_u64().unwrap() >= 7, "{found}");
    assert_eq!(training["wrong"].as_array().map(Vec::len), Some(0), "{found}");
    assert_eq!((ops["part"].as_str(), ops["wrong"].as_array().map(Vec::len)), (Some("ops"), Some(0)), "{found}");
    assert!(ops["cases"].as_u64().unwrap() >= 6, "{found}");
    assert_eq!((sanitizer["cases"].as_u64(), sanitizer["wrong"].as_array().map(Vec::len)), (Some(3), Some(1)), "{found}");
}

/// An end of a peer that says how it was called.
const PEER: &str = "#!/bin/sh\ncat > /dev/null\necho \"$*\" >> calls\n\
    [ \"$9\" = --compile ] && echo '{\"error\": \"no compiler\"}' && exit\n\
    echo '{\"ms\": 8}'\n";

#[test]
fn a_card_is_measured_in_each_precision_beside_its_ceilings() {
    let home = tempfile::tempdir().unwrap();
    script(&home.path().join("tools"), "peer", PEER);
    let Some(libraries) = stand_in::libraries() else { return };
    // A stand-in takes an hour for a product that is large for a card; what was measured before is taken instead.
    let before =
        r#"{"ours": {"flop_per_second": 1e12, "bytes_per_second": 1e12}, "peer": {"flop_per_second": 4e12, "bytes_per_second": 2e12}}"#;
    fs::write(home.path().join("ceilings.json"), format!("{{\"f32\": {before}, \"bf16\": {before}}}")).unwrap();
    let mut command = stand_in::beside(env!("CARGO_BIN_EXE_segc"), libraries, home.path());
    command.args(["bench", "W6", "--on", "cuda", "--precision", "f32,bf16", "--peer", "--compiled", "--json", "--repeats", "1"]);
    command
        .args(["--steps", "1", "--set", "size=16", "--set", "batch_n=1", "--ceilings", "ceilings.json"])
        .env("SEGC_PEER", home.path().join("tools/peer"));
    let said = Said::of(command.current_dir(home.path()).stdin(Stdio::null()).output().unwrap());
    said.succeeds();
    let found: Value = serde_json::from_str(&said.out).unwrap();
    assert!(found["card"].as_str().unwrap().contains("Stand-in 0"), "{found}");
    assert_eq!(found["ceilings"]["bf16"]["peer"]["flop_per_second"], 4e12);
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["precision"].as_str().unwrap()).collect::<Vec<_>>(), ["f32", "bf16"]);
    for row in rows {
        let ours = row["ours_ms"].as_f64().unwrap();
        assert!((row["ratio_eager"].as_f64().unwrap() - 8.0 / ours).abs() < 1e-9, "{row}");
        assert_eq!(row["compiled_error"], "no compiler", "{row}");
        let part = row["tflop_per_second"].as_f64().unwrap() / 4.0;
        assert!((row["ceiling"].as_f64().unwrap() - part).abs() < 1e-9 && row["ceiling_gb_per_second"] == 2000.0, "{row}");
    }
    let calls = fs::read_to_string(home.path().join("calls")).unwrap();
    let compiled = "--compile --mode reduce-overhead --device cuda --precision bf16";
    assert!(calls.lines().any(|line| line.starts_with("- W6 ") && line.ends_with(compiled)), "{calls}");
}

/// What `benches/card.py` wrote, with its exit code; none without Python.
fn session(home: &Path, words: &[&str]) -> Option<(Value, Option<i32>)> {
    let script = repository().join("benches/card.py");
    let output = Command::new("python3").arg(script).args(words).args(["--out", "card.json"]).current_dir(home).output();
    let Ok(output) = output else {
        println!("skipped: there is no python3");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(home.join("card.json").is_file(), "{text}");
    Some((json(&home.join("card.json")), output.status.code()))
}

#[test]
fn a_session_does_all_parts_and_moves_between_devices() {
    let home = tempfile::tempdir().unwrap();
    let own = env!("CARGO_BIN_EXE_segc");
    let words = ["--segc", own, "--on", "auto", "--only", "doctor,moves"];
    let Some((found, code)) = session(home.path(), &words) else { return };
    assert_eq!((code, &found["failed"]), (Some(0), &serde_json::json!([])), "{found:#}");
    let names: Vec<&str> = found["parts"].as_array().unwrap().iter().filter_map(|part| part["part"].as_str()).collect();
    assert_eq!(names, ["doctor", "moves from auto to cpu", "moves from cpu to auto"]);
    assert!(found["parts"][1]["figures"].as_object().unwrap().keys().any(|name| name.ends_with("iou")), "{found:#}");
}

#[test]
fn a_session_records_what_fails_and_what_takes_too_long() {
    let home = tempfile::tempdir().unwrap();
    let text = "#!/bin/sh\n[ \"$1\" = doctor ] && sleep 60\necho 'something is broken' >&2\nexit 6\n";
    script(home.path(), "broken", text);
    let broken = home.path().join("broken");
    let words = ["--segc", broken.to_str().unwrap(), "--on", "cpu", "--only", "doctor,selftest,bench", "--workloads", "W2", "--minutes"];
    let Some((found, code)) = session(home.path(), &[&words[..], &["0.05"]].concat()) else { return };
    assert_eq!(code, Some(1));
    assert_eq!(found["parts"][0]["error"], "not done after 3 s");
    assert!(found["parts"][1]["left_out"].is_string(), "{found:#}");
    let (found, code) = session(home.path(), &[&words[..], &["1"], &["--skip", "doctor"]].concat()).unwrap();
    assert_eq!((code, &found["failed"]), (Some(1), &serde_json::json!(["selftest", "bench W2 f32"])));
    assert_eq!((&found["parts"][0]["error"], &found["parts"][0]["said"]), (&"exit code 6".into(), &"something is broken".into()));
}
