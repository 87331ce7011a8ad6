//! Elaboration from text to terms: what specs mean and what is refused.

use std::collections::BTreeMap;

use super::{elaborate, show, with_phases};
use crate::fault::{Fault, Severity};
use crate::modules::load;
use crate::params::{Moment, Overrides};
use crate::source::{LoadError, Loader};
use crate::spec::{ParamValue, Part, Pictures, Prim, Spec, Step};
use crate::syntax::ItemKind;

/// Specs by path, as the command line would read them.
struct Shipped(BTreeMap<&'static str, &'static str>);

impl Loader for Shipped {
    fn load(&self, _: &str, path: &str) -> Result<(String, String), LoadError> {
        let stem = path.trim_start_matches("../");
        self.0.get(stem).map(|text| (stem.to_string(), (*text).to_string())).ok_or(LoadError::Missing(Vec::new()))
    }
}

fn shipped() -> Shipped {
    Shipped(BTreeMap::from([
        ("iem.seg", include_str!("../../../specs/iem.seg")),
        ("iem_net.seg", include_str!("../../../specs/iem_net.seg")),
        ("perturbgan.seg", include_str!("../../../specs/perturbgan.seg")),
        ("redo.seg", include_str!("../../../specs/redo.seg")),
        ("move.seg", include_str!("../../../specs/move.seg")),
        ("kdd.seg", include_str!("../../../specs/kdd.seg")),
        ("sg2seg.seg", include_str!("../../../specs/sg2seg.seg")),
        ("principles/recolour.seg", include_str!("../../../specs/principles/recolour.seg")),
        ("principles/scale.seg", include_str!("../../../specs/principles/scale.seg")),
        ("principles/swap.seg", include_str!("../../../specs/principles/swap.seg")),
    ]))
}

fn with(name: &str, text: &str, variants: &[&str], sets: &[(&str, &str)]) -> (Option<Spec>, Vec<Fault>) {
    let (modules, faults) = load(name, text, &shipped());
    assert_eq!(faults, [], "{name} does not parse");
    let overrides = Overrides {
        variants: variants.iter().map(|name| (*name).to_string()).collect(),
        sets: sets.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect(),
        ..Overrides::default()
    };
    with_phases(&modules, &overrides)
}

fn iem(variants: &[&str], sets: &[(&str, &str)]) -> (Option<Spec>, Vec<Fault>) {
    with("iem.seg", shipped().0["iem.seg"], variants, sets)
}

fn sound(text: &str) -> Spec {
    let (spec, faults) = with("try.seg", text, &[], &[]);
    assert_eq!(faults, []);
    spec.expect("no fault, so a spec")
}

/// Code, message, and what the labels say, of the only fault.
fn fault(text: &str) -> String {
    said(with("try.seg", text, &[], &[]).1)
}

fn said(faults: Vec<Fault>) -> String {
    let told = |fault: &Fault| {
        let labels: Vec<_> = fault.labels.iter().map(|(_, label)| label.as_str()).collect();
        format!("{}: {} | {}", fault.code, fault.message, labels.join(" | "))
    };
    match faults.as_slice() {
        [fault] => told(fault),
        all => format!("{} faults\n{}", all.len(), all.iter().map(|fault| format!("    {}\n", told(fault))).collect::<String>()),
    }
}

