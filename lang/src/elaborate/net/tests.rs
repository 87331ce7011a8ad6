//! Nets: paths, shapes, sharing, states, mapped calls, draws.

use crate::elaborate::elaborate;
use crate::fault::Fault;
use crate::modules::load;
use crate::params::Overrides;
use crate::source::{LoadError, Loader};
use crate::spec::{Axis, Distribution, Per, Prim, Spec, TermId};
use crate::syntax::ItemKind;

struct Alone;

impl Loader for Alone {
    fn load(&self, _: &str, _: &str) -> Result<(String, String), LoadError> {
        Err(LoadError::Missing(Vec::new()))
    }
}

fn with(text: &str, wanted: &[&str], training: bool, batch: Option<usize>) -> (Option<Spec>, Vec<Fault>) {
    let (modules, faults) = load("try.seg", text, &Alone);
    assert_eq!(faults, [], "{text}");
    let checked = crate::check::check(&modules);
    assert!(checked.iter().all(|fault| fault.code == "unused-param"), "{checked:?}");
    let wanted = wanted.iter().map(|name| (*name).to_string()).collect();
    elaborate(&modules, &Overrides { wanted, training, batch, ..Overrides::default() })
}

fn trained(text: &str, wanted: &[&str]) -> Spec {
    let (spec, faults) = with(text, wanted, true, Some(4));
    assert_eq!(faults, [], "{text}");
    let spec = spec.expect("no fault, so a spec");
    assert!(spec.pending.is_empty(), "{:?}", spec.pending);
    spec
}

/// Pictures of 8 by 8 pixels, and what follows.
fn pictures(rest: &str) -> String {
    format!("data images = pictures(none) |> resize(8)\nlet x = images.image\n{rest}\n")
}

fn said(text: &str) -> String {
    let (_, faults) = with(&pictures(text), &[], true, Some(4));
    let told = |fault: &Fault| {
        let labels: Vec<_> = fault.labels.iter().map(|(_, label)| label.as_str()).collect();
        format!("{}: {} | {}\n", fault.code, fault.message, labels.join(" | "))
    };
    faults.iter().map(told).collect()
}

fn axes(spec: &Spec, own: &[(Axis, usize)]) -> String {
    own.iter().map(|(axis, size)| format!("{} {size}", spec.axes[usize::from(axis.0)])).collect::<Vec<_>>().join(", ")
}

/// The axes of a wanted value.
fn shape(spec: &Spec, name: &str) -> String {
    let id = spec.wanted.iter().find(|(own, _)| own == name).map(|(_, id)| *id);
    let id = id.unwrap_or_else(|| panic!("{name} is not among {:?}", spec.wanted));
    axes(spec, &spec.terms.get(id).ty.axes)
}

fn weights(spec: &Spec) -> String {
    spec.weights.iter().map(|weight| format!("{}: {}\n", weight.path, axes(spec, &weight.ty.axes))).collect()
}

fn count(spec: &Spec, what: impl Fn(&Prim) -> bool) -> usize {
    (0..spec.terms.len()).filter(|place| what(&spec.terms.get(TermId(*place as u32)).prim)).count()
}

#[test]
fn weights_are_known_by_their_paths() {
    let spec = trained(
        &pictures(
            "use std::nn, std::vit, std::unet\nmodel critic = nn::residual(4)\n\
                model seg[k in 0..2] = unet::segmenter(widths: [2, 4])\n\
             model look = vit::attention(2)\nmodel cut = vit::patch_tokens(4, 6)\n\
             let a = critic(x)\nlet b = seg[1](x)\nlet c = look(cut(x))",
        ),
        &["a", "b", "c"],
    );
    assert_eq!(shape(&spec, "a"), "channel 4, height 8, width 8");
    assert_eq!(shape(&spec, "b"), "height 8, width 8");
    assert_eq!(shape(&spec, "c"), "token 4, feature 6");
    insta::assert_snapshot!(weights(&spec));
}

