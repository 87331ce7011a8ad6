//! One step of every update of the methods equals a twin in PyTorch that was written from the description of the method
//! (`tests/twins/*.py`): losses, moments (with a first beta of zero they are the gradients), states, new weights.
//!
//! `SEGC_TWINS=FOLDER cargo test --test twins` writes what a twin is given into a folder instead of comparing; `tests/twins/README.md`
//! says how results are made from it.

use std::path::Path;

use twin::{Case, Definitions, Size};

mod twin;

const PERTURBGAN: &[(&str, &str)] =
    &[("resolution", "16"), ("widest", "6"), ("latent", "6"), ("batch_n", "4"), ("grow_for", "1000"), ("jitter", "0.3"), ("chunks", "0")];
const ENCODER: &[(&str, &str)] = &[("resolution", "16"), ("widest", "6"), ("latent", "6"), ("chunks", "1"), ("base_E", "2")];
const IEM_NET: &[(&str, &str)] = &[("size", "16"), ("base_2", "2")];
const REDO: &[(&str, &str)] = &[("size", "16"), ("base", "4"), ("base_D", "8"), ("base_F", "2"), ("nz", "3"), ("batch_n", "3")];
/// The critic halves its finest map five times and ends with windows of 4 x 4: no smaller side will do. Masks are to be larger than
/// they are, so that the loss of small ones has a slope.
const MOVE: &[(&str, &str)] = &[
    ("size", "128"),
    ("tap", "0"),
    ("least", "0.9"),
    ("narrowest", "2"),
    ("batch_n", "2"),
    ("dino_file", "dino.pth"),
    ("mae_file", "mae.pth"),
    ("eye_file", "lite0.safetensors"),
];
/// The networks of the method with few features and blocks. EfficientNet's stages are those of the library, one block each.
const MOVE_SMALL: &[(&str, &str)] = &[
    (
        "vit::autoencoder(size: body, patch: patch)",
        "vit::autoencoder(patch: patch, features: 8, depth: 2, heads: 2, back_features: 8, back_depth: 1, back_heads: 2)",
    ),
    ("vit::encoder(size: small, patch: 8)", "vit::encoder(patch: 8, grid: 16, features: 8, depth: 2, heads: 2)"),
    (
        "frozen model eye  = efficientnet::lite0()               from eye_file  names efficientnet::timm_names",
        "net eye_small()(x: image) -> { taps: list } {
            part stem = efficientnet::conv_same(4, stride: 2)
            part norm = nn::batch_norm(eps: 1e-3)
            part block[i in 0..5] =
                efficientnet::stage(2 + i, times: 1 + min(i, 1), kernel: 3 + 2 * mod(i, 2), stride: min(1 + i, 2), plain: i == 0)
            let h[0] = efficientnet::relu6(norm(stem(x)))
            let h[i in 1..6] = block[i - 1](h[i - 1])
            return { taps: [h[2], h[3], h[4], h[5]] }
        }
        frozen model eye = eye_small()",
    ),
    ("use std::augment,", "use std::nn, std::augment,"),
    ("gan::projected_heads()", "gan::projected_heads(2)"),
];

#[test]
fn perturbgan_discriminator() {
    small(Case { name: "perturbgan-discriminator", loss: "discriminator", ..perturbgan() });
}

#[test]
fn perturbgan_generator() {
    small(Case { name: "perturbgan-generator", loss: "generator", ..perturbgan() });
}

#[test]
fn redo_generator() {
    small(Case { name: "redo-generator", loss: "generator", ..redo() });
}

#[test]
fn redo_discriminator() {
    small(Case { name: "redo-discriminator", loss: "discriminator", ..redo() });
}

/// The second stage of PerturbGAN: the encoder of a chunk of images, through frozen generators and the critic's features.
#[test]
fn perturbgan_reconstruction() {
    let told = &[("fade", 1.0), ("side", 16.0)];
    let case = Case { name: "perturbgan-reconstruction", loss: "reconstruction", sets: sets(ENCODER), phase: 3, ..perturbgan() };
    small(Case { batch: 20, elapsed: 0.0, told, ..case });
}

/// The second stage of IEM: a network imitates masks.
#[test]
fn iem_net_imitate() {
    small(Case { name: "iem_net-imitate", spec: "iem_net", loss: "imitate", sets: sets(IEM_NET), batch: 32, ..redo() });
}

#[test]
fn move_critic() {
    small(Case { name: "move-spot", loss: "spot", ..moved() });
}

#[test]
fn move_head() {
    small(Case { name: "move-object", loss: "object", ..moved() });
}

fn perturbgan() -> Case {
    let told = &[("fade", 0.3), ("side", 16.0)];
    Case { spec: "perturbgan", sets: sets(PERTURBGAN), phase: 1, batch: 4, elapsed: 150.0, told, size: Size::Even(1.0), ..redo() }
}

fn redo() -> Case {
    let (sets, size) = (sets(REDO), Size::Even(0.3));
    Case { name: "", spec: "redo", sets, instead: &[], phase: 0, loss: "", batch: 3, elapsed: 0.0, told: &[], size }
}

/// A thousand steps into the adversarial phase: two fifths of the way to the full weight of binarisation.
fn moved() -> Case {
    let told = &[("least", 0.9), ("ramp", 0.4)];
    Case { spec: "move", sets: sets(MOVE), instead: MOVE_SMALL, phase: 1, batch: 2, elapsed: 1000.0, told, size: Size::ByFan, ..redo() }
}

fn sets(all: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    all.iter().map(|(name, value)| (*name, (*value).to_string())).collect()
}

fn small(case: Case) {
    twin::check(&case, &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/twins"), &Definitions);
}
