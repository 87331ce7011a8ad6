//! Networks of the library have as many parameters as the authors' code.

mod lab;

/// Parameters of the weights below a path when `wanted` is computed.
fn count(text: &str) -> usize {
    let spec = lab::elaborated(text, &["y"], 2);
    let elements = |weight: &segc_lang::spec::Weight| weight.ty.axes.iter().map(|(_, size)| size).product::<usize>();
    spec.weights.iter().filter(|weight| weight.path.starts_with("subject.")).map(elements).sum()
}

/// A spec in which `net` is applied to images of a side.
fn on_images(side: usize, uses: &str, net: &str) -> String {
    format!(
        "use {uses}
        data images = pictures() |> shorter_side({side}) |> center_crop({side})
        model subject = {net}
        let y = subject(images.image)"
    )
}

#[test]
fn perturbgan() {
    for (side, generators, critic) in [
        (8, 22_587_911, 11_281_409),
        (16, 34_130_439, 16_001_025),
        (32, 45_672_967, 20_720_641),
        (64, 50_262_791, 24_259_585),
        (128, 51_672_967, 25_144_321),
    ] {
        let painter = |channels: usize| {
            format!(
                "use std::stylegan
                draw z ~ normal[feature: 512]
                model subject = stylegan::generator({channels}, top: {side}, from: {side})
                let y = subject(z)"
            )
        };
        assert_eq!(count(&painter(3)) + count(&painter(4)), generators, "{side}");
        let judge = format!(
            "use std::stylegan
            data images = pictures() |> resize({side})
            model subject = stylegan::critic(top: {side}, from: {side})
            let y = subject(images.image).score"
        );
        assert_eq!(count(&judge), critic, "{side}");
    }
}

#[test]
fn perturbgan_encoder() {
    assert_eq!(count(&on_images(64, "std::resnet", "resnet::codes18(out: 10240)")), 32_158_272);
}

#[test]
fn redo() {
    let mask = |regions: usize| on_images(128, "std::segmenter", &format!("segmenter::pyramid(regions: {regions}, norm: instance)"));
    assert_eq!(count(&mask(2)), 274_966);
    assert_eq!(count(&mask(3)), 276_634);
    let critic = |attend: bool| on_images(128, "std::redo", &format!("redo::critic(attend: {attend}, init: orthogonal(gain: 0.8))"));
    assert_eq!(count(&critic(true)), 38_424_258);
    assert_eq!(count(&critic(false)), 38_419_137);
    assert_eq!(count(&on_images(128, "std::redo", "redo::regressor(regions: 2, size: 32, init: normal)")), 38_483_712);
    let painter = "use std::redo
        data images = pictures() |> shorter_side(128) |> center_crop(128)
        model subject = redo::region_generator(top: 128, base: 64, attend: true, init: normal)
        draw z ~ normal[feature: 32]
        let y = subject(images.image[channel: 0], z)";
    assert_eq!(count(painter), 30_933_791);
    assert_eq!(count(&painter.replace("base: 64", "base: 32")), 7_956_895);
}