#[test]
fn an_instance_shares_its_weights_and_equal_calls_are_one() {
    let net = "use std::nn\nmodel m = nn::conv(2)\n";
    let spec = trained(&pictures(&format!("{net}let a = m(x)\nlet b = m(x)\nlet c = m(2 * x)")), &["a", "b", "c"]);
    assert_eq!(weights(&spec), "m.b: channel 2\nm.w: out 2, channel 3, row 3, column 3\n");
    assert_eq!(count(&spec, |prim| matches!(prim, Prim::Conv2d(_))), 2);
    assert_eq!(spec.wanted[0].1, spec.wanted[1].1);
    assert!(spec.calls.is_empty());
}

#[test]
fn nets_are_values_and_may_be_given_some_of_their_arguments() {
    let text = "use std::nn\nmodel a = nn::conv(2, norm: nn::spectral)\nmodel b = nn::conv(2, norm: nn::spectral(eps: 1e-4))\n\
                fn twice(f: fn, v: image) -> [channel, height, width] = f(v) + f(v)\nlet y = twice(a, x)\nlet z = b(x)";
    let spec = trained(&pictures(text), &["y", "z"]);
    let buffers: Vec<_> = spec.buffers.iter().map(|buffer| buffer.path.as_str()).collect();
    assert_eq!(buffers, ["a.scale.u", "a.scale.v", "b.scale.u", "b.scale.v"]);
    assert_eq!(count(&spec, |prim| *prim == Prim::Const(1e-8)), 1); // its square
    // Two calls of one model with states are two forwards.
    assert_eq!(spec.calls.len(), 3);
    assert_eq!(axes(&spec, &spec.buffers[1].ty.axes), "column 27");
}

#[test]
fn only_what_is_read_exists_and_a_part_can_be_applied() {
    let text = "use std::stylegan\nmodel g = stylegan::generator(3, 8, widest: 8)\n\
                let w = g.mapping(spread(mean(x), feature: 8))\n\
                let y = g.synthesis(spread(w, level: 2, place: 2))";
    let spec = trained(&pictures(text), &["w", "y"]);
    assert_eq!(shape(&spec, "y"), "channel 3, height 8, width 8");
    insta::assert_snapshot!(weights(&spec));
}

#[test]
fn states_go_on_from_call_to_call() {
    let net = "net counter(by: real = 1)(v: real) -> real {\n    state n: real = 0\n    state fixed: [feature: 2] ~ normal\n\
        next n = n + by\n    return v * n + sum(fixed) }\n";
    let text = format!("{net}model c = counter()\nlet first = c(c(mean(x)))\nlet p[0] = mean(x)\nlet p[k in 1..4] = c(p[k - 1])");
    let spec = trained(&pictures(&text), &["first", "p"]);
    assert_eq!(spec.buffers.len(), 2);
    assert_eq!(spec.calls.len(), 5);
    let names: Vec<_> = spec.wanted.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["first", "p.0", "p.1", "p.2", "p.3"]);
    for call in &spec.calls {
        let [(0, Some(next)), (1, None)] = call.states.as_slice() else { panic!("{call:?}") };
        assert_eq!(spec.terms.get(*next).prim, Prim::Stop);
    }
    // The inner of nested calls comes first, and members of a recurrence in their order.
    assert!(spec.calls[0].order < spec.calls[1].order);
    assert!(spec.calls[1].order < spec.calls[2].order);
    assert_eq!(spec.calls[2].order, spec.calls[4].order);
    assert_eq!(count(&spec, |prim| matches!(prim, Prim::Called(_))), 5);
    // Nothing moves outside of training: calls are one.
    let (settled, _) = with(&pictures(&text), &["first"], false, None);
    let settled = settled.expect("a spec");
    assert_eq!(settled.calls.len(), 1);
    assert!(settled.calls[0].states.iter().all(|(_, next)| next.is_none()));
}

#[test]
fn a_let_is_placed_where_it_is_written() {
    let net = "net counter()(v: real) -> real {\n    state n: real = 0\n    next n = n + 1\n    return v * n }\n";
    let text = format!("{net}model c = counter()\nlet late = c(early)\nlet early = c(mean(x))\n");
    let spec = trained(&pictures(&text), &["late"]);
    // It is evaluated first, as the other needs it, and stands behind.
    assert!(spec.calls[0].order > spec.calls[1].order);
}

