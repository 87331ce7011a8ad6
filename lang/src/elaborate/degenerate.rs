//! Trivial optima that are known from the papers, found on the text of losses, scenes and data.

use std::rc::Rc;

use super::Elaborator;
use super::reading::{At, Reading};
use super::value::{Def, Scene, Value};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::source::Span;
use crate::syntax::{
    Argument, Binding, Expr, ExprKind, Item, ItemKind, Path, Perturb, Statement, StatementKind, TrainKind, TrainStatement,
};

/// A loss, the models that it trains, and what it reads.
struct Trained<'m> {
    models: Vec<&'m str>,
    reading: Reading<'m>,
}

/// A layer, the place of its image, and the calls of generators that paint it: model and text.
type Painted<'m> = (&'m str, Span, Vec<(&'m str, String)>);

/// A step of a data pipeline: its name and arguments.
type Step<'m> = (&'m str, Vec<(&'m Argument, At<'m>)>);

impl<'m> Elaborator<'m> {
    /// Warns of optima that teach nothing.
    pub fn check_degenerate(&mut self, items: &[(ModuleId, &'m Item)]) {
        self.calls.clear();
        let trained = self.trained(items);
        for (module, item) in items {
            if let ItemKind::Scene(_, statements) = item.kind() {
                self.check_painters(*module, item, statements);
            }
        }
        if trained.is_empty() {
            return;
        }
        let redrawn = self.check_recovery(items, &trained);
        if !redrawn {
            self.check_area(&trained);
        }
        self.check_margin(&trained);
        self.check_critics(items, &trained);
    }

    /// The losses of all phases.
    fn trained(&mut self, items: &[(ModuleId, &'m Item)]) -> Vec<Trained<'m>> {
        let mut all = Vec::new();
        for (module, item) in items {
            let ItemKind::Train(train) = item.kind() else { continue };
            for (models, by) in updates(&train.statements) {
                let mut reading = Reading::default();
                let Some(found) = self.modules.find_path(*module, by).map(<[_]>::to_vec) else { continue };
                for id in found {
                    if let ItemKind::Loss(binding) = self.modules.item(id).kind() {
                        self.read(&At::new(&binding.value, &self.module_scope(id.module)), &mut reading);
                    }
                }
                let models = models.iter().filter_map(|model| model.segments.first()).map(|name| name.text.as_str()).collect();
                all.push(Trained { models, reading });
            }
        }
        all
    }

    /// A mask that nothing keeps from vanishing.
    fn check_area(&mut self, trained: &[Trained<'m>]) {
        if trained.iter().any(|loss| !loss.reading.bounds.is_empty()) {
            return;
        }
        let rendered = trained.iter().flat_map(|loss| &loss.reading.rendered).filter(|(scene, _)| scene.base.is_some());
        let rendered: Vec<_> = rendered.cloned().collect();
        let Some((scene, span)) = rendered.into_iter().find(|(scene, span)| self.learns_mask(scene, *span)) else { return };
        let message = format!("nothing keeps the mask of `{}` from being empty", root(&scene).name);
        let idle = trained.iter().flat_map(|loss| &loss.reading.idle_bounds).next().copied();
        let mut fault = Fault::warning("empty-mask", message, self.own_place(span), "with an empty mask this is the background alone");
        if let Some(idle) = idle.filter(|idle| self.own_place(*idle) == *idle) {
            fault = fault.also(idle, "this is zero, so the term for it does nothing");
        }
        let help = "No foreground, nothing to give away. In MOVE's paper a run without the smallest area ends at IoU 0.00, the default at \
                    0.82. Add a term such as `2 * mask::too_small(m, least: 0.1)` to the loss that trains the mask.";
        self.fault(fault.help(help));
    }

    /// Whether a mask of a scene comes from a model, as far as is known.
    fn learns_mask(&mut self, scene: &Rc<Scene<'m>>, span: Span) -> bool {
        let layers = match self.layers(scene, span) {
            Ok(Value::List(layers)) => layers,
            outcome => return outcome.is_err(),
        };
        layers.iter().any(|layer| {
            let Value::Record(fields) = layer else { return false };
            fields.iter().any(|(name, value)| matches!(value, Value::Tensor(mask) if name == "mask" && self.knows_weights(*mask)))
        })
    }

    /// Regions that are painted anew from a draw that nobody has to recover. Whether there are such perturbations.
    fn check_recovery(&mut self, items: &[(ModuleId, &'m Item)], trained: &[Trained<'m>]) -> bool {
        let mut any = false;
        for (module, item) in items {
            let ItemKind::Perturb(perturb) = item.kind() else { continue };
            let Some(slot) = self.redraws(*module, perturb) else { continue };
            any = true;
            let name = perturb.binder.name.text.as_str();
            if trained.iter().any(|loss| loss.reading.latents.contains(&name)) {
                continue;
            }
            let message = format!("nothing has to recover what `{name}` draws");
            let mut fault = Fault::warning("unrecovered-draw", message, slot, "painted anew from a draw");
            if let Some(idle) = trained.iter().flat_map(|loss| &loss.reading.idle_latents).next() {
                fault = fault.also(*idle, "this is zero, so the term for it does nothing");
            }
            let help = "One region that holds the whole image is then an optimum: nothing of the photograph is left to betray the other. \
                        ReDO's paper reports that such runs always end there. Let a regressor find the draw in the redrawn image, as in \
                        `5 * mean((z - delta(seen))^2)`.";
            self.fault(fault.help(help));
        }
        any
    }

    /// The slot of a perturbation whose image a model paints from a draw of the perturbation.
    fn redraws(&mut self, module: ModuleId, perturb: &'m Perturb) -> Option<Span> {
        let drawn: Vec<&str> = perturb.statements.iter().flat_map(binders).collect();
        let scope = self.module_scope(module);
        perturb.statements.iter().find_map(|statement| {
            let StatementKind::Slot(_, _, value) = &statement.kind else { return None };
            let ExprKind::Call(function, given) = &*value.kind else { return None };
            let model = self.model_at(&At::new(function, &scope));
            let fed = given.iter().any(|argument| bare(&argument.value).is_some_and(|name| drawn.contains(&name)));
            (model.is_some() && fed).then_some(value.span)
        })
    }

    /// Photographs that are shown whole beside composites whose layers are moved.
    fn check_margin(&mut self, trained: &[Trained<'m>]) {
        let rendered = trained.iter().flat_map(|loss| &loss.reading.rendered);
        let Some(moved) = rendered.filter_map(|(scene, _)| shifting(scene).map(|span| (scene.name, span))).next() else { return };
        let mut told: Vec<Span> = Vec::new();
        let data: Vec<&'m Binding> = trained.iter().flat_map(|loss| &loss.reading.data).copied().collect();
        for binding in data {
            let Some(module) = self.modules.of_source(binding.value.span.source) else { continue };
            let pipeline = self.steps_of(&At::new(&binding.value, &self.module_scope(module)));
            let place = binding.binder.name.span;
            if self.crops(&pipeline) || told.contains(&place) {
                continue;
            }
            told.push(place);
            let name = &binding.binder.name.text;
            let message = format!("the real images of `{name}` are shown whole, while `{}` moves a layer", moved.0);
            let fault =
                Fault::warning("uncut-photographs", message, place, "not cropped at random, or without a margin").also(moved.1, "moved");
            let help = "A shift cuts objects at the border; where photographs are never cut, that alone tells them apart. In PerturbGAN's \
                        paper a run without crops ends at IoU 0.26, the default at 0.69. Leave a margin: \
                        `resize(floor(9/8 * side)) |> random_crop(side)`.";
            self.fault(fault.help(help));
        }
    }

    /// The steps of a data pipeline, the first one first; none where it does not begin with pictures.
    fn steps_of(&mut self, at: &At<'m>) -> Vec<Step<'m>> {
        let at = self.followed(at);
        match &*at.expr().kind {
            ExprKind::Pipe(first, step) => {
                let mut steps = self.steps_of(&at.part(first));
                steps.extend(step_of(step, &at));
                steps
            }
            ExprKind::Call(..) => step_of(at.expr(), &at).into_iter().collect(),
            _ => match self.data_at(&at) {
                Some((binding, module)) => self.steps_of(&At::new(&binding.value, &self.module_scope(module))),
                None => Vec::new(),
            },
        }
    }

    fn data_at(&self, at: &At<'m>) -> Option<(&'m Binding, ModuleId)> {
        let ExprKind::Path(path) = &*at.expr().kind else { return None };
        let module = self.modules.of_source(at.expr().span.source)?;
        let id = *self.modules.find_path(module, path)?.first()?;
        match self.modules.item(id).kind() {
            ItemKind::Data(binding) if !std::ptr::eq(&binding.value, at.expr()) => Some((binding, id.module)),
            _ => None,
        }
    }

    /// Whether pictures are cropped at random from something larger, as far as is known.
    fn crops(&mut self, steps: &[Step<'m>]) -> bool {
        if steps.first().is_none_or(|(name, _)| *name != "pictures") {
            return true;
        }
        let mut side = None;
        for (name, given) in steps {
            let first = given.iter().find(|(argument, _)| argument.label.is_none()).and_then(|(_, at)| self.known(at));
            match *name {
                "resize" | "shorter_side" | "center_crop" => side = first,
                "random_crop" => match (side, first) {
                    (Some(side), Some(crop)) if side <= crop => {}
                    _ => return true,
                },
                "random_resized_crop" => return true,
                _ => {}
            }
        }
        false
    }

    /// Layers that one call of a generator paints together.
    fn check_painters(&mut self, module: ModuleId, item: &'m Item, statements: &'m [Statement]) {
        let ItemKind::Scene(name, _) = item.kind() else { return };
        let Some(Value::Scene(scene)) = self.scene_value(&name.text, module) else { return };
        let mut painted: Vec<Painted<'m>> = Vec::new();
        for statement in statements {
            let StatementKind::Layer(layer) = &statement.kind else { continue };
            let ExprKind::Record(fields) = &*layer.value.kind else { continue };
            let Some((_, image)) = fields.iter().find(|(field, _)| field.text == "image") else { continue };
            let mut reading = Reading::default();
            self.read(&At::new(image, &scene.scope), &mut reading);
            let slice = |span: Span| self.modules.sources.slice(span).to_string();
            painted.push((&layer.binder.name.text, image.span, reading.made.iter().map(|(model, span)| (*model, slice(*span))).collect()));
        }
        for (place, (first, one, calls)) in painted.iter().enumerate() {
            let twin = painted[..place].iter().find_map(|(second, other, own)| {
                let call = calls.iter().find(|call| own.contains(call))?;
                Some((*second, *other, call.0))
            });
            let Some((second, other, model)) = twin else { continue };
            let message = format!("`{second}` and `{first}` of `{}` are painted by one call of `{model}`", name.text);
            let fault = Fault::warning("shared-generator", message, *one, format!("`{first}`")).also(other, format!("`{second}`"));
            let help = "One generator can make the layers agree, so that a shift shows less. In PerturbGAN's paper a single generator ends \
                        at IoU 0.55, two at 0.69. Give each layer a model of its own.";
            self.fault(fault.help(help));
            return;
        }
    }

    fn scene_value(&mut self, name: &str, module: ModuleId) -> Option<Value<'m>> {
        let ids = self.modules.list[module.0].names.get(name).cloned()?;
        let span = self.modules.item(*ids.first()?).span;
        self.items(name, &ids, span).ok()
    }

    /// A critic that never sees what is perturbed.
    fn check_critics(&mut self, items: &[(ModuleId, &'m Item)], trained: &[Trained<'m>]) {
        let perturbed: Vec<Rc<Scene<'m>>> = items.iter().filter_map(|(module, item)| self.perturbed(*module, item)).collect();
        for Trained { models, reading } in trained {
            for (model, scene, span) in &reading.seen {
                let own = models.contains(model) && scene.base.is_none();
                let is_perturbed = perturbed.iter().any(|base| Rc::ptr_eq(base, scene));
                let mut others = reading.seen.iter().filter(|(other, ..)| other == model);
                if !own || !is_perturbed || others.any(|(_, other, _)| other.base.is_some() && Rc::ptr_eq(&root(other), scene)) {
                    continue;
                }
                let message = format!("`{model}` sees `{}` only as it is, never perturbed", scene.name);
                let fault = Fault::warning("unperturbed-critic", message, self.own_place(*span), "not perturbed");
                let help = "What nobody looks at teaches nothing: any mask passes. In PerturbGAN's paper a run without the shift ends at \
                            IoU 0.04, the default at 0.69. Render the perturbation for the critic.";
                self.fault(fault.help(help));
                return;
            }
        }
    }

    /// The scene that an item perturbs in the first place.
    fn perturbed(&mut self, module: ModuleId, item: &'m Item) -> Option<Rc<Scene<'m>>> {
        let ItemKind::Perturb(perturb) = item.kind() else { return None };
        let base = self.scene_at(&At::new(&perturb.base, &self.module_scope(module)))?;
        Some(root(&base))
    }
}

/// The scene below all perturbations.
fn root<'m>(scene: &Rc<Scene<'m>>) -> Rc<Scene<'m>> {
    let mut here = scene.clone();
    while let Some(base) = here.base.clone() {
        here = base;
    }
    here
}

/// Models and losses of all updates.
fn updates(statements: &[TrainStatement]) -> Vec<(&[Path], &Path)> {
    let mut found = Vec::new();
    for statement in statements {
        match &statement.kind {
            TrainKind::Update(update) => found.push((update.models.as_slice(), &update.by)),
            TrainKind::Together(_, inner) | TrainKind::Every(_, inner) | TrainKind::Finally(inner) => found.extend(updates(inner)),
            _ => {}
        }
    }
    found
}

/// Names that a statement draws.
fn binders(statement: &Statement) -> Vec<&str> {
    match &statement.kind {
        StatementKind::Draw(draw) => draw.binders.iter().map(|binder| binder.name.text.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The name of `z` or `z[k]`.
fn bare(expr: &Expr) -> Option<&str> {
    match &*expr.kind {
        ExprKind::Bracket(inner, _) => bare(inner),
        ExprKind::Path(path) => path.segments.first().map(|name| name.text.as_str()),
        _ => None,
    }
}

/// Where a perturbation, or one below it, shifts a layer.
fn shifting(scene: &Scene<'_>) -> Option<Span> {
    let own = scene.scope.defs.iter().find_map(|def| match def {
        Def::Slot(Statement { kind: StatementKind::Slot(_, _, value), .. }) => shift_in(value),
        Def::Let(binding) => shift_in(&binding.value),
        _ => None,
    });
    let base = scene.base.as_ref()?;
    own.or_else(|| shifting(base))
}

/// A call of `shift` or `translate`.
fn shift_in(expr: &Expr) -> Option<Span> {
    match &*expr.kind {
        ExprKind::Call(function, given) => {
            let moves = bare(function).is_some_and(|name| ["shift", "translate"].contains(&name));
            if moves { Some(expr.span) } else { given.iter().find_map(|argument| shift_in(&argument.value)) }
        }
        ExprKind::Pipe(first, step) => shift_in(step).or_else(|| shift_in(first)),
        ExprKind::Record(fields) => fields.iter().find_map(|(_, value)| shift_in(value)),
        ExprKind::If(_, yes, no) => shift_in(yes).or_else(|| shift_in(no)),
        ExprKind::Binary(_, left, right) => shift_in(left).or_else(|| shift_in(right)),
        _ => None,
    }
}

/// A step of a pipeline: its name and arguments.
fn step_of<'m>(step: &'m Expr, at: &At<'m>) -> Option<Step<'m>> {
    let (function, given): (_, &[Argument]) = match &*step.kind {
        ExprKind::Call(function, given) => (function, given),
        _ => (step, &[]),
    };
    Some((bare(function)?, given.iter().map(|argument| (argument, at.part(&argument.value))).collect()))
}
