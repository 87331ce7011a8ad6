//! Every stage of a small optimisation as text: the shape of the whole pipeline in one place.

use segc_compiler::{Request, build, differentiate, fuse, plan, show, simplify};
use segc_lang::params::Overrides;
use segc_lang::source::{LoadError, Loader};
use segc_lang::spec::{Spec, TermId};

const EVEN: &str = r#"
param size = 4
data images = pictures() |> shorter_side(size) |> center_crop(size)
let x = images.image

/// A blur of three taps down the picture.
fn blur(y: image) -> image = sum(1 / 3 * translate(y, right: 0, down: k) for k in -1..2)

solve cut for 3 steps {
    state m = indicator(spread(index(height: size), width: size) >= 2)
    let centre = sum(x * m, over: [height, width]) / (sum(m) + 1)
    let energy = sum(m * (blur(x * m) - centre)^2)
    next m = indicator(grad(energy, wrt: m) < 0)
}
output masks = cut.m over images
"#;

struct Nothing;

impl Loader for Nothing {
    fn load(&self, _: &str, _: &str) -> Result<(String, String), LoadError> {
        Err(LoadError::Missing(Vec::new()))
    }
}

fn spec() -> (Spec, segc_lang::modules::Modules) {
    let checked = segc_lang::compile("even.seg", EVEN, &Nothing, &Overrides::default());
    assert!(checked.faults.is_empty(), "{:?}", checked.faults);
    (checked.spec.expect("a spec"), checked.modules)
}

fn roots(spec: &Spec) -> Vec<(String, TermId)> {
    let member = &spec.solves[0].members[0];
    let next = member.states.iter().map(|state| (format!("next {}", state.name), state.next));
    next.chain(member.watched.iter().cloned()).collect()
}

#[test]
fn stages_as_text() {
    let (spec, modules) = spec();
    let graph = build(&spec, &roots(&spec), &Request::default()).expect("a graph");
    insta::assert_snapshot!("graph", show::graph(&graph, &modules.sources));
    let derivative = differentiate(&graph);
    insta::assert_snapshot!("derivative", show::graph(&derivative, &modules.sources));
    let simple = simplify(&derivative);
    insta::assert_snapshot!("simple", show::graph(&simple, &modules.sources));
    let kernels = fuse(&simple, true);
    insta::assert_snapshot!("kernels", show::kernels(&kernels));
    insta::assert_snapshot!("program", show::program(&plan(&kernels)));
}

#[test]
fn unfused_kernels_hold_one_op_each() {
    let (spec, _) = spec();
    let simple = simplify(&differentiate(&build(&spec, &roots(&spec), &Request::default()).expect("a graph")));
    let (fused, unfused) = (fuse(&simple, true), fuse(&simple, false));
    assert!(fused.list.len() * 3 < unfused.list.len(), "{} and {}", fused.list.len(), unfused.list.len());
    assert!(plan(&fused).cost().bytes * 2 < plan(&unfused).cost().bytes);
}

#[test]
fn a_sum_over_moved_copies_is_one_stencil() {
    let (spec, _) = spec();
    let simple = simplify(&differentiate(&build(&spec, &roots(&spec), &Request::default()).expect("a graph")));
    let stencils = simple.ids().filter(|id| simple.node(*id).op.name() == "stencil").count();
    // Three channels, forwards and backwards.
    assert_eq!(stencils, 6);
}
