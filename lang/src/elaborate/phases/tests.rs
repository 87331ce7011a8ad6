//! Phases: their order, what they set, and the terms of their updates.

use crate::elaborate::show;
use crate::fault::Fault;
use crate::params::{Moment, Overrides};
use crate::source::{LoadError, Loader};
use crate::spec::{Act, Duration, Prim, Spec, Unit, UpdateTerms};

struct Nowhere;

impl Loader for Nowhere {
    fn load(&self, _: &str, _: &str) -> Result<(String, String), LoadError> {
        Err(LoadError::Missing(Vec::new()))
    }
}

fn at(text: &str, moment: Moment) -> (Option<Spec>, Vec<Fault>) {
    let (modules, faults) = crate::modules::load("try.seg", text, &Nowhere);
    assert_eq!(faults, []);
    crate::elaborate::elaborate(&modules, &Overrides { moment, ..Overrides::default() })
}

fn in_phase(text: &str, number: usize) -> Spec {
    let (spec, faults) = at(text, Moment::Phase { number, training: true });
    assert_eq!(faults, []);
    let spec = spec.expect("a spec");
    assert!(spec.pending.is_empty(), "{:?}", spec.pending);
    spec
}

/// A model of one weight that learns the mean of the data, and what follows.
fn learner(rest: &str) -> String {
    format!(
        "data images = pictures(none) |> resize(8)\n\
         net flat()(x: image) -> real {{\n    weight w: real = 1/2\n    weight b: real ~ normal(0, 1)\n\
         return w * mean(x) + b\n}}\n\
         model m = flat()\n\
         loss gap = (m(images.image) - 1)^2\n{rest}\n"
    )
}

fn settled(text: &str, number: usize) -> (Option<Spec>, Vec<Fault>) {
    at(text, Moment::Phase { number, training: false })
}

fn sound_and_settled(text: &str) -> Spec {
    let (spec, faults) = settled(text, 0);
    assert_eq!(faults, []);
    let spec = spec.expect("a spec");
    assert!(spec.pending.is_empty(), "{:?}", spec.pending);
    spec
}

fn updates(spec: &Spec, number: usize) -> Vec<&UpdateTerms> {
    let of = |act: &'_ Act| matches!(act, Act::Update(_));
    let body = spec.phases[number].body.iter().filter(|statement| of(&statement.act));
    body.filter_map(|statement| if let Act::Update(update) = &statement.act { update.terms.as_ref() } else { None }).collect()
}

#[test]
fn an_update_with_momentum_and_an_average() {
    let text = learner(
        "train a for 3 steps, batch 4 {\n \
         update m by gap with sgd(0.1, momentum: 0.9)\n ema m decay 0.9 from 2 steps\n every 2 steps { checkpoint }\n}",
    );
    insta::assert_snapshot!(show(&in_phase(&text, 0)));
}

#[test]
fn phases_run_in_their_order() {
    let text = learner(
        "param n = 4\nparam side = 8\n\
         train late after mid for 0 steps { update m by gap with sgd(0.1) }\n\
         train mid[r in doublings(2, 8)] with side = r, n = 7 for (2 * r * n) samples, batch 2 * n { update m by gap with sgd(0.1) }\n\
         train last for 2 epochs, fresh m { update m by gap with sgd(0.1) }",
    );
    let (spec, _) = at(&text, Moment::End);
    let spec = spec.expect("a spec");
    let told: Vec<_> = spec.phases.iter().map(|phase| (phase.name.as_str(), phase.length, phase.batch, phase.fresh.len())).collect();
    let (samples, steps, epochs) = (Unit::Samples, Unit::Steps, Unit::Epochs);
    let time = |amount, unit| Duration { amount, unit };
    let due = [
        ("mid[2]", time(16.0, samples), 8, 0),
        ("mid[4]", time(32.0, samples), 8, 0),
        ("mid[8]", time(64.0, samples), 8, 0),
        ("late", time(0.0, steps), 16, 0),
        ("last", time(2.0, epochs), 16, 1),
    ];
    assert_eq!(told, due);
}

