//! Data items: where pictures come from, and the host's steps that they go through.

use std::rc::Rc;

use super::Elaborator;
use super::builtin::{Actuals, Given};
use super::value::{Abort, Origin, Outcome, Pipeline, Scope, Sides, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Data, Element, Filter, Part, Pictures, Prim, Step};
use crate::syntax::{Binding, ExprKind, Name};

impl<'m> Elaborator<'m> {
    /// `data images = ..`.
    pub fn data_item(&mut self, binding: &'m Binding, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let name = &binding.binder.name;
        let data = match self.data_value(binding, scope)? {
            Value::Pipeline(pipeline) => {
                let size = match (pipeline.sides, &pipeline.source) {
                    (Sides::Both(side), _) => (side, side),
                    (_, Pictures::Collected { .. }) => (0, 0),
                    // Pictures of differing sizes are the beginning of other items.
                    _ => return Ok(Value::Pipeline(pipeline)),
                };
                let Pipeline { source, steps, .. } = (*pipeline).clone();
                Data { name: name.text.clone(), source, steps, size, span: name.span }
            }
            Value::Data(other, Part::Whole) => Data { name: name.text.clone(), span: name.span, ..self.spec.data[other].clone() },
            other => return Err(self.expected("a data pipeline such as `pictures(photos) |> resize(32)`", &other, binding.value.span)),
        };
        self.spec.data.push(data);
        Ok(Value::Data(self.spec.data.len() - 1, Part::Whole))
    }

    /// `images.test`, `images.image`.
    pub fn data_field(&mut self, number: usize, part: Part, name: &'m Name, span: Span) -> Outcome<'m> {
        let (height, width) = self.spec.data[number].size;
        let parts = [("train", Part::Train), ("valid", Part::Valid), ("test", Part::Test)];
        if let Some((_, part)) = parts.iter().find(|(word, _)| *word == name.text) {
            return Ok(Value::Data(number, *part));
        }
        let axis = |name: &str| self.axes.get(name).copied();
        let (Some(channel), Some(rows), Some(columns)) = (axis("channel"), axis("height"), axis("width")) else {
            return Err(Abort::Faulted);
        };
        let field = || Prim::Field { data: number, field: name.text.clone() };
        if let Pictures::Collected { fields, .. } = &self.spec.data[number].source {
            let fields = fields.clone();
            let Some(ty) = self.collected(number, &name.text) else { return Err(self.no_field(&fields, name)) };
            return Ok(Value::Tensor(self.store.intern(field(), vec![], ty.element, ty.axes, span)));
        }
        let axes = match name.text.as_str() {
            "image" => vec![(channel, 3), (rows, height), (columns, width)],
            "label" => vec![(rows, height), (columns, width)],
            "class" | "boxes" => {
                let awaited = Origin::Awaited("classes and boxes of pictures".into(), span);
                let labels = (name.text == "boxes").then_some(Origin::Label(span));
                return Err(Abort::Pending(Rc::new(labels.into_iter().chain([awaited]).collect())));
            }
            _ => {
                let known = ["image", "label", "class", "boxes", "train", "valid", "test"].map(String::from).to_vec();
                return Err(self.unknown_field(&Value::Data(number, part), name, known));
            }
        };
        Ok(Value::Tensor(self.store.intern(field(), vec![], Element::Real, axes, span)))
    }

    /// A source or step of a pipeline.
    pub fn data_step(&mut self, name: &'m str, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        match name {
            "pictures" => return self.pictures(actuals),
            "two_digits" => return self.two_digits(actuals, span),
            "shorter_side"
            | "resize"
            | "center_crop"
            | "square_crop"
            | "random_crop"
            | "random_resized_crop"
            | "flip"
            | "range"
            | "normalise"
            | "chunk"
            | "most" => {}
            _ => return Err(self.pend(&format!("the operation `{name}`"), span)),
        }
        let (pipeline, place) = actuals.value(self, &["from", "x"], span)?;
        let pipeline = match pipeline {
            Value::Pipeline(pipeline) => pipeline,
            Value::Data(number, Part::Whole) => {
                let data = &self.spec.data[number];
                let sides = if data.size == (0, 0) { Sides::Any } else { Sides::Both(data.size.0) };
                Rc::new(Pipeline { source: data.source.clone(), steps: data.steps.clone(), sides })
            }
            Value::Tensor(id) if name == "resize" => return self.resize((id, place), actuals, span),
            other => return Err(self.expected("a data pipeline", &other, place)),
        };
        if matches!(pipeline.source, Pictures::Collected { .. }) {
            self.fits_collected(name, &pipeline, span)?;
        }
        let mut pipeline = (*pipeline).clone();
        let step = self.step(name, &mut pipeline, actuals, span)?;
        pipeline.steps.push(step);
        Ok(Value::Pipeline(Rc::new(pipeline)))
    }

