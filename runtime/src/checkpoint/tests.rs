//! Round trips and every kind of damage.

use super::*;
use crate::record::Text;
use crate::rng::{Place, Stream};
use crate::train::log::{Record, What};
use crate::train::state::{Best, Kind, Tensor};
use segc_lang::spec::{Param, ParamValue};

fn identity(size: i64) -> Identity {
    let source = Text { name: "a.seg".into(), text: "let a = 1".into(), canonical: "let a = 1".into() };
    let params = vec![Param { name: "size".into(), value: ParamValue::Int(size), help: String::new() }];
    Identity { name: "a".into(), sources: vec![source], params, seed: 3, weights: Vec::new(), device: "cpu".into() }
}

fn state(total: u64) -> State {
    let mut state = State::default();
    state.place.total = total;
    state.place.begun = true;
    state.cursors.insert("images".into(), 1 << 40);
    state.starts.insert("G.0".into(), 2);
    state.elapsed = [1.0, 0.1, f32::MIN_POSITIVE];
    state.best = Some(Best { value: 0.1 + 0.2, step: 7 });
    state.window.add("critic", 1.0 / 3.0);
    let what = What::Losses(vec![("critic".into(), 1e-300), ("a \"quoted\" name".into(), -0.0)]);
    state.records.push(Record { phase: "grow[8]".into(), step: 1, total, what });
    let values = |from: u32| (from..from + 6).map(|bits| f32::from_bits(bits.wrapping_mul(0x9e37_79b1) & 0xff7f_ffff)).collect();
    for (number, kind) in [Kind::Weight, Kind::Buffer, Kind::Average].into_iter().enumerate() {
        state.set(kind.name("critic.w"), Tensor { shape: vec![2, 3], values: values(number as u32 + total as u32) });
    }
    state.set(Kind::Buffer.name("critic.w.t"), Tensor { shape: vec![], values: vec![2.5] });
    state
}

/// The bytes of a state's file.
fn encoded(state: &State) -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    format::write(state, &identity(1), &[], false, &path).unwrap();
    fs::read(path).unwrap()
}

/// What is read of a file of these bytes.
fn decoded(bytes: &[u8]) -> Result<format::Read, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    format::read(file.path()).unwrap()
}

fn checkpoints(home: &Path) -> Checkpoints {
    Checkpoints::of(home, identity(1), 2)
}

#[test]
fn a_state_comes_back_to_the_bit_and_equal_states_give_equal_files() {
    let bytes = encoded(&state(5));
    let read = decoded(&bytes).unwrap();
    assert_eq!(read.state, state(5));
    assert_eq!(encoded(&read.state), bytes);
}

#[test]
fn the_newest_stay() {
    let home = tempfile::tempdir().unwrap();
    let mut checkpoints = checkpoints(home.path());
    assert!(checkpoints.load().unwrap().is_none());
    for total in [5, 50, 500, 5000] {
        checkpoints.save(&state(total), false).unwrap();
        assert_eq!(checkpoints.load().unwrap(), Some(state(total)));
    }
    let mut names: Vec<_> = fs::read_dir(home.path().join(FOLDER)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["500.safetensors", "5000.safetensors", "last.safetensors"]);
}

#[test]
fn what_a_stop_made_stands_aside() {
    let home = tempfile::tempdir().unwrap();
    let numbered = || {
        let names = fs::read_dir(home.path().join(FOLDER)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut steps: Vec<u64> = names.filter_map(|name| name.strip_suffix(ENDING)?.parse().ok()).collect();
        steps.sort_unstable();
        steps
    };
    checkpoints(home.path()).save(&state(5), false).unwrap();
    checkpoints(home.path()).save(&state(7), true).unwrap();
    assert_eq!(numbered(), [5, 7]);
    let mut continued = checkpoints(home.path());
    assert_eq!(continued.load().unwrap(), Some(state(7)));
    continued.save(&state(7), true).unwrap();
    continued.save(&state(10), false).unwrap();
    assert_eq!(numbered(), [5, 10]);
}

/// A thousand files with one bit flipped each, and a thousand cut anywhere.
#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let good = encoded(&state(5));
    let draw = Stream::new(1, "test.damage", Place::default());
    for number in 0..1000 {
        let bit = draw.integer(number, 8 * good.len() as u64) as usize;
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(decoded(&bad).is_err(), "bit {bit} of {}", good.len());
        let length = draw.integer(1000 + number, good.len() as u64) as usize;
        assert!(decoded(&good[..length]).is_err(), "{length} bytes of {}", good.len());
    }
    assert!(decoded(&[good.as_slice(), b"x"].concat()).is_err(), "one byte more");
}

#[test]
fn damage_is_named_with_a_way_out() {
    let home = tempfile::tempdir().unwrap();
    let mut checkpoints = checkpoints(home.path());
    checkpoints.save(&state(5), false).unwrap();
    checkpoints.save(&state(6), false).unwrap();
    let last = home.path().join(FOLDER).join(LAST);
    let good = fs::read(&last).unwrap();
    fs::write(&last, &good[..good.len() - 1]).unwrap();
    let said = checkpoints.load().unwrap_err();
    assert!(matches!(said, RunError::Checkpoint(_)));
    let said = said.to_string();
    for word in ["last.safetensors is damaged", "it was cut off", "5.safetensors beside it is whole", "step 5"] {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    let older = home.path().join(FOLDER).join("5.safetensors");
    fs::write(&older, "").unwrap();
    assert!(checkpoints.load().unwrap_err().to_string().contains("No other checkpoint"));
}

#[test]
fn another_run_is_refused_with_the_difference() {
    let home = tempfile::tempdir().unwrap();
    checkpoints(home.path()).save(&state(5), false).unwrap();
    let said = Checkpoints::of(home.path(), identity(2), 2).load().unwrap_err();
    assert!(matches!(&said, RunError::Checkpoint(why) if why.contains("size is 1 there and 2 here")), "{said}");
}

/// The file of a state whose list of tensors was changed; its hash is right.
fn forged(change: impl Fn(&mut State)) -> String {
    let file = encoded(&state(5));
    let mut changed = state(5);
    change(&mut changed);
    let other = encoded(&changed);
    let description = |file: &[u8]| safetensors::SafeTensors::read_metadata(file).unwrap().1.metadata().clone().unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&other).unwrap();
    let views = tensors.tensors();
    let mixed = safetensors::serialize(views.iter().map(|(name, view)| (name, view)), Some(description(&file))).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), mixed).unwrap();
    format::seal(file.path()).unwrap();
    format::read(file.path()).unwrap().err().unwrap_or_default()
}

#[test]
fn missing_and_extra_tensors_are_named() {
    assert!(forged(|state| state.forget(&["critic".into()])).contains("`average/critic.w` is missing"));
    let extra = |state: &mut State| _ = state.set("weight/other".into(), Tensor { shape: vec![1], values: vec![0.0] });
    assert!(forged(extra).contains("too many, `weight/other`"));
    let larger = |state: &mut State| _ = state.set("weight/critic.w".into(), Tensor { shape: vec![3, 2], values: vec![0.0; 6] });
    assert!(forged(larger).contains("`weight/critic.w` is [3, 2]"));
}
