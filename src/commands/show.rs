//! `segc show`: what each stage makes of a spec, as stable text.

use segc_compiler::plan::finish;
use segc_compiler::{Graph, Request, build, differentiate, fuse, show, simplify};

use segc_lang::elaborate;
use segc_lang::params::{Moment, Overrides};
use segc_lang::source::Sources;
use segc_lang::spec::{Spec, TermId};
use segc_runtime::execute::cuda::print::{Precision, printed};
use segc_runtime::execute::replaced;
use segc_runtime::outcome::RunError;
use segc_runtime::train::Specs;
use segc_runtime::train::cost::stored;

use crate::cli::{Show, Stage};
use crate::commands::summary;
use crate::compiled::{Compiled, Moments, compiled, failed_at, misused};
use crate::console::{self, Exit};

/// Prints the stage.
pub fn show(args: &Show) -> Exit {
    attempt(args).map_or_else(|exit| exit, |()| Exit::Done)
}

fn attempt(args: &Show) -> Result<(), Exit> {
    let graphs = matches!(args.stage, Stage::Graph | Stage::Derivative | Stage::Simple);
    if args.dot && !graphs {
        return Err(misused("--dot draws graphs: the stages graph, derivative and simple"));
    }
    let (path, variants) = args.spec.split().map_err(|why| misused(&why))?;
    let overrides = Overrides { variants, sets: args.spec.sets.clone(), ..Overrides::default() };
    let ready = compiled(&path, &overrides, true)?;
    let moments = Moments { checked: &ready.checked, overrides };
    let parts = parts(args, &ready, &moments).map_err(|error| failed_at(error, &ready.checked.modules.sources))?;
    console::out(&if args.json { json(args.stage, &parts) } else { text(&parts) });
    Ok(())
}

/// A named piece of what a stage makes.
struct Part {
    name: String,
    text: String,
}

fn parts(args: &Show, ready: &Compiled, moments: &Moments) -> Result<Vec<Part>, RunError> {
    let whole = |text: String| vec![Part { name: String::new(), text }];
    let modules = &ready.checked.modules;
    match args.stage {
        Stage::Syntax => Ok(whole(format!("{:#?}\n", modules.list[modules.root.0].file))),
        Stage::Spec => Ok(whole(elaborate::show(&ready.spec))),
        Stage::Summary => Ok(whole(summary::text(&stored(&ready.spec, moments)?))),
        _ => {
            let mut parts = Vec::new();
            for (name, roots) in programs(&ready.spec) {
                parts.push(Part { name, text: compiled_part(args, ready, &ready.spec, &roots, &Request::default())? });
            }
            for (number, _) in ready.spec.phases.iter().enumerate().filter(|(_, phase)| phase.length.amount > 0.0) {
                let spec = moments.at(Moment::Phase { number, training: true })?;
                let phase = &spec.phases[number];
                let request = Request { batch: Some(phase.batch), states: true };
                for update in phase.updates() {
                    if let Some(terms) = &update.terms {
                        let text = compiled_part(args, ready, &spec, &terms.roots(&spec.weights), &request)?;
                        parts.push(Part { name: format!("phase {}, {}", phase.name, update.loss), text });
                    }
                }
            }
            Ok(parts)
        }
    }
}

/// The text of a stage behind the language for some terms.
fn compiled_part(args: &Show, ready: &Compiled, spec: &Spec, roots: &[(String, TermId)], request: &Request) -> Result<String, RunError> {
    let sources = &ready.checked.modules.sources;
    let built = build(spec, roots, request).map_err(|fault| RunError::Spec(Box::new(fault)))?;
    if args.stage == Stage::Graph {
        return Ok(graph(args, &built, sources));
    }
    let differentiated = differentiate(&built);
    if args.stage == Stage::Derivative {
        return Ok(graph(args, &differentiated, sources));
    }
    let simple = simplify(&differentiated);
    if args.stage == Stage::Simple {
        return Ok(graph(args, &simple, sources));
    }
    if args.stage == Stage::Kernels {
        return Ok(show::kernels(&fuse(&simple, true)));
    }
    let over = if request.batch.is_some() { replaced(spec, &built) } else { Vec::new() };
    let program = finish(built, true, &over);
    Ok(if args.stage == Stage::Cuda { printed(&program, Precision::F32).to_string() } else { show::program(&program) })
}

fn graph(args: &Show, graph: &Graph, sources: &Sources) -> String {
    if args.dot { show::dot(graph) } else { show::graph(graph, sources) }
}

/// What is compiled together, by name: the beginning and a step of each member of a solve, then outputs and evaluations.
fn programs(spec: &Spec) -> Vec<(String, Vec<(String, TermId)>)> {
    let mut programs = Vec::new();
    for member in spec.solves.iter().flat_map(|solve| &solve.members) {
        let first = member.states.iter().map(|state| (state.name.clone(), state.first)).collect();
        let next = member.states.iter().map(|state| (state.name.clone(), state.next));
        programs.push((format!("{} at the beginning", member.name), first));
        programs.push((format!("{}, one step", member.name), next.chain(member.watched.iter().cloned()).collect()));
    }
    let outputs = spec.output.iter().map(|output| (output.name.clone(), output.value));
    let measured = spec.evals.iter().flat_map(|eval| eval.values.iter().map(|(name, id)| (format!("{}.{name}", eval.name), *id)));
    let last: Vec<(String, TermId)> = outputs.chain(measured).collect();
    if !last.is_empty() {
        programs.push(("outputs and evaluations".into(), last));
    }
    programs
}

fn text(parts: &[Part]) -> String {
    let one = |part: &Part| if part.name.is_empty() { part.text.clone() } else { format!("// {}\n{}", part.name, part.text) };
    parts.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn json(stage: Stage, parts: &[Part]) -> String {
    let one = |part: &Part| serde_json::json!({ "name": part.name, "lines": part.text.lines().collect::<Vec<_>>() });
    let parts: Vec<_> = parts.iter().map(one).collect();
    let name = format!("{stage:?}").to_lowercase();
    format!("{:#}\n", serde_json::json!({ "stage": name, "parts": parts }))
}