/// The text with a few of its words deleted, doubled, swapped or replaced by others of it.
fn damaged(text: &str, seed: &mut u64) -> String {
    let mut next = |below: usize| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize % below
    };
    let mut words: Vec<String> = Vec::new();
    for letter in text.chars() {
        let joins = |last: &String| last.chars().all(char::is_alphanumeric) && letter.is_alphanumeric();
        match words.last_mut() {
            Some(last) if joins(last) => last.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    for _ in 0..1 + next(3) {
        let (at, other) = (next(words.len()), next(words.len()));
        match next(4) {
            0 => words[at].clear(),
            1 => words.swap(at, other),
            2 => words[at] = words[other].clone(),
            _ => words[at] = ["0", "-1", "1e30", "none", "x", "m", "[]", "channel", "1/0"][next(9)].to_string(),
        }
    }
    words.concat()
}

/// A data item of 8 by 8 pixels, and what follows.
fn pictures(rest: &str) -> String {
    format!("data images = pictures(none) |> resize(8)\nlet x = images.image\n{rest}\n")
}

fn param(spec: &Spec, name: &str) -> ParamValue {
    spec.params.iter().find(|param| param.name == name).map(|param| param.value.clone()).expect("a param")
}

/// The shipped specs with all variants that they know.
fn every_variant(mut visit: impl FnMut(&str, Option<&str>, Option<Spec>, Vec<Fault>)) {
    for (name, text) in shipped().0 {
        let (modules, faults) = load(name, text, &shipped());
        assert_eq!(faults, [], "{name} does not load");
        let own = modules.lineage(modules.root).flat_map(|module| &modules.module(module).file.items);
        let variants =
            own.filter_map(|item| if let ItemKind::Variant(variant) = item.kind() { Some(variant.name.text.clone()) } else { None });
        for variant in std::iter::once(None).chain(variants.map(Some)) {
            let overrides = Overrides { variants: variant.iter().cloned().collect(), ..Overrides::default() };
            let (spec, faults) = elaborate(&modules, &overrides);
            visit(name, variant.as_deref(), spec, faults);
        }
    }
}

#[test]
fn every_shipped_spec_elaborates_in_every_variant() {
    let (mut seen, mut warned) = (Vec::new(), Vec::new());
    every_variant(|name, variant, spec, faults| {
        // The controls of the papers are degenerate on purpose.
        if faults.iter().all(|fault| fault.severity == Severity::Warning) {
            warned.extend(faults.iter().map(|fault| format!("{name} {}: {}\n", variant.unwrap_or(""), fault.message)));
        } else {
            panic!("{name} {variant:?}: {faults:?}");
        }
        let pending = spec.map(|spec| spec.pending);
        if ["iem.seg", "iem_net.seg", "redo.seg"].contains(&name) {
            assert!(pending.as_ref().is_some_and(Vec::is_empty), "{name} {variant:?}: {pending:?}");
        }
        seen.push(format!("{name} {}", variant.unwrap_or("")));
    });
    for due in ["iem.seg ", "iem.seg paper", "iem_net.seg all_pixels", "principles/scale.seg no_zoom", "move.seg no_shift"] {
        assert!(seen.iter().any(|own| own == due), "{due} is missing among {seen:?}");
    }
    insta::assert_snapshot!("controls_that_are_warned_of", warned.concat());
}

#[test]
fn iem_as_text() {
    let (spec, _) = iem(&[], &[("size", "8"), ("taps", "3"), ("passes", "1")]);
    insta::assert_snapshot!(show(&spec.expect("a spec")));
}

#[test]
fn the_paper_variant_has_three_starts_and_its_own_size() {
    let (spec, _) = iem(&["paper"], &[]);
    let spec = spec.expect("a spec");
    assert_eq!((spec.data[0].size, spec.solves[0].rounds), ((128, 128), 150));
    let names: Vec<_> = spec.solves[0].members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["cut[11/32]", "cut[39/64]", "cut[23/32]"]);
    assert_eq!(
        spec.evals.iter().map(|eval| eval.name.as_str()).collect::<Vec<_>>(),
        ["masks", "full", "disc", "kmeans", "grabcut", "fixed_mask"]
    );
    assert!(spec.evals.iter().all(|eval| eval.needs_labels && eval.values.iter().any(|(name, _)| name == "iem.miou")));
    assert_eq!(param(&spec, "sigma"), ParamValue::Int(5));
}

#[test]
fn params_depend_on_params_and_the_command_line_wins() {
    let (spec, faults) =
        iem(&["paper"], &[("starts", "[78/128]"), ("photos", "some/folder"), ("follow", "paper"), ("sigma", "0.1 * size")]);
    assert_eq!(faults, []);
    let spec = spec.expect("a spec");
    assert_eq!(param(&spec, "starts"), ParamValue::List(vec![ParamValue::Real(0.609375)]));
    assert_eq!(param(&spec, "photos"), ParamValue::Text("some/folder".into()));
    assert_eq!(param(&spec, "sigma"), ParamValue::Real(12.8));
    assert_eq!(spec.solves[0].members.len(), 1);
}

