//! Networks of the library compute what PyTorch computes in f64 with the same weights (`tests/twins/networks.py`).

mod lab;

use std::collections::BTreeMap;

use lab::{Lab, compiled};
use segc_compiler::build::{Request, build};
use segc_lang::spec::Type;

/// Numbers that depend on the path and the sizes alone.
fn invented(path: &str, sizes: &[usize]) -> Vec<f64> {
    let count: usize = sizes.iter().product();
    let mut state = path.bytes().fold(0x9e37_79b9_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let drawn = (0..count).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((state >> 33) as u32) / f64::from(1u32 << 30) - 1.0
    });
    let values: Vec<f64> = drawn.collect();
    let last = path.rsplit('.').next().unwrap_or_default();
    let fan = if sizes.len() > 1 { count as f64 / sizes[0] as f64 } else { 10.0 };
    let length = values.iter().map(|x| x * x).sum::<f64>().sqrt();
    let number = |x: f64| match last {
        "gain" | "usual_var" => 1.0 + 0.3 * x,
        "u" | "v" => x / length,
        "picture" => x,
        _ => 1.7 * x / fan.sqrt(),
    };
    values.into_iter().map(number).collect()
}

/// Outputs of a text whose models have invented weights and train.
fn run(text: &str, wanted: &[&str]) -> BTreeMap<String, Vec<f64>> {
    filled(Lab::new(text, wanted, 1, &[]))
}

/// The same where models are settled.
fn settled(text: &str, wanted: &[&str]) -> BTreeMap<String, Vec<f64>> {
    let wanted = wanted.iter().map(|name| (*name).to_string()).collect();
    let spec = compiled(text, wanted, false, 1).unwrap_or_else(|why| panic!("{why}"));
    let graph = build(&spec, &spec.wanted, &Request { batch: Some(1), states: true }).unwrap_or_else(|fault| panic!("{fault:?}"));
    filled(Lab { spec, graph, values: BTreeMap::new(), clock: true })
}

fn filled(mut lab: Lab) -> BTreeMap<String, Vec<f64>> {
    let sizes = |ty: &Type| ty.axes.iter().map(|(_, size)| *size).collect::<Vec<_>>();
    let weights = lab.spec.weights.iter().map(|own| (own.path.clone(), invented(&own.path, &sizes(&own.ty))));
    let states = lab.spec.buffers.iter().map(|own| (own.path.clone(), invented(&own.path, &sizes(&own.ty))));
    lab.values = weights.chain(states).collect();
    lab.clock = true;
    lab.run()
}

/// A few elements, evenly spread, the sum and the sum of squares, as the twin prints them.
fn agrees(what: &str, found: &[f64], expected: [f64; 6]) {
    let at = |part: usize| found[part * (found.len() - 1) / 3];
    let own = [at(0), at(1), at(2), at(3), found.iter().sum(), found.iter().map(|x| x * x).sum()];
    for (own, expected) in own.iter().zip(expected) {
        assert!((own - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{what}: {own} instead of {expected}");
    }
}

/// A picture that is a weight, of these channels, rows and columns.
fn picture(name: &str, [channels, rows, columns]: [usize; 3]) -> String {
    format!(
        "net holder_{name}()(at: int) -> [channel: {channels}, height: {rows}, width: {columns}] {{
            weight picture: [one: 1, channel: {channels}, height: {rows}, width: {columns}] = 0
            return picture[one: at]
        }}
        model {name} = holder_{name}()\n"
    )
}

#[test]
fn a_vision_transformer_with_places_of_another_grid() {
    let text = picture("given", [3, 16, 24])
        + "model subject = vit::encoder(patch: 4, grid: 3, features: 8, depth: 2, heads: 2)
        let tokens = subject(given(0)).tokens
        let map = subject(given(0)).after[0]";
    let found = run(&format!("use std::vit\n{text}"), &["tokens", "map"]);
    agrees("tokens", &found["tokens"], TOKENS);
    agrees("map", &found["map"], MAP);
}

#[test]
fn a_masked_autoencoder_copies_inpaints_and_reconstructs() {
    let text = picture("given", [3, 16, 16])
        + &picture("kept", [1, 4, 4])
        + "model subject = vit::autoencoder(patch: 4, features: 8, depth: 2, heads: 2, back_features: 8, back_depth: 1, back_heads: 2)
        let copy = subject(given(0)).image
        let painted = subject(given(0), keep: kept(0)[channel: 0]).image
        let few = mod(7 * index(key: 4) + 3, 16)
        let restored = subject(given(0), seen: few).image
        let map = subject(given(0)).after[1]";
    let found = run(&format!("use std::vit\n{text}"), &["copy", "painted", "restored", "map"]);
    agrees("copy", &found["copy"], COPY);
    agrees("painted", &found["painted"], PAINTED);
    agrees("restored", &found["restored"], RESTORED);
    agrees("map", &found["map"], AFTER);
}