#[test]
fn statistics_of_the_batch_see_mapped_axes() {
    let text = "use std::nn\nmodel n = nn::batch_norm()\nlet y = n(stack([x, 2 * x, 3 * x], as: kind))\n\
                fn mine(v: [channel]) -> [channel] = batch(v, as: other)[other: sample_index()]\n\
                let z = mine(stack([mean(x, over: [height, width]), spread(1, channel: 3)], as: kind))\n\
                let plain = batch(mean(x), as: anchor)";
    let spec = trained(&pictures(text), &["y", "z", "plain"]);
    assert_eq!(shape(&spec, "y"), "kind 3, channel 3, height 8, width 8");
    assert_eq!(shape(&spec, "z"), "kind 2, channel 3");
    assert_eq!(shape(&spec, "plain"), "anchor 4");
    let merged: Vec<_> = (0..spec.terms.len()).map(|place| spec.terms.get(TermId(place as u32))).collect();
    let sizes: Vec<_> = merged.iter().filter(|term| matches!(term.prim, Prim::Merge(..))).map(|term| axes(&spec, &term.ty.axes)).collect();
    assert_eq!(sizes, ["other 12, channel 3, height 8, width 8", "other 8, channel 3"]);
    assert_eq!(spec.calls.len(), 1);
    let (spec, faults) = with(&pictures(text), &["y"], true, None);
    assert_eq!(faults, []);
    assert_eq!(spec.expect("a spec").pending[0].what, "values of the whole batch");
}

#[test]
fn draws_are_known_by_the_calls_that_lead_to_them() {
    let text = "fn noisy(v: image) -> image {\n    draw n ~ normal(0, 1/2)\n    return v + n }\n\
                net blur()(v: image) -> image {\n    draw s ~ bernoulli per step\n    draw t ~ beta(2, 3)\n\
                return v * t + where(s, noisy(v), noisy(noisy(v))) }\n\
                model b = blur()\nlet y = b(x)\nlet z[k in 0..2] = noisy(x) - k\nlet w = [noisy(x) for k in 0..2]\n\
                let u = sum(mean(noisy(v)) for v in [x, 2 * x]) - sum(mean(noisy(v)) for v in [x, 3 * x]) + mean(noisy(x))\n\
                let m = noisy(stack([x, x], as: kind))\ndraw p ~ permutation[token: 5]\nlet q = spread(mean(x), token: 5)[token: p]";
    let spec = trained(&pictures(text), &["y", "z", "w", "u", "m", "q", "p"]);
    let mut drawn = Vec::new();
    for place in 0..spec.terms.len() {
        let term = spec.terms.get(TermId(place as u32));
        if let Prim::Draw { from, path, per } = &term.prim {
            drawn.push(format!("{path}: {from:?} per {per:?}, {}\n", axes(&spec, &term.ty.axes)));
        }
    }
    assert_eq!(shape(&spec, "q"), "token 5");
    insta::assert_snapshot!(drawn.concat());
}

#[test]
fn the_names_of_one_draw_are_drawn_apart() {
    let spec = trained(&pictures("draw b, a ~ uniform(0, 1)\nlet y = x * (b - a)"), &["y"]);
    let terms = (0..spec.terms.len()).map(|place| spec.terms.get(TermId(place as u32)));
    let drawn: Vec<&str> =
        terms.filter_map(|term| if let Prim::Draw { path, .. } = &term.prim { Some(path.as_str()) } else { None }).collect();
    assert_eq!(drawn, ["b", "a"]);
}

#[test]
fn first_values_are_draws_that_functions_can_pass_on() {
    let text = "use std::nn\nparam small = true\nmodel a = nn::dense(4, init: if small then nn::he(3, slope: 0.2) else normal)\n\
                model b = nn::dense(2, bias: false, init: orthogonal(gain: 0.8))\nmodel n = nn::instance_norm(gains: uniform(0, 1))\n\
                let v = mean(x, over: [height, width])[channel -> feature]\nlet y = a(v)\nlet z = b(v)\nlet u = n(x)";
    let spec = trained(&pictures(text), &["y", "z", "u"]);
    let starts: Vec<_> = spec
        .weights
        .iter()
        .map(|weight| match &spec.terms.get(weight.start).prim {
            Prim::Draw { from, path, per: Per::Start } => format!("{} {from:?} {path}", weight.path),
            other => format!("{} {other:?}", weight.path),
        })
        .collect();
    assert_eq!(starts, ["a.b Uniform a.b", "a.w Normal a.w", "b.w Orthogonal b.w", "n.bias Const(0.0)", "n.gain Uniform n.gain"]);
    assert!(count(&spec, |prim| matches!(prim, Prim::Draw { from: Distribution::Orthogonal, .. })) == 1);
}

