//! Known answers of layers and losses that PyTorch gave in f64, on inputs that are sines of their place; through the library where it has
//! them. Those of single ops are in the compiler's tests.

mod lab;

use lab::Lab;
use segc_compiler::differentiate::derivative;

/// sin(a + b k) for the first `count` places.
fn wave(count: usize, a: f64, b: f64) -> Vec<f64> {
    (0..count).map(|k| (a + b * k as f64).sin()).collect()
}

fn scaled(by: f64, data: Vec<f64>) -> Vec<f64> {
    data.into_iter().map(|x| by * x).collect()
}

fn agrees(what: &str, found: &[f64], want: &[f64]) {
    for (place, (a, b)) in found.iter().zip(want).enumerate() {
        assert!((a - b).abs() < 6e-7 * (1.0 + b.abs()), "{what} at {place}: {a} instead of {b}");
    }
    assert!(found.len() >= want.len(), "{what}: {} elements", found.len());
}

fn total(data: &[f64]) -> f64 {
    data.iter().sum()
}

fn size(data: &[f64]) -> f64 {
    data.iter().map(|x| x.abs()).sum()
}

#[test]
fn spectral_norm_after_one_power_step() {
    let text = "use std::nn
        net holder()(at: int) -> [out: 3, channel: 2, row: 3, column: 3] { weight v: [out: 3, channel: 2, row: 3, column: 3] = 0 return v }
        model given = holder()
        model norm = nn::spectral()
        let y = norm(given(0))";
    let u = scaled(1.0 / 14f64.sqrt(), vec![1.0, 2.0, 3.0]);
    let w = wave(54, 0.3, 0.9);
    let lab = Lab::new(text, &["y"], 1, &[("given.v", w.clone()), ("norm.u", u)]);
    let found = lab.run();
    agrees("sigma", &[w[0] / found["y"][0]], &[4.205886]);
    agrees("u", &found["next.norm.u"], &[0.345461, -0.603610, 0.718549]);
}

#[test]
fn attention_over_pixels() {
    let text = "use std::nn
        net holder()(at: int) -> [channel: 8, height: 4, width: 4] { weight v: [channel: 8, height: 4, width: 4] = 0 return v }
        model given = holder()
        model look = nn::self_attention(norm: nn::plain)
        let y = look(given(0)) - given(0)";
    let x = wave(128, 0.1, 0.37);
    let lab = Lab::new(
        text,
        &["y"],
        1,
        &[
            ("given.v", x),
            ("look.query.w", wave(8, 0.2, 0.5)),
            ("look.find.w", wave(8, 0.4, 0.8)),
            ("look.value.w", wave(32, 0.6, 0.3)),
            ("look.back.w", wave(32, 0.9, 0.45)),
            ("look.gamma", vec![1.0]),
        ],
    );
    let y = &lab.run()["y"];
    agrees("first channel", y, &[7.575689, 7.620674, 8.269455, 8.868428, 8.987542, 9.064364]);
    agrees("sum", &[total(y)], &[135.207833]);
}

const CRITIC: &str = "use std::gan, std::stylegan
    net holder()(at: int) -> [channel: 3, height: 4, width: 4] {
        weight v: [one: 3, channel: 3, height: 4, width: 4] = 0
        return v[one: at]
    }
    net network()(picture: [channel, height, width]) -> real {
        weight w1: [out: 4, channel: 3, row: 3, column: 3] = 0
        weight b1: [channel: 4] = 0
        weight w2: [out: 5, channel: 5, row: 4, column: 4] = 0
        weight b2: [channel: 5] = 0
        weight w3: [channel: 5] = 0
        let h = lrelu(conv2d(picture, w1, pad: 1) + b1)
        let seen = concat([h, stylegan::minibatch_deviation(h)], along: channel)
        return dot(lrelu(conv2d(seen, w2) + b2)[height: 0, width: 0], w3, over: channel) + 0.05
    }
    model given = holder()
    model critic = network()
    let x = given(sample_index())
    let score = critic(x)
    let slope = grad(critic(x), wrt: x)
    let length = norm(slope)
    let penalty = mean(batch(10 * (length - 1)^2, as: other))
    let r1 = mean(batch(gan::r1(critic, x, strength: 1/2), as: other))