#[test]
fn variants_are_a_set_and_their_own_values_stand_over_their_bases() {
    let (one, faults) = iem(&["no_smoothing", "no_deviation"], &[]);
    assert_eq!(faults, []);
    let (two, _) = iem(&["no_deviation", "no_smoothing"], &[]);
    let (one, two) = (one.expect("a spec"), two.expect("a spec"));
    assert_eq!(show(&one), show(&two));
    assert_eq!((param(&one, "smoothing"), param(&one, "lambda")), (ParamValue::Bool(false), ParamValue::Int(0)));
}

#[test]
fn wishes_that_do_not_fit_are_faults() {
    type Wish<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let cases: [Wish; 7] = [
        (&["papr"], &[]),
        (&[], &[("sise", "32")]),
        (&[], &[("size", "1/3")]),
        (&[], &[("smoothing", "1")]),
        (&[], &[("follow", "codes")]),
        (&[], &[("starts", "[1/2")]),
        (&[], &[("size", "other")]),
    ];
    let told: Vec<_> = cases.iter().map(|(variants, sets)| said(iem(variants, sets).1)).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn variants_that_disagree_are_shown_both() {
    let text =
        "param reach = 1/8 in 0..1/2\nparam far = reach\nvariant a { reach = 0 }\nvariant b { reach = 1/4 }\nvariant c { reach = 2 }\n";
    let (_, both) = with("try.seg", text, &["a", "b"], &[]);
    let (_, wide) = with("try.seg", text, &["c"], &[]);
    let (settled, faults) = with("try.seg", text, &["a", "b"], &[("reach", "1/4")]);
    assert_eq!(faults, []);
    assert_eq!(param(&settled.expect("a spec"), "far"), ParamValue::Real(0.25));
    insta::assert_snapshot!(format!("{}\n{}", said(both), said(wide)));
}

#[test]
fn constants_fold_and_equal_terms_are_one() {
    let spec = sound(&pictures("let a = exp(-(3 - 1)^2 / 8) * x\nlet b = (exp(0 - 1/2)) * x"));
    let products = (0..spec.terms.len()).filter(|place| matches!(spec.terms.get(crate::spec::TermId(*place as u32)).prim, Prim::Binary(_)));
    assert_eq!(products.count(), 1);
}

#[test]
fn recurrences_reach_far_and_cycles_are_named() {
    let spec = sound("let y[0] = 0\nlet y[p in 1..400] = y[p - 1] + 1\nparam n = y[399]\n");
    assert_eq!(param(&spec, "n"), ParamValue::Int(399));
    let faults =
        [fault("let a = b + 1\nlet b = a + 1\n"), fault("let y[p in 0..9] = y[p - 1]\n"), fault("let y[p in 0..100k] = y[p + 1]\n")];
    insta::assert_snapshot!(faults.join("\n"));
}

#[test]
fn axes_that_do_not_match_are_shown_on_both_sides() {
    let faults = [
        "let y = mean(x, over: [height, width]) - mean(x, over: channel)",
        "let y = x + spread(1, height: 9, width: 8)",
        "let y = sum(x, over: token)",
        "let y = x[channel: 3]",
        "let y = x[channel -> height]",
        "let y = x[channel -> (row: 2, column: 2)]",
        "fn f(m: mask, n: mask) -> real = mean(m * n)\nlet y = f(x[channel: 0], spread(1, height: 4, width: 4))",
        "fn f(m: mask) -> real = mean(m)\nlet y = f(mean(x, over: width))",
        "fn f(m: mask) -> real = m\nlet y = f(x[channel: 0])",
        "let y = stack([x, x[channel: 0]], as: which)",
        "let y = index(heigth: 3)",
    ];
    insta::assert_snapshot!(faults.map(|text| fault(&pictures(text))).join("\n"));
}

#[test]
fn a_function_is_mapped_over_axes_beyond_its_signature() {
    let text = "fn held(m: mask, c: [channel]) -> real = mean(m * spread(sum(c), height: 8, width: 8)) / count(m)\n\
                let y = held(x, mean(x, over: [height, width]))\neval e over images = { a: sum(y[channel: 0]) }";
    // `channel` is an axis of the signature's second argument, and extra for the first: it is carried along.
    let spec = sound(&pictures(text));
    assert_eq!(spec.evals.len(), 1);
    let folded = sound(&pictures("fn score(m: mask) -> real = mean(m)\nlet y = score(x)\neval e over images = { a: sum(y) }"));
    insta::assert_snapshot!(show(&folded));
}

#[test]
fn independent_faults_come_together() {
    let text = "let a = x + y\nlet b = x[channel: 7]\nlet c = a + b\neval e over images = mean(x, over: channel)";
    let codes: Vec<_> = with("try.seg", &pictures(text), &[], &[]).1.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["unknown-name", "out-of-range", "not-a-scalar"]);
}