#[test]
fn operations_over_pixels_have_exact_sizes() {
    let text = "net kernel(out: int, of: int, row: int, column: int)() -> [..a] {\n\
        weight w: [out: out, channel: of, row: row, column: column] ~ normal\n    return w }\n\
                model k = kernel(4, 3, 3, 2)\nmodel g = kernel(6, 1, 3, 3)\nmodel t = kernel(5, 3, 4, 4)\n\
                let a = conv2d(x, k(), stride: [2, 1], pad: [1, 0, 2, 1], dilation: [2, 3])\n\
                let b = conv2d(x, g(), pad: 1, groups: 3, input_dilation: 2)\n\
                let c = conv2d_transposed(x, t(), stride: 2, pad: 1, out_pad: [1, 0])\n\
                let d = max_pool(x, [3, 2], stride: 2, pad: [1, 0])\nlet e = avg_pool(x, 3, stride: 2, pad: 1, inside: true)\n\
                let f = adaptive_avg_pool(x, [3, 5])\nlet h = pad(x, by: [1, -2, 3, 0], with: reflect)\n\
                let i = resize(x, to: [5, 16], by: bicubic, corners: true)\n\
                    let j = fir(x, taps: [1, 3, 3, 1], up: 2, before: 2, after: 1)\n\
                let l = strided(roll(reverse(x, along: width), by: -3, along: [height, width]), by: 3, along: height)\n\
                let m = dot(mean(x, over: [height, width]), index(feature: 2), over: [])\n\
                let n = conv2d(stack([x, x], as: kind), k())";
    let names = ["a", "b", "c", "d", "e", "f", "h", "i", "j", "l", "m", "n"];
    let spec = trained(&pictures(text), &names);
    let shapes: Vec<_> = names.iter().map(|name| format!("{name}: {}\n", shape(&spec, name))).collect();
    insta::assert_snapshot!(shapes.concat());
}

#[test]
fn mistakes_in_nets_are_pointed_at() {
    let faults = [
        "use std::nn\nmodel m = nn::dense(2)\nlet y = m(spread(1, feature: 3)) + m(spread(1, feature: 4))",
        "use std::nn\nmodel m = nn::conv(2, kernel: 11, pad: 0)\nlet y = m(x)",
        "use std::nn\nmodel m = nn::conv(2)\nlet y = m(mean(x, over: channel))",
        "let y = pad(x, by: 8, with: reflect)",
        "let y = max_pool(x, 9)",
        "let y = conv2d(x, spread(1, out: 2, channel: 2, row: 3, column: 3))",
        "net odd()(v: [channel, height, width]) -> [channel, height, width] {\n    state s: [channel] = 0\n\
            next s = mean(v, over: [height, width])\n    return v - s }\nmodel m = odd()\nlet y = m(x)",
        "net odd()(v: real) -> real {\n    state s: real = 1\n    return grad(v * s, wrt: s) }\nmodel m = odd()\nlet y = m(mean(x))",
        "let y = batch(x, as: channel)",
        "draw a ~ orthogonal[feature: 3]\nlet y = a",
    ];
    insta::assert_snapshot!(faults.map(said).join("\n"));
}