    /// Collected fields stay as they were computed; pictures of one size can be cut and mirrored.
    fn fits_collected(&mut self, name: &str, pipeline: &Pipeline, span: Span) -> Result<(), Abort> {
        match name {
            "chunk" | "most" => Ok(()),
            "flip" | "random_crop" | "center_crop" if matches!(pipeline.sides, Sides::Both(_)) => Ok(()),
            "flip" | "random_crop" | "center_crop" => {
                let message = format!("`{name}` cuts all fields alike, and these are not square pictures of one size");
                let fault = Fault::error("wrong-kind", message, span, "of fields of unlike sizes");
                Err(self.fault(fault.help("Collect pictures of one size.")))
            }
            _ => {
                let message = format!("`{name}` changes photographs, and these are fields that were computed");
                let fault = Fault::error("wrong-kind", message, span, "of collected fields");
                Err(self.fault(fault.help("Write it into the fields that are collected, or into the data that they are computed from.")))
            }
        }
    }

    fn step(&mut self, name: &str, pipeline: &mut Pipeline, actuals: &mut Actuals<'m>, span: Span) -> Result<Step, Abort> {
        match name {
            "square_crop" => {
                pipeline.sides = match pipeline.sides {
                    Sides::Both(side) | Sides::Shorter(side) => Sides::Both(side),
                    Sides::Any | Sides::Square => Sides::Square,
                };
                Ok(Step::SquareCrop)
            }
            "range" => {
                let low = self.plain_number(actuals, "low", span)?;
                let high = self.plain_number(actuals, "high", span)?;
                Ok(Step::Range { low, high })
            }
            "normalise" => {
                let mean = self.numbers(actuals, "mean", span)?;
                let deviation = self.numbers(actuals, "deviation", span)?;
                match deviation.iter().find(|own| **own <= 0.0) {
                    None => Ok(Step::Normalise { mean, deviation }),
                    Some(own) => {
                        let fault = Fault::error("out-of-range", format!("a deviation is {own}"), span, "colours are divided by it");
                        Err(self.fault(fault.help("Deviations are larger than zero.")))
                    }
                }
            }
            "random_resized_crop" => self.random_resized_crop(pipeline, actuals, span),
            "flip" => Ok(Step::Flip { chance: self.chance(actuals)? }),
            "chunk" => {
                let (number, of) = (self.whole_number(actuals, "number", 0, span)?, self.whole_number(actuals, "of", 1, span)?);
                Ok(Step::Chunk { number, of })
            }
            "most" => {
                let count = self.whole_number(actuals, "count", 1, span)?;
                let by = actuals.take(&["by"]);
                self.most(pipeline, count, by, span)
            }
            "center_crop" | "random_crop" => {
                let side = self.side(actuals, span)?;
                if let Sides::Both(own) | Sides::Shorter(own) = pipeline.sides
                    && own < side
                {
                    let message = format!("a square of {side} pixels does not fit in pictures whose shorter side has {own}");
                    return Err(self
                        .fault(Fault::error("bad-size", message, span, "larger than the picture").help("Crop less, or resize to more.")));
                }
                pipeline.sides = Sides::Both(side);
                Ok(if name == "random_crop" { Step::RandomCrop { side } } else { Step::CenterCrop { side } })
            }
            _ => {
                let side = self.side(actuals, span)?;
                let by = self.filter(actuals)?;
                if name == "resize" {
                    pipeline.sides = Sides::Both(side);
                    return Ok(Step::Resize { side, by });
                }
                let square = matches!(pipeline.sides, Sides::Square | Sides::Both(_));
                pipeline.sides = if square { Sides::Both(side) } else { Sides::Shorter(side) };
                Ok(Step::ShorterSide { side, by })
            }
        }
    }

