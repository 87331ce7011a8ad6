//! Trainings of one or two weights whose steps are known: turns, averages, settled models, data, restarts.
#![allow(clippy::unwrap_used)]

use segc_lang::modules::Modules;
use segc_lang::params::{Moment, Overrides};
use segc_lang::source::{LoadError, Loader};
use segc_lang::spec::Spec;
use segc_runtime::outcome::RunError;
use segc_runtime::session::Options;
use segc_runtime::train::log::{Panel, Record, What};
use segc_runtime::train::state::{Kind, State};
use segc_runtime::train::{self, Ended, Observer, Progress, Schedule, Specs};

struct Nowhere;

impl Loader for Nowhere {
    fn load(&self, _: &str, _: &str) -> Result<(String, String), LoadError> {
        Err(LoadError::Missing(Vec::new()))
    }
}

struct Text(Modules);

impl Specs for Text {
    fn at(&self, moment: Moment) -> Result<Spec, RunError> {
        let (spec, faults) = segc_lang::elaborate::elaborate(&self.0, &Overrides { moment, ..Overrides::default() });
        assert_eq!(faults, []);
        spec.ok_or_else(|| RunError::Usage("no spec".into()))
    }
}

/// Counts what is saved; nothing is written.
#[derive(Default)]
struct Quiet {
    saved: Vec<(u64, bool)>,
    records: Vec<Record>,
}

impl Observer for Quiet {
    fn step(&mut self, _: &Progress) {}

    fn record(&mut self, record: &Record, panels: &[Panel]) -> Result<(), RunError> {
        let shows = matches!(record.what, What::Shown { .. });
        assert_eq!(shows, !panels.is_empty());
        self.records.push(record.clone());
        Ok(())
    }

    fn save(&mut self, state: &State, passing: bool) -> Result<(), RunError> {
        self.saved.push((state.place.total, passing));
        Ok(())
    }

    fn left_out(&mut self, file: &str, why: &str) {
        panic!("{file}: {why}");
    }

    fn stop(&self) -> bool {
        false
    }
}

const HEAD: &str = "data images = pictures(scenes: easy) |> resize(4) |> chunk(0, of: 20)
net flat(first: distribution = 1)(x: image) -> real {
    weight w: real ~ first
    return w + 0 * mean(x)
}
";

fn trained(text: &str, schedule: Schedule, state: &mut State) -> (Ended, Quiet) {
    let (modules, faults) = segc_lang::modules::load("try.seg", &format!("{HEAD}{text}"), &Nowhere);
    assert_eq!(faults, []);
    let specs = Text(modules);
    let options = Options { seed: 5, ..Options::plain(2) };
    let mut observer = Quiet::default();
    let end = specs.at(Moment::End).unwrap();
    let ended = train::run(&end, &specs, &options, &schedule, state, &mut observer).unwrap();
    (ended, observer)
}

fn whole(text: &str) -> (State, Quiet) {
    let mut state = State::default();
    let (ended, observer) = trained(text, Schedule::default(), &mut state);
    assert_eq!(ended, Ended::Done);
    (state, observer)
}

fn value(state: &State, kind: Kind, path: &str) -> f32 {
    state.values(state.number(kind, path).unwrap_or_else(|| panic!("no {path}")))[0]
}

fn losses<'a>(observer: &'a Quiet, name: &str) -> Vec<f64> {
    let of = |record: &'a Record| if let What::Losses(losses) = &record.what { Some(losses) } else { None };
    let own = observer.records.iter().filter_map(of).flatten();
    own.filter(|(own, _)| own == name).map(|(_, loss)| *loss).collect()
}

/// `w` goes half of the way to 3 with each turn.
#[test]
fn turns_averages_and_settled_models() {
    let (state, observer) = whole(
        "model m = flat()
model n = flat()
loss near = (m(images.image) - 3)^2
loss copy = (n(images.image) - m(images.image))^2
train one for 3 steps, batch 2 {
    update m by near with sgd(1/4)
    ema m decay 1/2
}
train two after one for 1 steps, batch 2 { update n by copy with sgd(1/4) }
train three after two for 2 steps, batch 2 {
    update m by near with sgd(1/4) repeat 2
    every 2 steps { update n by copy with sgd(1/4) }
}
",
    );
    assert_eq!(losses(&observer, "near")[..3], [4.0, 1.0, 0.25]);
    // The average was 1, 1.5, 2, 2.375, and `n` came half of the way to it; the third phase drops it and has its own `m`.
    let at_the_end_of_two = (1.0 + 2.375) / 2.0;
    let m = 3.0 - 2.0 / 128.0;
    assert_eq!(value(&state, Kind::Weight, "m.w"), m);
    assert_eq!(value(&state, Kind::Weight, "n.w"), (at_the_end_of_two + m) / 2.0);
    assert!(state.number(Kind::Average, "m.w").is_none());
    assert_eq!(state.place.total, 6);
    assert_eq!(observer.saved, [(3, false), (4, false), (6, false)]);
}