";

fn critic(wanted: &[&str]) -> Lab {
    let values = [
        ("given.v", wave(144, 0.1, 0.41)),
        ("critic.w1", scaled(0.3, wave(108, 0.3, 0.9))),
        ("critic.b1", scaled(0.1, wave(4, 0.2, 0.6))),
        ("critic.w2", scaled(0.2, wave(400, 0.5, 0.33))),
        ("critic.b2", scaled(0.1, wave(5, 0.1, 0.4))),
        ("critic.w3", wave(5, 0.7, 0.8)),
    ];
    Lab::new(CRITIC, wanted, 3, &values)
}

/// Adds derivatives of an output with respect to weights to the outputs.
fn differentiate(lab: &mut Lab, output: &str, paths: &[&str]) {
    let y = lab.output(output);
    for path in paths {
        let x = lab.input(path);
        let slope = derivative(&mut lab.graph, y, x);
        lab.graph.outputs.push((format!("d {path}"), slope));
    }
    lab.graph = segc_compiler::differentiate(&lab.graph);
}

#[test]
fn gradient_penalty_through_a_critic_that_sees_its_batch() {
    let mut lab = critic(&["score", "slope", "length", "penalty"]);
    lab.graph = segc_compiler::differentiate(&lab.graph);
    differentiate(&mut lab, "penalty", &["critic.w1", "critic.b1", "critic.w2", "critic.b2", "critic.w3"]);
    let found = lab.run();
    agrees("scores", &found["score"], &[1.106819, 0.502448, -0.109111]);
    agrees("lengths", &found["length"], &[1.239444, 1.019612, 0.643133]);
    agrees("penalty", &found["penalty"], &[0.616907]);
    agrees("slope", &found["slope"], &[-0.144661, -0.401721, -0.394127, -0.197670]);
    let w1 = [-0.139531, -0.124911, -0.013572, -0.116969, -0.302445, -0.322289, -0.076030, -0.071050, -0.021596];
    agrees("w1", &found["d critic.w1"], &w1);
    agrees("size of w1", &[size(&found["d critic.w1"])], &[11.039011]);
    agrees("b1", &found["d critic.b1"], &[-0.000819, 0.003635, 0.001726, -0.003138]);
    agrees("w2 at the deviation", &found["d critic.w2"][64..], &[-0.019491; 4]);
    agrees("size of w2", &[size(&found["d critic.w2"])], &[61.400604]);
    agrees("b2", &found["d critic.b2"], &[0.0; 5]);
    agrees("w3", &found["d critic.w3"], &[0.150731, 1.041132, 0.394517, 0.890062, 1.286908]);
}

#[test]
fn r1_through_a_critic_that_sees_its_batch() {
    let mut lab = critic(&["r1"]);
    lab.graph = segc_compiler::differentiate(&lab.graph);
    differentiate(&mut lab, "r1", &["critic.w1"]);
    let found = lab.run();
    agrees("r1", &found["r1"], &[0.498242]);
    agrees("w1", &found["d critic.w1"], &[0.012483, 0.027028, 0.017687, 0.009973]);
    agrees("size of w1", &[size(&found["d critic.w1"])], &[6.150201]);
}

#[test]
fn growing_convolution_of_perturbgan() {
    let text = "net holder()(at: int) -> [channel: 1, height: 3, width: 3] { weight v: [channel: 1, height: 3, width: 3] = 0 return v }
        net kernels()(at: int) -> [out: 2, channel: 1, row: 3, column: 3] { weight v: [out: 2, channel: 1, row: 3, column: 3] = 0 return v }
        model given = holder()
        model kernel = kernels()
        let y = conv2d(grow(given(0)), reverse(kernel(0), along: [row, column]), pad: 1) / 4";
    let lab = Lab::new(text, &["y"], 1, &[("given.v", wave(9, 0.1, 0.7)), ("kernel.v", wave(18, 0.3, 0.9))]);
    let y = &lab.run()["y"];
    agrees("row 2", &y[12..18], &[0.131660, -0.018956, -0.005623, 0.045118, 0.025302, 0.299288]);
    agrees("sum", &[total(y)], &[0.822341]);
}