#[test]
fn time_and_kind_are_checked() {
    let faults = [
        "let y = if mean(x) > 1/2 then 1 else 2",
        "let y = x + (x > 0)",
        "let y = x and x",
        "let y = not x",
        "let y = [x, x][mean(x)]",
        "let y = x[0]",
        "let y = x.mask",
        "let y = images.mask",
        "let y = lerp(x, x)",
        "let y = lerp(x, x, 1/2, 3)",
        "let y = height",
    ];
    insta::assert_snapshot!(faults.map(|text| fault(&pictures(text))).join("\n"));
}

#[test]
fn gradients_that_stop_are_pointed_at() {
    let solve =
        |next: &str| pictures(&format!("solve cut for 3 steps {{\nstate m = x[channel: 0]\n{next}\n}}\noutput masks = cut.m over images"));
    let faults = [
        "next m = m + grad(mean(indicator(m > 1/2) * x), wrt: m)",
        "next m = m + grad(mean(stop(m) * x), wrt: m)",
        "next m = m + grad(mean(x), wrt: m)",
        "next m = m + grad(m, wrt: m)",
        "next m = indicator(m > 1/2)",
        "next m = m + grad(mean(m * images.label), wrt: m)",
        "next m = mean(m + grad(mean(m), wrt: m), over: height)[width -> height]",
    ];
    insta::assert_snapshot!(faults.map(|text| fault(&solve(text))).join("\n"));
}

#[test]
fn labels_are_let_through_by_oracle_only() {
    let choice = "let rank = [mean(images.label), 1 - mean(images.label)]\n";
    let leak = fault(&pictures(&format!("{choice}output masks = best([x[channel: 0], x[channel: 1]], by: rank) over images")));
    let through = sound(&pictures(&format!(
        "{choice}output masks = best([x[channel: 0], x[channel: 1]], by: [oracle(r) for r in rank]) over images"
    )));
    assert_eq!(through.oracles.len(), 1);
    let other = fault(&pictures("data more = images\neval e over images = mean(more.image)"));
    insta::assert_snapshot!(format!("{leak}\n{other}"));
}

#[test]
fn a_scene_is_perturbed_and_rendered() {
    let text = "scene world {\n    let m = x[channel: 0]\n    layer back = { image: x }\n    layer front = { image: 1 - x, mask: m }\n}\n\
                perturb moved = world with {\n    draw dx ~ uniform(-1, 1)\n    front: shift(front, right: round(dx * 2), down: 0)\n\
                back.image: 2 * back.image\n}\n\
                perturb still = moved with { front: world.front }\n\
                eval e over images = { a: mean(render(moved)), b: mean(render(still)), c: mean(moved.m) }";
    insta::assert_snapshot!(show(&sound(&pictures(text))));
}