#[test]
fn an_average_is_the_weight_itself_before_its_time() {
    let (state, _) = whole(
        "model m = flat()
loss near = (m(images.image) - 3)^2
train one for 3 steps { update m by near with sgd(1/4)   ema m decay 1/2 from 2 steps }
",
    );
    assert_eq!(value(&state, Kind::Average, "m.w"), (2.5 + 2.75) / 2.0);
}

#[test]
fn updates_of_one_turn_see_the_same_data_and_others_do_not() {
    let text = |open: &str, close: &str| {
        format!(
            "model m = flat()
model n = flat()
loss a = mean(images.image) * (1 + 0 * m(images.image))
loss b = mean(images.image) * (1 + 0 * n(images.image))
train one for 4 steps, batch 3 {{ {open} update m by a with sgd(1/4) update n by b with sgd(1/4) {close} }}
"
        )
    };
    let (state, observer) = whole(&text("together {", "}"));
    assert_eq!(losses(&observer, "a"), losses(&observer, "b"));
    assert_eq!(state.cursors["images"], 12);
    let (state, observer) = whole(&text("", ""));
    assert!(losses(&observer, "a").iter().zip(losses(&observer, "b")).all(|(a, b)| *a != b));
    assert_eq!(state.cursors["images"], 24);
}

#[test]
fn a_model_that_starts_anew_has_other_first_values() {
    let text = |fresh: &str| {
        format!(
            "model m = flat(normal(0, 1))
loss near = m(images.image)^2
train one for 1 steps {{ update m by near with sgd(0) }}
train two after one for 1 steps{fresh} {{ update m by near with sgd(0) }}
"
        )
    };
    let [kept, again] = [text(""), text(", fresh m")].map(|text| whole(&text).1);
    let (kept, again) = (losses(&kept, "near"), losses(&again, "near"));
    assert_eq!(kept[0], kept[1]);
    assert_eq!(kept[0], again[0]);
    assert!(again[1] > 0.0 && again[1] != again[0], "{again:?}");
}

#[test]
fn draws_differ_by_step_and_turn_and_stay_the_same_for_settled_models() {
    let text = "model m = flat()
draw z ~ normal
loss noise = z * (1 + 0 * m(images.image))
train one for 4 steps, batch 2 {
    update m by noise with sgd(0)
    every 1 steps { show 2 of images.image   measure usual }
}
eval usual over images.test = z
";
    let (_, observer) = whole(text);
    let mut noise = losses(&observer, "noise");
    noise.sort_by(f64::total_cmp);
    noise.dedup();
    assert_eq!(noise.len(), 4);
    let figures =
        observer.records.iter().filter_map(|record| if let What::Measured(figures) = &record.what { Some(figures) } else { None });
    let usual: Vec<Option<f64>> = figures.map(|figures| figures.values[0].1).collect();
    assert!(usual.len() == 4 && usual.iter().all(|value| *value == usual[0] && value.is_some()), "{usual:?}");
}

#[test]
fn best_models_are_handed_on_and_a_phase_may_begin_anew() {
    let (state, observer) = whole(
        "model m = flat()
loss away = -m(images.image)
let size = average(m(images.image), over: images.test)
train one for 8 steps, batch 2 {
    update m by away with sgd(1/2)
    every 2 steps { keep best by -(size - 2)^2   finish when size >= 4 }
}
",
    );
    // 1, 1.5, 2, 2.5, .. 4 after six steps; the best is after two.
    assert_eq!(state.place.total, 6);
    assert_eq!(value(&state, Kind::Weight, "m.w"), 2.0);
    assert!(observer.records.iter().any(|record| record.what == What::Kept(0.0) && record.step == 2));
    assert!(state.best.is_none() && state.tensors().all(|(name, _)| !name.starts_with("best/")));
}

#[test]
fn a_training_that_pauses_goes_on_to_the_same_state() {
    let text = "model m = flat(normal(0, 1))
loss near = (m(images.image) - mean(images.image))^2
train one for 5 steps, batch 7 { update m by near with adam(0.1)   ema m decay 1/2 }
train two after one for 2 epochs, batch 8, fresh m { update m by near with adam(0.1)   every 2 steps { checkpoint } }
";
    let (straight, observer) = whole(text);
    assert_eq!(straight.place.total, 10);
    assert_eq!(observer.saved, [(5, false), (7, false), (9, false), (10, false)]);
    let mut state = State::default();
    for stop in 1..=10 {
        let (ended, observer) = trained(text, Schedule { stop_after: Some(stop), save_every: None }, &mut state);
        assert_eq!((ended, state.place.total), (Ended::Paused, stop));
        let due = [5, 7, 9, 10].contains(&stop);
        assert_eq!(observer.saved.last().copied(), Some((stop, !due)), "{stop}");
    }
    trained(text, Schedule::default(), &mut state);
    assert_eq!(state, straight);
}