#[test]
fn modulated_convolutions() {
    let text = "use std::stylegan2
        net holder()(at: int) -> [channel: 2, height: 4, width: 4] { weight v: [channel: 2, height: 4, width: 4] = 0 return v }
        net kernels()(at: int) -> [out: 3, channel: 2, row: 3, column: 3] { weight v: [out: 3, channel: 2, row: 3, column: 3] = 0 return v }
        net styles()(at: int) -> [channel: 2] { weight v: [channel: 2] = 0 return v }
        model given = holder()
        model kernel = kernels()
        model style = styles()
        let plain = stylegan2::modulated_conv(given(0), kernel(0), style(0))
        let larger = stylegan2::modulated_conv(given(0), kernel(0), style(0), how: up)";
    let values = [("given.v", wave(32, 0.1, 0.7)), ("kernel.v", wave(54, 0.3, 0.9)), ("style.v", vec![1.2, 0.7])];
    let found = Lab::new(text, &["plain", "larger"], 1, &values).run();
    agrees("plain", &found["plain"], &[-0.158449, -0.371525, -0.581837, -0.262456]);
    assert!((total(&found["plain"]) - 0.10177).abs() < 6e-6);
    agrees("larger", &found["larger"], &[0.102026, 0.151495, 0.153399, 0.119962]);
    assert!((total(&found["larger"]) + 0.61842).abs() < 6e-6, "{}", total(&found["larger"]));
}

#[test]
fn density_ratios() {
    let text = "use std::kde
        net holder()(at: int) -> [place: 4, feature: 3] { weight v: [place: 4, feature: 3] = 0 return v }
        model real = holder()
        model fake = holder()
        let p = unit(real(0), over: feature)
        let q = unit(fake(0), over: feature)
        let own = index(place: 4)
        let ratio_real = kde::log_density(p, p[place -> anchor], 1, skip: own) - kde::log_density(p, q[place -> anchor], 1)
        let ratio_fake = kde::log_density(q, p[place -> anchor], 1) - kde::log_density(q, q[place -> anchor], 1, skip: own)
        let critic = mean(relu(1 + ratio_fake)) + mean(relu(1 - ratio_real))
        let generator = -mean(ratio_fake)";
    let values = [("real.v", wave(12, 0.1, 0.53)), ("fake.v", wave(12, 1.1, 0.77))];
    let found = Lab::new(text, &["ratio_real", "ratio_fake", "critic", "generator"], 1, &values).run();
    agrees("real", &found["ratio_real"], &[-0.447343, -0.581299, -0.171386, -0.046727]);
    agrees("fake", &found["ratio_fake"], &[0.080361, 0.945875, 0.430590, 0.010465]);
    agrees("critic", &found["critic"], &[2.678512]);
    agrees("generator", &found["generator"], &[-0.366823]);
}

#[test]
fn exact_gelu() {
    let text = "net holder()(at: int) -> [place: 4] { weight v: [place: 4] = 0 return v }
        model given = holder()
        let y = gelu(given(0))";
    let found = Lab::new(text, &["y"], 1, &[("given.v", vec![-2.0, -0.5, 0.3, 1.7])]).run();
    agrees("gelu", &found["y"], &[-0.0455003, -0.154269, 0.185373, 1.624239]);
}

#[test]
fn an_order_sorts() {
    let text = "net holder()(at: int) -> [place: 2, feature: 4] { weight v: [place: 2, feature: 4] = 0 return v }
        model given = holder()
        let x = given(0)
        let y = x[feature: order(x, along: feature)[feature -> key]]";
    let data = vec![3.0, -1.0, 2.0, 0.5, 7.0, 9.0, 8.0, -2.0];
    let found = Lab::new(text, &["y"], 1, &[("given.v", data)]).run();
    agrees("sorted", &found["y"], &[-1.0, 0.5, 2.0, 3.0, -2.0, 7.0, 8.0, 9.0]);
}