    fn random_resized_crop(&mut self, pipeline: &mut Pipeline, actuals: &mut Actuals<'m>, span: Span) -> Result<Step, Abort> {
        let side = self.side(actuals, span)?;
        let scale = self.bounds(actuals, "scale", [0.08, 1.0], 1.0)?;
        let ratio = self.bounds(actuals, "ratio", [0.75, 4.0 / 3.0], 1e3)?;
        let by = self.filter(actuals)?;
        pipeline.sides = Sides::Both(side);
        Ok(Step::RandomResizedCrop { side, scale, ratio, by })
    }

    /// `scale: [low, high]`, larger than zero and not larger than `most`.
    fn bounds(&mut self, actuals: &mut Actuals<'m>, label: &str, usual: [f64; 2], most: f64) -> Result<(f64, f64), Abort> {
        let Some(given) = actuals.take(&[label]) else { return Ok((usual[0], usual[1])) };
        let (value, place) = (given.value(self)?, given.span());
        let [low, high] = self.listed(&value, place)?;
        if 0.0 < low && low <= high && high <= most {
            return Ok((low, high));
        }
        let message = format!("`{label}` goes from {low} to {high}");
        let fault = Fault::error("out-of-range", message, place, "not between zero and the largest");
        Err(self.fault(fault.help(format!("Write the smaller one first; it is larger than 0, the other at most {most}."))))
    }

    fn numbers(&mut self, actuals: &mut Actuals<'m>, label: &str, span: Span) -> Result<[f64; 3], Abort> {
        let (value, place) = actuals.value(self, &[label], span)?;
        self.listed(&value, place)
    }

    /// A list of so many numbers.
    fn listed<const N: usize>(&mut self, value: &Value<'m>, place: Span) -> Result<[f64; N], Abort> {
        let number = |item: &Value<'m>| if let Value::Number(number) = item { Some(number.real()) } else { None };
        let all = if let Value::List(items) = value { items.iter().map(number).collect::<Option<Vec<f64>>>() } else { None };
        match all.and_then(|all| all.try_into().ok()) {
            Some(all) => Ok(all),
            None => Err(self.expected(&format!("a list of {N} numbers known when compiling"), value, place)),
        }
    }