#[test]
fn a_phase_sets_params_and_data() {
    let text = "param side = 8\nparam fade: schedule = 1\n\
        data images = pictures(none) |> resize(side)\n\
        net flat()(x: image) -> real { weight w: real = 1/2 return w * mean(x) }\n\
        model m = flat()\nloss gap = fade * m(images.image)\n\
        train grow[r in [2, 4]] with side = r, fade = ramp(0, 1, over: (10 * r) steps) for 1 steps { update m by gap with sgd(1) }\n\
        train other with images = images |> range(-1, 1) for 1 steps { update m by gap with sgd(1) }\n";
    let spec = in_phase(text, 1);
    assert_eq!(spec.data.iter().map(|data| data.size).collect::<Vec<_>>(), [(4, 4)]);
    assert!(show(&spec).contains("divide %"), "{}", show(&spec));
    let spec = in_phase(text, 2);
    let field = (0..spec.terms.len()).find_map(|id| match spec.terms.get(crate::spec::TermId(id as u32)).prim {
        Prim::Field { data, .. } => Some(data),
        _ => None,
    });
    assert_eq!(spec.data[field.expect("data is read")].steps.len(), 2);
}

#[test]
fn another_rule_for_a_part_and_clipped_gradients() {
    let text = learner(
        "net two()(x: image) -> real { part one, other = flat() return one(x) * other(x) }\n\
         model t = two()\nloss both = t(images.image)\n\
         train a for 3 steps { update m, t by both_of with sgd(0.1) but sgd(0.2) on one, m clip 1 repeat 3 }\n\
         loss both_of = both + gap",
    );
    let spec = in_phase(&text, 0);
    let terms = updates(&spec, 0)[0];
    assert_eq!(terms.weights.len(), 6);
    insta::assert_snapshot!(show(&spec));
}

#[test]
fn an_update_without_turns_is_not_there() {
    let text = learner(
        "model other = flat()\nloss far = other(images.image)\n\
         train a for 3 steps { update m by gap with sgd(0.1) every 2 steps { update other by far with sgd(1) repeat 0 } }",
    );
    let spec = in_phase(&text, 0);
    assert_eq!((spec.phases[0].trained.as_slice(), spec.weights.len()), (["m".to_string()].as_slice(), 2));
    assert!(matches!(&spec.phases[0].body[1].act, Act::Every(_, inner) if inner.is_empty()));
}

#[test]
fn only_models_of_the_phase_train() {
    let net = "net counted()(x: image) -> real { state n: real = 0 next n = n + 1\n\
               weight w: real = 1 return w * (if training then 2 else 3) * mean(x) + n }\n";
    let text = learner(&format!(
        "{net}model a = counted()\nmodel b = counted()\nloss all = a(images.image) + b(images.image)\n\
         train one for 3 steps {{ update a by all with sgd(0.1) }}"
    ));
    let spec = in_phase(&text, 0);
    let next = |path: &str| {
        let states = spec.calls.iter().flat_map(|call| &call.states);
        states.filter(|(number, _)| spec.buffers[*number].path == path).map(|(_, next)| next.is_some()).collect::<Vec<_>>()
    };
    assert_eq!((next("a.n"), next("b.n")), (vec![true], vec![false]));
    assert_eq!(updates(&spec, 0)[0].weights.iter().map(|(number, _)| spec.weights[*number].path.as_str()).collect::<Vec<_>>(), ["a.w"]);
}

#[test]
fn what_a_settled_phase_shows_and_decides() {
    let text = learner(
        "let veil = sigmoid(m(images.image) * mean(images.image, over: channel))\n\
         scene world {\n layer back = { image: images.image }\n layer front = { image: 1 - images.image, mask: veil }\n}\n\
         eval valid over images.valid = { size: mean(veil), right: mean(veil * images.label) }\n\
         eval parts = { both: average(stack([mean(veil), 1], as: region), over: images.train) }\n\
         eval drawn over 100 samples = w\ndraw w ~ normal\n\
         train a for 3 steps {\n update m by gap with sgd(0.1)\n every 2 steps {\n\
         keep best by valid.size + oracle(valid.right)\n restart when min(parts.both) < 0.1 and step <= 7\n\
         finish when true\n show 4 of world, veil\n }\n finally { measure valid, parts, drawn }\n}",
    );
    let spec = sound_and_settled(&text);
    let told: Vec<_> = spec.evals.iter().flat_map(|eval| &eval.values).map(|(name, _)| name.as_str()).collect();
    assert_eq!(told, ["size", "right", "both.0", "both.1", ""]);
    insta::assert_snapshot!(show(&spec));
}