#[test]
fn the_head_of_the_segmenter() {
    let text =
        picture("given", [8, 3, 4]) + "model subject = upsampling::head(doubled: 2, least: 3, deep: 2)\nlet logits = subject(given(0))";
    agrees("logits", &run(&format!("use std::upsampling\n{text}"), &["logits"])["logits"], LOGITS);
}

#[test]
fn taps_of_efficientnet() {
    let text = picture("given", [3, 37, 45])
        + "frozen model subject = efficientnet::lite0()
        let near = subject(given(0)).taps[0]
        let far = subject(given(0)).taps[3]";
    let found = settled(&format!("use std::efficientnet\n{text}"), &["near", "far"]);
    agrees("first tap", &found["near"], NEAR);
    agrees("last tap", &found["far"], FAR);
}

#[test]
fn heads_over_random_projections() {
    let pictures: String = (0..4).map(|k| picture(&format!("tap_{k}"), [3 + k, 32 >> k, 32 >> k])).collect();
    let text = pictures + "model subject = gan::projected_heads(2)\nlet logits = subject([tap_0(0), tap_1(0), tap_2(0), tap_3(0)])";
    agrees("logits", &run(&format!("use std::gan\n{text}"), &["logits"])["logits"], PROJECTED);
}

/// Zhao et al. 2020: what happened to the colours is read off the result.
#[test]
fn changes_of_colour_are_those_of_diffaugment() {
    let text = picture("given", [3, 8, 8])
        + "let x = given(0)
        let once  = augment::diffaugment(x, shifted: 0, hole: 0)
        let twice = [augment::diffaugment(y, shifted: 0, hole: 0) for y in [x, x]]
        let first  = twice[0]
        let second = twice[1]
        let cut = augment::diffaugment(x, shifted: 0)
        let moved = augment::diffaugment(x, hole: 0)";
    let found = run(&format!("use std::augment\n{text}"), &["x", "once", "first", "second", "cut", "moved"]);
    let x = &found["x"];
    let grey = |image: &[f64], pixel: usize| (0..3).map(|channel| image[64 * channel + pixel]).sum::<f64>() / 3.0;
    let mean = x.iter().sum::<f64>() / 192.0;
    let mut seen = Vec::new();
    for name in ["once", "first", "second"] {
        let y = &found[name];
        let tint = (y[0] - grey(y, 0)) / (x[0] - grey(x, 0));
        let sharp = (grey(y, 1) - grey(y, 0)) / (grey(x, 1) - grey(x, 0));
        let light = grey(y, 0) - sharp * grey(x, 0) - (1.0 - sharp) * mean;
        for pixel in 0..64 {
            assert!((grey(y, pixel) - (sharp * grey(x, pixel) + (1.0 - sharp) * mean + light)).abs() < 1e-9);
            let off = |channel: usize| y[64 * channel + pixel] - grey(y, pixel) - tint * (x[64 * channel + pixel] - grey(x, pixel));
            assert!((0..3).all(|channel| off(channel).abs() < 1e-9));
        }
        assert!((-0.5..0.5).contains(&light) && (0.5..1.5).contains(&sharp) && (0.0..2.0).contains(&(tint / sharp)));
        assert!(!seen.contains(&light), "every call draws for itself");
        seen.push(light);
    }
    let zeros = |name: &str| (0..64).filter(|pixel| (0..3).all(|channel| found[name][64 * channel + pixel] == 0.0)).count();
    assert!((4..=16).contains(&zeros("cut")) && zeros("moved") <= 15);
}

const TOKENS: [f64; 6] = [-0.68708726, -0.17380102, 0.86503434, 0.2939526, -18.857064, 198.3669];
const MAP: [f64; 6] = [-0.584161, -1.947354, 0.053964798, 0.35288553, -111.32935, 297.01743];
const COPY: [f64; 6] = [0.89618688, -0.26705556, 0.097270576, 2.3878865, 97.495037, 936.49704];
const PAINTED: [f64; 6] = [1.0258299, -0.83365452, 0.82071008, 2.0068627, 205.02093, 1235.3056];
const RESTORED: [f64; 6] = [1.0807083, -1.4476855, 1.8972515, 1.0656649, 215.2088, 1289.3994];
const AFTER: [f64; 6] = [1.7139804, 0.99140285, 1.9855455, 1.9172631, 65.393014, 266.58248];
const LOGITS: [f64; 6] = [0.34947851, 0.40042245, 0.40512761, 0.4007648, 75.159646, 45.597564];
const NEAR: [f64; 6] = [-0.26213976, 0.040151548, 0.52798816, -0.52453833, -303.4405, 5357.1815];
const FAR: [f64; 6] = [0.91577957, -0.78362063, -0.83248516, -0.68252102, 28.09792, 564.87864];
const PROJECTED: [f64; 6] = [-1.0539788, 0.30488694, -0.51110996, 0.5194591, -0.74074272, 1.7348985];