/// Every net of the library that has a body, built and applied.
const APPLIED: [(&str, &str); 92] = [
    ("nn::dense(4, norm: nn::spectral)", "(v)"),
    ("nn::conv(4, kernel: 5, stride: 2, norm: nn::spectral)", "(x)"),
    ("nn::plain()", "(x)"),
    ("nn::spectral()", "(spread(index(out: 3), feature: 4))"),
    ("nn::instance_norm(affine: false)", "(x)"),
    ("nn::layer_norm()", "(v)"),
    ("nn::batch_norm()", "(x)"),
    ("nn::residual(4)", "(x)"),
    ("nn::self_attention()", "(wide)"),
    ("compact::dense(4)", "(v)"),
    ("compact::conv(4)", "(x)"),
    ("compact::style_block(4, first: false)", "(x, v)"),
    ("compact::mapping_net()", "(v)"),
    ("compact::synthesis_net(3, 16, from: 8)", "(spread(v, place: 1, level: 3), fade: 1/2)"),
    ("compact::generator(4, 16)", "(v)"),
    ("compact::critic_block(4)", "(x)"),
    ("compact::trunk(16)", "(grow(x)).end"),
    ("compact::critic(16, from: 8)", "(stack([grow(x), 1 - grow(x)], as: kind), fade: 1/2).score"),
    ("compact::segmenter(2)", "(x)"),
    ("compact::region_generator(16)", "(grow(x)[channel: 0], v)"),
    ("compact::regressor(2, size: 4, top: 16)", "(grow(x))"),
    ("stylegan::dense(4)", "(v)"),
    ("stylegan::conv(4)", "(x)"),
    ("stylegan::adain()", "(x, v)"),
    ("stylegan::noise()", "(x, x[channel: 0])"),
    ("stylegan::style_block(4, first: false, fused: true)", "(x, spread(v, place: 2))"),
    ("stylegan::mapping_net(2)", "(v)"),
    ("stylegan::synthesis_net(3, 16, from: 8, widest: 4)", "(spread(v, place: 2, level: 3), fade: 1/2)"),
    ("stylegan::generator(4, 16, widest: 4)", "(v)"),
    ("stylegan::critic_block(4)", "(x)"),
    ("stylegan::critic(16, widest: 4)", "(stack([grow(x), 1 - grow(x)], as: kind)).score"),
    ("stylegan2::modulated(4)", "(x, v)"),
    ("unet::two(4)", "(x)"),
    ("unet::segmenter()", "(x[height: 0..7])"),
    ("vit::patch_tokens(4, 6)", "(x)"),
    ("vit::attention(2)", "(tokens)"),
    ("vit::block(2)", "(tokens)"),
    ("redo::by_latent(normal(0, 1))", "(x, v)"),
    ("redo::up(4, init: none)", "(x, grow(x)[channel: 0], v)"),
    ("redo::region_generator(top: 16, base: 8, attend: true, init: orthogonal(gain: 0.8))", "(grow(x)[channel: 0], v)"),
    ("redo::down(4, first: true)", "(x)"),
    ("nn::conv_transposed(4)", "(x)"),
    ("nn::group_norm(2)", "(wide)"),
    ("nn::pyramid_pooling(4, 2)", "(x)"),
    ("stylegan1::mapping(2)", "(v)"),
    ("stylegan1::epilogue()", "(x, x[channel: 0], v)"),
    ("stylegan1::block(4)", "(x, v, grow(x)[channel: 0..2, channel -> place])"),
    ("stylegan1::critic_block(4)", "(x)"),
    ("stylegan1::critic_end(1, 4)", "(stack([x, 1 - x], as: kind))"),
    ("stylegan2::epilogue()", "(x, x[channel: 0])"),
    ("stylegan2::block(4)", "(x, v, x, grow(x)[channel: 0..2, channel -> place])"),
    ("stylegan2::critic_block(4)", "(x)"),
    ("stylegan2::smaller(4)", "(x)"),
    ("unet::rise(4, how: bilinear)", "(x)"),
    ("unet::body([2, 4], how: transposed)", "(x)"),
    ("vit::encoder(patch: 4, grid: 3, features: 8, depth: 2, heads: 2)", "(x).after[1]"),
    ("vit::autoencoder(patch: 4, depth: 2, back_depth: 1)", "(x, keep: x[channel: 0, height: 0..2, width: 0..2]).image"),
    ("resnet::basic(4, stride: 2)", "(x)"),
    ("resnet::codes18(4)", "(grow(x, by: 4))"),
    ("biggan::conditional_norm()", "(x, v)"),
    ("biggan::generator_block(4)", "(x, v)"),
    ("biggan::critic_block(4, first: true)", "(x)"),
    ("biggan::projection(3)", "(x, 1)"),
    ("upsampling::even(2)", "(x)"),
    ("upsampling::doubling(2)", "(x)"),
    ("upsampling::evens(2, times: 3)", "(x)"),
    ("upsampling::head(doubled: 2, least: 2, deep: 2)", "(x)"),
    ("efficientnet::conv_same(2, stride: 2)", "(x)"),
    ("efficientnet::separable(3)", "(x)"),
    ("efficientnet::inverted(3, kernel: 5)", "(x)"),
    ("efficientnet::stage(3, times: 2, kernel: 3, stride: 2)", "(x)"),
    ("efficientnet::lite0()", "(grow(x, by: 4)).taps[3]"),
    ("gan::plain_critic(4, halved: 1)", "(x)"),
    ("selfmask::look(2)", "(tokens, tokens[token -> key], tokens[token -> key])"),
    ("selfmask::decoder_block(2)", "(tokens, tokens, tokens[token -> key])"),
    ("selfmask::queries(3, patch: 4, features: 12, depth: 2, heads: 2, blocks: 2)", "(x).masks"),
    ("gan::projection(4)", "(x)"),
    ("gan::halving(4)", "(x)"),
    ("gan::small_head([4])", "(x)"),
    ("gan::projected_heads(2)", "([grow(x, by: 4), grow(x), x, max_pool(x, by: 2)])"),
    ("segmenter::normed(instance)", "(x)"),
    ("segmenter::residual(batch)", "(x)"),
    ("segmenter::pyramid(regions: 3, norm: instance)", "(grow(x))"),
    ("redo::flat()", "(x)"),
    ("redo::trunk(8, attend: true)", "(grow(x))"),
    ("redo::critic(attend: false, init: normal, base: 8)", "(grow(x))"),
    ("redo::regressor(2, size: 4, init: normal, base: 8)", "(grow(x))"),
    ("sgd(1e-3, momentum: 0.9)", "(step, 2 * step)"),
    ("adam(1e-3)", "(step, 2 * step)"),
    ("adamw(ramp(0, 1, over: 10 steps))", "(step, 2 * step)"),
    ("rmsprop(1e-3, centred: true)", "(step, 2 * step)"),
    ("moving_average(0.99)", "(step)"),
];