#[test]
fn what_decides_is_one_number_without_labels() {
    let by = |action: &str| {
        let text = learner(&format!(
            "eval valid over images.valid = {{ right: mean(images.label), all: m(images.image) }}\n\
             train a for 3 steps {{ update m by gap with sgd(0.1) every 2 steps {{ {action} }} }}"
        ));
        let (_, faults) = settled(&text, 0);
        faults.iter().map(|fault| format!("{}: {}", fault.code, fault.message)).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(by("keep best by valid.right"), "label-leak: a ground-truth mask decides what is trained");
    assert_eq!(by("keep best by m(images.image)"), "wrong-kind: what decides differs from sample to sample");
    assert_eq!(by("keep best by valid.all < 1"), "wrong-kind: a number is needed here, this is a run-time number");
    assert_eq!(by("restart when valid.all"), "wrong-kind: true or false is needed here, this is a run-time number");
    assert_eq!(by("show 3 of m(images.image)"), "axis-mismatch: a picture or a mask is shown, this has no axes");
    assert_eq!(by("finish when valid.all < 1 and oracle(valid.right) > 0"), "");
}

#[test]
fn an_evaluation_sets_data_for_itself() {
    let text = "data images = pictures(none) |> resize(8)\ndata others = images |> range(-1, 1)\n\
                let light = mean(images.image)\n\
                eval own over images = light\neval other over images with images = others |> resize(4) = light\n\
                eval single = light";
    let (spec, faults) = at(text, Moment::End);
    assert_eq!(
        faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>(),
        ["an evaluation of single samples must say over which"]
    );
    assert!(spec.is_none());
    let (spec, faults) = at(&text.replace("\neval single = light", ""), Moment::End);
    assert_eq!(faults, []);
    insta::assert_snapshot!(show(&spec.expect("a spec")));
}

#[test]
fn losses_that_reach_nothing() {
    let of = |loss: &str, models: &str| {
        let text = learner(&format!(
            "model other = flat()\nlet hard = indicator(m(images.image) > 1)\nlet doubled = 2 * hard\nloss bad = {loss}\n\
             train a for 3 steps {{ update {models} by bad with sgd(0.1) }}"
        ));
        let (_, faults) = at(&text, Moment::Phase { number: 0, training: true });
        faults
            .iter()
            .map(|fault| format!("{}: {} | {:?}", fault.code, fault.message, fault.labels.iter().map(|(_, said)| said).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(
        [
            of("doubled", "m"),
            of("mean(images.image)", "m"),
            of("m(images.image)", "m, other"),
            of("m(images.image) + stop(other(images.image))", "m, other"),
            of("mean(images.label)", "m")
        ]
        .join("\n")
    );
}

#[test]
fn what_is_accepted_is_no_fault() {
    let text = "data images = pictures() |> resize(8)\nnet flat()(x: image) -> real {\n weight w: real = 1\n weight b: real = 0\n\
        return w * mean(x) + stop(b)\n}\nmodel m = flat()\nloss gap = (m(images.image) - 1)^2\n\
        train a for 3 steps { update m by gap with sgd(0.1) }\n";
    let told = |text: &str| {
        let checked = crate::compile("try.seg", text, &Nowhere, &Overrides::default());
        let codes: Vec<_> = checked.faults.iter().map(|fault| fault.code).collect();
        (codes, checked.accepted.into_iter().map(|(fault, reason)| (fault.code, reason)).collect::<Vec<_>>())
    };
    assert_eq!(told(text), (vec!["unreached-weight"], vec![]));
    let accepting = format!("{text}accept \"unreached-weight\": \"it is measured only\"\n");
    assert_eq!(told(&accepting), (vec![], vec![("unreached-weight", "it is measured only".to_string())]));
}