/// A scene painted by a net, a perturbation, and a loss.
fn painted(draws: &str, input: &str, shift: &str, loss: &str) -> String {
    let net = "net paint()(z: [feature]) -> image {\n    weight w: [feature] = 0\n\
               return spread(dot(w, z, over: feature), channel: 3, height: 8, width: 8) }";
    pictures(&format!(
        "{net}\nmodel actor = paint()\n{draws}\n\
         scene world {{\n    draw z ~ normal[feature: 4]\n    let seen = {input}\n    let a = actor(seen)\n\
         layer back = {{ image: x }}\n    layer front = {{ image: a, mask: a[channel: 0] }}\n}}\n\
         perturb shifted = world with {{\n    draw dx, dy ~ uniform(-1, 1)\n\
         front: shift(front, right: {shift}, down: round(dy))\n}}\n\
         perturb still = shifted with {{ front: world.front }}\n\
         loss generator = {loss}\n\
         train grow for 10 steps {{ update actor by generator with sgd(1)  every 2 steps {{ keep best by oracle(test) }} }}\n\
         eval test over images.test = mean(images.label)"
    ))
}

#[test]
fn draws_of_a_perturbation_stay_out_of_its_base() {
    let fair = "mean(render(shifted)) + max(1/4 - mean(world.front.mask), 0)";
    let cases = [
        painted("", "z", "round(dx)", fair),
        painted("draw far ~ uniform(-1, 1)", "z + far", "far", fair),
        painted("draw far ~ uniform(-1, 1) per step", "z + far", "far * 2", fair),
        painted("draw far ~ uniform(-1, 1)", "z + far", "dx", fair),
        painted("", "z + shifted.dx", "dx", fair),
        painted("", "z", "dx", "mean(actor(world.z) * images.label)"),
    ];
    insta::assert_snapshot!(cases.map(|text| fault(&text)).join("\n"));
}

#[test]
fn a_perturbation_that_does_nothing_is_warned_of() {
    let text = "param reach = 0\nscene world {\n    layer back = { image: x }\n}\n\
                perturb moved = world with {\n    draw dx ~ uniform(-reach, reach)\n    back: shift(back, right: dx, down: 0)\n}";
    insta::assert_snapshot!(fault(&pictures(text)));
}

#[test]
fn what_is_kept_by_labels_says_oracle() {
    let text = painted("", "z", "dx", "mean(render(shifted)) + max(1/4 - mean(world.front.mask), 0)");
    assert_eq!(with("try.seg", &text, &[], &[]).1, []);
    insta::assert_snapshot!(fault(&text.replace("oracle(test)", "test")));
}

#[test]
fn damaged_specs_give_faults_but_never_panic() {
    let mut seed = 7;
    let (mut sound, mut faulty) = (0, 0);
    let count = std::env::var("SEGC_DAMAGED").ok().and_then(|count| count.parse().ok()).unwrap_or(150);
    for turn in 0..count {
        let source = if turn % 3 == 2 {
            painted("draw far ~ uniform(-1, 1)", "z + far", "dx", "mean(render(shifted))")
        } else {
            shipped().0["iem.seg"].into()
        };
        let text = damaged(&source, &mut seed);
        let (modules, faults) = load("iem.seg", &text, &shipped());
        let (spec, more) = with_phases(&modules, &Overrides::default());
        if let Some(spec) = &spec {
            assert!(show(spec).starts_with("spec iem"));
        }
        if faults.is_empty() && spec.is_some() {
            sound += 1
        } else {
            faulty += 1
        }
        assert!(spec.is_some() || !more.is_empty(), "refused without a word: {text}");
    }
    assert!(sound > 0 && faulty > 0, "{sound} sound, {faulty} faulty");
}

/// A phase that learns from collected samples; `fields` is their record, `loss` what is learned.
fn lessons(fields: &str, then: &str, loss: &str) -> String {
    pictures(&format!(
        "net gain()(x: [..a]) -> [..a] {{ weight w = 1   return w * x }}\nmodel tool = gain()\n\
         data lessons = collect({fields}, over: images.train){then}\nloss imitate = {loss}\n\
         train learn for 10 steps, batch 4 {{ update tool by imitate with sgd(1e-2) }}"
    ))
}

fn at(text: &str, moment: Moment) -> (Option<Spec>, Vec<Fault>) {
    let (modules, faults) = load("try.seg", text, &shipped());
    assert_eq!(faults, []);
    elaborate(&modules, &Overrides { moment, ..Overrides::default() })
}