#[test]
fn an_optimiser_takes_the_gradient_of_a_batch() {
    let text = "net holder()(at: int) -> [feature: 2] { weight v: [one: 3, feature: 2] = 0 return v[one: at] }
        net own()(at: int) -> [feature: 2] { weight v: [feature: 2] = 0 return v }
        model given = holder()
        model w = own()
        model rule = adam(1/10)
        let score = dot(w(0), given(sample_index()), over: feature)
        let y = rule(w(0), grad(score, wrt: w(0)))";
    let lab = {
        let mut lab = Lab::new(text, &["y"], 3, &[("given.v", vec![1.0, 2.0, 3.0, -4.0, 5.0, -6.0]), ("w.v", vec![0.5, 0.25])]);
        for (path, data) in [("rule.m", vec![0.0; 2]), ("rule.v", vec![0.0; 2]), ("rule.t", vec![0.0])] {
            lab.values.insert(path.into(), data);
        }
        lab.graph = segc_compiler::differentiate(&lab.graph);
        lab
    };
    let found = lab.run();
    // The first step of Adam is as long as the rate, against the sign of the summed gradient (9, -8).
    agrees("weights", &found["y"], &[0.4, 0.35]);
    agrees("first moments", &found["next.rule.m"], &[0.9, -0.8]);
}

#[test]
fn slopes_at_zero_are_those_of_pytorch() {
    let text = "net holder()(at: int) -> [place: 2] { weight v: [place: 2] = 0 return v }
        model given = holder()
        let x = given(0)
        let a = grad(sum(relu(x)), wrt: x)
        let b = grad(sum(lrelu(x)), wrt: x)
        let c = grad(sum(unit(x) * index(place: 2)), wrt: x)";
    let mut lab = Lab::new(text, &["a", "b", "c"], 1, &[("given.v", vec![0.0, 0.0])]);
    lab.graph = segc_compiler::differentiate(&lab.graph);
    let found = lab.run();
    agrees("relu", &found["a"], &[0.0, 0.0]);
    agrees("lrelu", &found["b"], &[0.2, 0.2]);
    assert!(found["c"].iter().all(|slope| slope.is_finite()), "{:?}", found["c"]);
}

/// PerturbGAN's growing block from 64 pixels on has a quarter of its kernel and all of its bias.
#[test]
fn a_fused_block_keeps_its_bias() {
    let text = |fused: bool| {
        format!(
            "use std::stylegan
            net holder()(at: int) -> [channel: 1, height: 2, width: 2] {{ weight v: [channel: 1, height: 2, width: 2] = 0 return v }}
            net code()(at: int) -> [place: 2, feature: 1] {{ weight v: [place: 2, feature: 1] = 0 return v }}
            model given = holder()
            model style = code()
            model block = stylegan::style_block(1, first: false, fused: {fused})
            let y = block(given(0), style(0))"
        )
    };
    let weights = |scale: f64| {
        let mut values = vec![("given.v", vec![0.3, -0.2, 0.9, 0.4]), ("style.v", vec![0.7, -0.4])];
        values.push(("block.conv_1.w", scaled(scale, wave(9, 0.3, 0.9))));
        values.extend([("block.conv_1.b", vec![0.8]), ("block.conv_2.w", wave(9, 0.1, 0.4)), ("block.conv_2.b", vec![0.1])]);
        values.extend([("block.noise_1.gain", vec![0.0]), ("block.noise_2.gain", vec![0.0])]);
        for (path, at) in [("block.adain_1.gain.w", 0.4), ("block.adain_1.gain.b", 1.0), ("block.adain_1.shift.w", -0.3)] {
            values.push((path, vec![at]));
        }
        values.extend([("block.adain_1.shift.b", vec![0.2]), ("block.adain_2.gain.w", vec![0.6]), ("block.adain_2.gain.b", vec![1.1])]);
        values.extend([("block.adain_2.shift.w", vec![0.5]), ("block.adain_2.shift.b", vec![-0.1])]);
        values
    };
    let run = |fused: bool, scale: f64| {
        let mut lab = Lab::new(&text(fused), &["y"], 1, &weights(scale));
        lab.clock = true;
        lab.run()["y"].clone()
    };
    agrees("four times the kernel", &run(true, 4.0), &run(false, 1.0));
}