#[test]
fn every_net_of_the_library_can_be_applied() {
    let modules = crate::library::names().filter(|name| *name != crate::library::PRELUDE);
    let modules = modules.map(|name| format!("std::{name}")).collect::<Vec<_>>().join(", ");
    for (net, application) in APPLIED {
        let text = format!(
            "use {modules}\nlet v = mean(x, over: [height, width])[channel -> feature]\n\
             let wide = concat([x, x, x, x, x, x[channel: 0..1]], along: channel)\n\
             let tokens = wide[channel: 0..4, (height, width) -> token, channel -> feature]\nmodel m = {net}\nlet y = m{application}"
        );
        let spec = trained(&pictures(&text), &["y"]);
        assert!(!spec.wanted.is_empty(), "{net}");
    }
}

#[test]
fn no_net_of_the_library_is_forgotten() {
    let uses = crate::library::names().map(|name| format!("use std::{name}\n")).collect::<String>();
    let (modules, faults) = load("try.seg", &uses, &Alone);
    assert_eq!(faults, []);
    for module in &modules.list {
        for item in &module.file.items {
            let ItemKind::Net(net) = item.kind() else { continue };
            let name = &net.name.text;
            let path =
                if module.name == "std::prelude" { name.clone() } else { format!("{}::{name}", module.name.trim_start_matches("std::")) };
            let known = APPLIED.iter().any(|(own, _)| own.split('(').next() == Some(&path));
            assert!(net.body.is_none() || known, "{name} of {} is not applied", module.name);
        }
    }
}

#[test]
fn official_names_are_paths() {
    let text = "names ours {\n    \"a.{i}.w\" : block[i].attend.w\n\
                \"cls\" : first [one: 1, (token: 1, feature)]\n}\n";
    let spec = trained(&pictures(text), &[]);
    let [(name, lines)] = spec.names.as_slice() else { panic!("{:?}", spec.names) };
    assert_eq!((name.as_str(), lines[0].path.as_deref(), lines[0].layout.len()), ("ours", Some("block.{i}.attend.w"), 0));
    let shown: Vec<_> = lines[1]
        .layout
        .iter()
        .map(|group| group.iter().map(|(axis, size)| format!("{}{size:?}", spec.axes[usize::from(axis.0)])).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(shown, ["oneSome(1)", "tokenSome(1) featureNone"]);
}