#[test]
fn what_is_collected_is_settled_while_models_train() {
    let doubled = "{ image: if training then 2 * x else x, score: mean(x) }";
    let text = lessons(doubled, " |> most(5, by: score)", "mean(tool(lessons.image)^2)");
    for moment in [Moment::End, Moment::Phase { number: 0, training: true }] {
        let (spec, faults) = at(&text, moment);
        assert_eq!(faults, []);
        let spec = spec.expect("a spec");
        let data = spec.data.iter().find(|data| data.name == "lessons").expect("lessons");
        let Pictures::Collected { over, fields } = &data.source else { panic!("{:?}", data.source) };
        assert_eq!((spec.data[over.0].name.as_str(), over.1, data.size), ("images", Part::Train, (8, 8)));
        assert_eq!(fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["image", "score"]);
        assert!(matches!(spec.terms.get(fields[0].1).prim, Prim::Field { .. }), "{moment:?}");
        assert_eq!(data.steps, [Step::Most { count: 5, by: "score".into() }]);
    }
}

#[test]
fn labels_do_not_come_in_by_collecting() {
    let loss = "mean((tool(lessons.image) - spread(lessons.mask, channel: 3))^2)";
    let leak = at(&lessons("{ image: x, mask: images.label }", "", loss), Moment::Phase { number: 0, training: true }).1;
    assert_eq!(leak.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["label-leak"]);
    let meant = at(&lessons("{ image: x, mask: oracle(images.label) }", "", loss), Moment::Phase { number: 0, training: true }).1;
    assert_eq!(meant, []);
}

#[test]
fn collected_fields_are_neither_photographs_nor_others() {
    let of = |fields: &str, then: &str, field: &str| fault(&lessons(fields, then, &format!("mean(tool(lessons.{field})^2)")));
    let scored = "{ image: x, score: mean(x) }";
    assert_eq!(
        of(scored, " |> resize(4)", "image"),
        "wrong-kind: `resize` changes photographs, and these are fields that were computed | of collected fields"
    );
    assert_eq!(of(scored, " |> most(5, by: scor)", "image"), "unknown-field: `scor` is not among the collected fields | not found");
    assert_eq!(
        of(scored, " |> most(5, by: image)", "image"),
        "not-a-scalar: `image` is one number per sample, this has `channel: 3` left | has [channel: 3, height: 8, width: 8]"
    );
    let small = "{ image: x, small: resize(x, to: 4) }";
    assert!(of(small, " |> flip()", "image").starts_with("wrong-kind: `flip` cuts all fields alike, and these are not square pictures"));
    assert!(fault("data images = pictures() |> resize(8) |> most(5, by: score)").starts_with("wrong-kind: `most` goes by a field"));
    let cut = sound(
        "data images = pictures() |> resize(8)\n\
         data cuts = collect({ a: images.image }, over: images) |> random_crop(4)\nlet y = sum(cuts.a)",
    );
    assert_eq!(cut.data[1].size, (4, 4));
}

#[test]
fn pictures_of_any_size_begin_other_items() {
    let spec = sound("data all = pictures(none)\ndata small = all |> resize(8)\ndata large = all |> resize(16) |> random_crop(12)");
    assert_eq!(spec.data.iter().map(|data| (data.name.as_str(), data.size)).collect::<Vec<_>>(), [("small", (8, 8)), ("large", (12, 12))]);
    assert_eq!(spec.pending.len(), 0);
    let spec = sound("data all = pictures(none)\neval light over all = mean(all.image)");
    assert_eq!(spec.pending[0].what, "pictures of differing sizes");
}

#[test]
fn a_word_of_one_choice_is_one_of_another() {
    let spec = sound(
        "param body: small | large = large\n\
         fn wide(size: small | base | large) -> int = if size == small then 1 else if size == base then 2 else 3\n\
         data images = pictures() |> resize(wide(body))\neval e over images = mean(images.image)",
    );
    assert_eq!(spec.data[0].size, (3, 3));
}