    fn pictures(&mut self, actuals: &mut Actuals<'m>) -> Outcome<'m> {
        let photos = match actuals.take(&["photos"]) {
            Some(given) => {
                let value = (given.value(self)?, given.span());
                self.location(value, "a folder")?
            }
            None => None,
        };
        let labels = match self.labelled(actuals, "labels") {
            Some(given) => {
                let value = (given.value(self)?, given.span());
                self.location(value, "a folder")?
            }
            None => None,
        };
        let hard = match self.labelled(actuals, "scenes") {
            Some(given) => self.word(&given, &["hard", "easy"])? == "hard",
            None => true,
        };
        let split = match self.labelled(actuals, "split") {
            Some(given) => {
                let value = (given.value(self)?, given.span());
                self.location(value, "a file")?
            }
            None => None,
        };
        let source = match photos {
            Some(photos) => Pictures::Folder { photos, labels, split },
            None => Pictures::Scenes { hard },
        };
        Ok(Value::Pipeline(Rc::new(Pipeline { source, steps: Vec::new(), sides: Sides::Any })))
    }

    fn two_digits(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let side = self.side(actuals, span)?;
        let from = match actuals.take(&["from"]) {
            Some(given) => {
                let value = (given.value(self)?, given.span());
                self.location(value, "a folder")?
            }
            None => None,
        };
        Ok(Value::Pipeline(Rc::new(Pipeline { source: Pictures::Digits { side, from }, steps: Vec::new(), sides: Sides::Both(side) })))
    }

    /// Takes an argument only where it has this label.
    fn labelled(&mut self, actuals: &mut Actuals<'m>, label: &str) -> Option<Given<'m>> {
        let at = actuals.given.iter().position(|(own, _)| own.is_some_and(|own| own.text == label))?;
        Some(actuals.given.remove(at).1)
    }

    fn location(&mut self, (value, span): (Value<'m>, Span), what: &str) -> Result<Option<String>, Abort> {
        match value {
            Value::None => Ok(None),
            Value::Text(text) => Ok(Some(text.to_string())),
            other => Err(self.expected(&format!("{what} or `none`"), &other, span)),
        }
    }

    fn side(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Result<usize, Abort> {
        let (value, place) = actuals.value(self, &["side", "to"], span)?;
        let Value::Number(number) = value else { return Err(self.expected("a number of pixels", &value, place)) };
        match number.integer() {
            Some(side) if (1..=1 << 16).contains(&side) => Ok(side as usize),
            _ => {
                let message = format!("a side has a whole number of pixels from 1 to {}, not {number}", 1 << 16);
                Err(self.fault(Fault::error("bad-size", message, place, format!("{number}"))))
            }
        }
    }

    /// A whole number from `least` on.
    fn whole_number(&mut self, actuals: &mut Actuals<'m>, label: &str, least: i64, span: Span) -> Result<usize, Abort> {
        let (value, place) = actuals.value(self, &[label], span)?;
        let Value::Number(number) = value else { return Err(self.expected("a whole number", &value, place)) };
        match number.integer().filter(|number| *number >= least).and_then(|number| usize::try_from(number).ok()) {
            Some(number) => Ok(number),
            None => {
                let message = format!("`{label}` is a whole number from {least} on, not {number}");
                Err(self.fault(Fault::error("bad-size", message, place, format!("{number}"))))
            }
        }
    }

    fn chance(&mut self, actuals: &mut Actuals<'m>) -> Result<f64, Abort> {
        let Some(given) = actuals.take(&["chance"]) else { return Ok(0.5) };
        let (value, place) = (given.value(self)?, given.span());
        match &value {
            Value::Number(number) if (0.0..=1.0).contains(&number.real()) => Ok(number.real()),
            _ => Err(self.expected("a probability from 0 to 1, known when compiling", &value, place)),
        }
    }

    fn plain_number(&mut self, actuals: &mut Actuals<'m>, label: &str, span: Span) -> Result<f64, Abort> {
        match actuals.value(self, &[label], span)? {
            (Value::Number(number), _) => Ok(number.real()),
            (other, place) => Err(self.expected("a number known when compiling", &other, place)),
        }
    }

    pub fn filter(&mut self, actuals: &mut Actuals<'m>) -> Result<Filter, Abort> {
        let Some(given) = actuals.take(&["by"]) else { return Ok(Filter::Bilinear) };
        Ok(match self.word(&given, &["nearest", "bilinear", "bicubic"])? {
            "nearest" => Filter::Nearest,
            "bilinear" => Filter::Bilinear,
            _ => Filter::Bicubic,
        })
    }

    /// One of these words, written bare or as the value of a choice.
    pub fn word(&mut self, given: &Given<'m>, words: &[&'static str]) -> Result<&'static str, Abort> {
        if let Given::Written(expr, scope) = given
            && let ExprKind::Path(path) = &*expr.kind
            && let [name] = path.segments.as_slice()
        {
            if let Some(word) = words.iter().find(|word| **word == name.text) {
                return Ok(word);
            }
            if self.resolve(scope, &name.text).is_none() {
                let fault =
                    Fault::error("unknown-choice", format!("`{}` is not known here", name.text), name.span, "not a word of this choice");
                let known: Vec<String> = words.iter().map(|word| (*word).to_string()).collect();
                return Err(self.fault(super::nearest(fault, &name.text, &known)));
            }
        }
        let value = given.value(self)?;
        let text = value.key().unwrap_or_default();
        match words.iter().find(|word| **word == text) {
            Some(word) => Ok(word),
            None => Err(self.expected(&format!("one of {}", words.join(", ")), &value, given.span())),
        }
    }
}