/// Gradient penalty and R1 through StyleGAN critic blocks: derivatives of the weights against central differences in f64.
#[test]
fn penalties_through_stylegan_critic_blocks_agree_with_finite_differences() {
    let text = "use std::gan, std::stylegan1
        net holder()(at: int) -> [channel: 3, height: 8, width: 8] {
            weight v: [one: 3, channel: 3, height: 8, width: 8] = 0
            return v[one: at]
        }
        net network()(picture: [channel, height, width]) -> real {
            part block = stylegan1::critic_block(4)
            part end = stylegan1::critic_end(1, wide: 5)
            return end(block(picture))[feature: 0]
        }
        model given = holder()
        model critic = network()
        let x = given(sample_index())
        let penalty = mean(batch(10 * (gan::slope(critic, x) - 1)^2, as: other))
        let r1 = mean(batch(gan::r1(critic, x, strength: 1/2), as: other))";
    let values = [
        ("given.v", wave(576, 0.1, 0.41)),
        ("critic.block.conv_0.w", wave(81, 0.3, 0.9)),
        ("critic.block.conv_0.b", scaled(0.1, wave(3, 0.2, 0.6))),
        ("critic.block.conv_1.w", wave(108, 0.5, 0.33)),
        ("critic.block.bias", scaled(0.1, wave(4, 0.1, 0.4))),
        ("critic.end.conv_0.w", wave(180, 0.7, 0.8)),
        ("critic.end.conv_0.b", scaled(0.1, wave(4, 0.9, 0.4))),
        ("critic.end.dense_0.w", wave(320, 0.2, 0.7)),
        ("critic.end.dense_0.b", scaled(0.1, wave(5, 0.4, 0.3))),
        ("critic.end.dense_1.w", wave(5, 0.6, 0.5)),
        ("critic.end.dense_1.b", vec![0.05]),
    ];
    for goal in ["penalty", "r1"] {
        let mut lab = Lab::new(text, &[goal], 3, &values);
        lab.graph = segc_compiler::differentiate(&lab.graph);
        let paths: Vec<&str> =
            values.iter().map(|(path, _)| *path).filter(|path| !path.ends_with("dense_1.b") && path.starts_with("critic")).collect();
        let mut sloped = Lab { spec: lab.spec.clone(), graph: lab.graph.clone(), values: lab.values.clone(), clock: false };
        differentiate(&mut sloped, goal, &paths);
        let found = sloped.run();
        for path in &paths {
            let slope = &found[&format!("d {path}")];
            for place in (0..slope.len()).step_by(slope.len().div_ceil(3)) {
                let mut moved = |by: f64| {
                    lab.values.get_mut(*path).expect("a path")[place] += by;
                    let value = lab.run()[goal][0];
                    lab.values.get_mut(*path).expect("a path")[place] -= by;
                    value
                };
                let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let error = (slope[place] - difference).abs() / (1.0 + difference.abs());
                assert!(error < 1e-6, "{goal}, {path} at {place}: {} instead of {difference}", slope[place]);
            }
        }
    }
}

const SCORES: &str = "use std::metrics
    net holder()(at: int) -> mask {
        weight v: [one: 2, height: 4, width: 4] = 0
        return v[one: at]
    }
    model scores = holder()
    model truth = holder()
    let measures = metrics::f_measures(scores(sample_index()), truth(sample_index()))
    let own = max(measures)
    let shared = max(mean(batch(measures, as: other), over: other))
";

/// Two images whose F-measures the sheet works out: the best threshold of each, and the best one for both.
#[test]
fn the_maximal_f_measure_has_one_threshold_for_all_images() {
    let scores = [
        [0.9, 0.8, 0.7, 0.1, 0.6, 0.95, 0.2, 0.1, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.55],
        [0.4, 0.4, 0.1, 0.1, 0.1, 0.9, 0.5, 0.8, 0.1, 0.45, 0.3, 0.9, 0.1, 0.1, 0.6, 0.1],
    ];
    let objects = [[1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0]];
    let truth = objects.concat().into_iter().map(f64::from).collect();
    let lab = Lab::new(SCORES, &["own", "shared"], 2, &[("scores.v", scores.concat()), ("truth.v", truth)]);
    let found = lab.run();
    agrees("of each", &found["own"], &[0.928571, 0.833333]);
    agrees("of both", &found["shared"][..1], &[0.870536]);
}
