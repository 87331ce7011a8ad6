//! Networks of the library have as many parameters as the authors' code.

mod lab;

/// Parameters of the weights below a path when `wanted` is computed.
fn count(text: &str) -> usize {
    let spec = lab::elaborated(text, &["y"], 2);
    let elements = |weight: &segc_lang::spec::Weight| weight.ty.axes.iter().map(|(_, size)| size).product::<usize>();
    spec.weights.iter().filter(|weight| weight.path.starts_with("subject.")).map(elements).sum()
}

/// The same of states.
fn states(text: &str) -> usize {
    let spec = lab::elaborated(text, &["y"], 2);
    let elements = |buffer: &segc_lang::spec::Buffer| buffer.ty.axes.iter().map(|(_, size)| size).product::<usize>();
    spec.buffers.iter().filter(|buffer| buffer.path.starts_with("subject.")).map(elements).sum()
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

#[test]
fn vision_transformers() {
    let net = |net: &str, result: &str| on_images(224, "std::vit", net).replace("subject(images.image)", result);
    assert_eq!(count(&net("vit::encoder()", "subject(images.image).tokens")), 21_670_272);
    // The published file holds the two tables of fixed places as well.
    let large = count(&net(
        "vit::autoencoder(size: large)",
        "subject(images.image, keep: images.image[channel: 0, height: 0..14, width: 0..14]).image",
    ));
    assert_eq!(large + 197 * (1024 + 512), 329_541_888);
}

#[test]
fn heads_of_move() {
    let head = |channels: usize, side: usize, net: &str| {
        let below = format!("resize(images.image, to: [{side}, {side}])");
        let features = format!("spread({below}[channel: 0], channel: {channels})");
        on_images(224, "std::upsampling", net).replace("subject(images.image)", &format!("subject({features})"))
    };
    assert_eq!(count(&head(384, 28, "upsampling::head()")), 1_181_505 + 768);
    assert_eq!(count(&head(384, 28, "upsampling::head(deep: 2, normalise: false)")), 1_957_377);
    assert_eq!(count(&head(1024, 14, "upsampling::head(doubled: 4, normalise: false)")), 6_491_649);
}

#[test]
fn a_projected_critic() {
    let taps =
        on_images(224, "std::efficientnet", "efficientnet::lite0()").replace("subject(images.image)", "subject(images.image).taps[3]");
    assert_eq!(count(&taps), 2_958_848);
    let tap = |channels: usize, side: usize| format!("spread(resize(images.image, to: [{side}, {side}])[channel: 0], channel: {channels})");
    let list = [tap(24, 56), tap(40, 28), tap(112, 14), tap(320, 7)].join(", ");
    let text = on_images(224, "std::gan", "gan::projected_heads()").replace("subject(images.image)", &format!("subject([{list}])"));
    assert_eq!(count(&text), 10_331_328);
    // Vectors of spectral norm and running statistics are states as well; what is left are the random projections.
    let widths = [vec![64, 64, 128, 256, 512], vec![64, 128, 256, 512], vec![128, 256, 512], vec![256, 512]];
    let vectors: usize = widths.iter().flat_map(|widths| widths.windows(2)).map(|pair| pair[1] + 16 * pair[0] + 2 * pair[1]).sum();
    assert_eq!(states(&text) - vectors - 4 * (1 + 16 * 512), 376_768);
}
