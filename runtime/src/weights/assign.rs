//! Models that begin with a file: which tensor each weight takes, whether it fits, and its values in our order of axes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use segc_lang::fault::Fault;
use segc_lang::nearest;
use segc_lang::spec::official::{Named, Sought};
use segc_lang::spec::{Axis, Official, Pretrained, Spec, Type};

use super::{Listed, Weights, safe};
use crate::outcome::RunError;
use crate::train::{self, state::Tensor};

/// So many tensors are named in one sentence.
const SHOWN: usize = 6;

/// A weight or state of a model that comes from a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its type.
    pub ty: &'a Type,
    /// Its axes as they were declared.
    pub order: &'a [Axis],
}

impl<'a> Wanted<'a> {
    /// The weight or state at a path, if its model's file is to have it.
    pub fn of(spec: &'a Spec, path: &str) -> Option<Wanted<'a>> {
        let from = spec.pretrained_for(path)?;
        let weights = spec.weights.iter().map(|one| (&one.path, &one.ty, &one.order));
        let states = spec.buffers.iter().map(|one| (&one.path, &one.ty, &one.order));
        let (path, ty, order) = weights.chain(states).find(|(own, ..)| *own == path)?;
        (spec.named(from, path) != Named::Absent).then_some(Wanted { path, ty, order })
    }
}

/// What the files of a run were found to be, before anything runs.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// Each file, as the spec names it, with the SHA-256 of its content.
    pub files: Vec<(String, String)>,
    /// Tensors that no model uses and no map passes over, in words.
    pub remarks: Vec<String>,
}

/// Looks whether all models can begin with their files, in specs of several moments of one run, the first of which knows all models.
///
/// # Errors
/// [`RunError::Weights`]: a file that cannot be used, a tensor that is missing, misshapen or of no real numbers.
pub fn examine(specs: &[Spec]) -> Result<Examined, RunError> {
    let (mut files, mut remarks) = (BTreeMap::new(), Vec::new());
    for pretrained in specs.first().map_or(&[][..], |end| &end.pretrained) {
        let weights = opened(pretrained)?;
        if !files.contains_key(&pretrained.file) {
            files.insert(pretrained.file.clone(), weights.hash().map_err(|why| unusable(pretrained, &why))?);
        }
        let mut used = Used::default();
        for spec in specs {
            let Some(own) = spec.pretrained.iter().find(|own| own.model == pretrained.model) else { continue };
            let wanted = train::stored_paths(spec).into_iter().filter_map(|path| Wanted::of(spec, path));
            let wanted: Vec<Wanted> = wanted.filter(|one| spec.pretrained_for(one.path) == Some(own)).collect();
            let found = Assigned::of(spec, own, &weights, &wanted)?;
            used.names.extend(found.matches.iter().map(|one| one.tensor.name.clone()));
            used.prefix = found.prefix;
        }
        remarks.extend(used.remark(pretrained, specs[0].map_of(pretrained).1, &weights));
    }
    Ok(Examined { files: files.into_iter().collect(), remarks })
}

/// The values of weights and states, all of which [`Wanted::of`] knows.
///
/// # Errors
/// As for [`examine`]; values that are not finite.
pub(crate) fn first_values<'a>(spec: &'a Spec, wanted: &[Wanted<'a>]) -> Result<Vec<(&'a str, Tensor)>, RunError> {
    let mut values = Vec::new();
    for pretrained in &spec.pretrained {
        let own: Vec<Wanted> = wanted.iter().copied().filter(|one| spec.pretrained_for(one.path) == Some(pretrained)).collect();
        if own.is_empty() {
            continue;
        }
        let weights = opened(pretrained)?;
        for one in Assigned::of(spec, pretrained, &weights, &own)?.matches {
            values.push((one.wanted.path, one.values(pretrained, &weights)?));
        }
    }
    Ok(values)
}

/// The values of all weights and states that models take from files, by path, each in the order of the axes of its type.
///
/// # Errors
/// As for [`examine`]; values that are not finite.
pub fn of_files(spec: &Spec) -> Result<BTreeMap<String, Vec<f32>>, RunError> {
    let wanted: Vec<Wanted> = train::stored_paths(spec).into_iter().filter_map(|path| Wanted::of(spec, path)).collect();
    Ok(first_values(spec, &wanted)?.into_iter().map(|(path, tensor)| (path.to_string(), tensor.values)).collect())
}

/// Tensors of a file that a model uses.
#[derive(Default)]
struct Used {
    names: BTreeSet<String>,
    prefix: String,
}

impl Used {
    /// What is said of the others. Whole numbers, such as counts of batches, are never used.
    fn remark(&self, pretrained: &Pretrained, lines: &[Official], weights: &Weights) -> Option<String> {
        let passed = |name: &str| lines.iter().any(|line| line.passes_over(name));
        let own = weights.tensors.iter().filter(|one| one.element.is_real() && one.name.starts_with(&self.prefix));
        let left = own.filter(|one| !self.names.contains(&one.name) && !passed(&one.name) && !passed(&one.name[self.prefix.len()..]));
        let left: Vec<&str> = left.map(|one| one.name.as_str()).collect();
        let more = if left.len() > SHOWN { format!(" and {} more", left.len() - SHOWN) } else { String::new() };
        let named = nearest::list(&left[..left.len().min(SHOWN)]);
        let model = &pretrained.model;
        (!left.is_empty()).then(|| format!("The model `{model}` does not use all of {}: it leaves {named}{more}.", pretrained.file))
    }
}

/// Weights of a spec with their tensors of a file.
struct Assigned<'s, 'f> {
    matches: Vec<Match<'s, 'f>>,
    /// What stands before official names in the file.
    prefix: String,
}

/// A weight with its tensor.
struct Match<'s, 'f> {
    wanted: Wanted<'s>,
    tensor: &'f Listed,
    sought: Sought<'s>,
    /// The official axes, each as those of ours that it joins.
    groups: Vec<Vec<(Axis, usize)>>,
}

/// A weight with the names under which its tensor is looked for.
type Looked<'a> = (Wanted<'a>, Vec<Sought<'a>>);

impl<'s, 'f> Assigned<'s, 'f> {
    fn of(spec: &'s Spec, pretrained: &Pretrained, weights: &'f Weights, wanted: &[Wanted<'s>]) -> Result<Assigned<'s, 'f>, RunError> {
        let by_name: HashMap<&str, &Listed> = weights.tensors.iter().map(|one| (one.name.as_str(), one)).collect();
        let names = |one: &Wanted<'s>| match spec.named(pretrained, one.path) {
            Named::As(names) => Some((*one, names)),
            Named::Absent | Named::Nowhere => None,
        };
        let looked: Vec<Looked> = wanted.iter().filter_map(names).collect();
        let prefix = prefix(pretrained, &by_name, &looked)?;
        let (mut matches, mut missing) = (Vec::new(), Vec::new());
        for (wanted, names) in &looked {
            let look = |name: &str| by_name.get(name).or_else(|| by_name.get(format!("{prefix}{name}").as_str())).copied();
            match names.iter().find_map(|sought| Some((look(&sought.name)?, sought))) {
                Some((tensor, sought)) => {
                    let groups = sought.bracket.laid_out(wanted.ty, wanted.order).unwrap_or_default();
                    matches.push(Match { wanted: *wanted, tensor, sought: sought.clone(), groups });
                }
                None => missing.push((wanted, names.as_slice())),
            }
        }
        if let Some(fault) = missing_tensors(pretrained, weights, &prefix, &missing) {
            return Err(RunError::Weights(Box::new(fault)));
        }
        matches.iter().try_for_each(|one| one.fits(spec, pretrained))?;
        Ok(Assigned { matches, prefix })
    }
}

/// What stands before official names in a file: nothing, `module.`, or a key of the file; whatever finds most of them.
fn prefix(pretrained: &Pretrained, by_name: &HashMap<&str, &Listed>, looked: &[Looked]) -> Result<String, RunError> {
    let keys: BTreeSet<&str> = by_name.keys().filter_map(|name| name.split_once('.')).map(|(key, _)| key).collect();
    let own = ["".to_string(), "module.".to_string()];
    let of_keys = keys.iter().filter(|key| **key != "module").flat_map(|key| [format!("{key}."), format!("{key}.module.")]);
    let held = |prefix: &str| {
        let has = |name: &str| by_name.contains_key(format!("{prefix}{name}").as_str());
        looked.iter().filter(|(_, names)| names.iter().any(|sought| has(&sought.name))).count()
    };
    let mut best: Vec<(usize, String)> = own.into_iter().chain(of_keys).map(|prefix| (held(&prefix), prefix)).collect();
    // Sorting keeps the order of equal ones.
    best.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    match best.as_slice() {
        [(most, first), (second, other), ..] if most == second && *most > 0 && !first.is_empty() => {
            let message = format!("`{first}` and `{other}` in {} hold the tensors of `{}` equally well", pretrained.file, pretrained.model);
            let fault = Fault::error("missing-tensor", message, pretrained.span, "which of them is meant?");
            let help = format!(
                "Write the key into the names of the map, as in `\"{first}..\"`, or take one part out with `segc weights convert --below`."
            );
            Err(RunError::Weights(Box::new(fault.help(help))))
        }
        [(_, first), ..] => Ok(first.clone()),
        [] => Ok(String::new()),
    }
}

impl Match<'_, '_> {
    /// Whether the tensor has the sizes and elements of the weight.
    fn fits(&self, spec: &Spec, pretrained: &Pretrained) -> Result<(), RunError> {
        let due: Vec<usize> = self.groups.iter().map(|group| group.iter().map(|(_, size)| size).product()).collect();
        let (name, file, path) = (&self.tensor.name, &pretrained.file, self.wanted.path);
        let exact = !self.sought.bracket.layout.is_empty();
        let same = if exact { self.tensor.shape == due } else { without_ones(&self.tensor.shape) == without_ones(&due) };
        if same && self.tensor.element.is_real() {
            return Ok(());
        }
        let shown = |axis: &Axis| spec.axes.get(usize::from(axis.0)).map_or("", String::as_str);
        let axes: Vec<String> = self.groups.iter().map(|group| named(group, shown)).collect();
        let (message, help) = if same {
            let message = format!("`{name}` in {file} holds {}, and `{path}` is of real numbers", self.tensor.element.name());
            (message, "Look whether the line names another tensor than it means.".to_string())
        } else {
            let message = format!("`{name}` in {file} has the sizes {:?}, and `{path}` needs {due:?}", self.tensor.shape);
            let help = format!(
                "Official axes are read as [{}]; another order is said by a bracket behind the line, other sizes by what builds the net.",
                axes.join(", ")
            );
            (message, help)
        };
        Err(RunError::Weights(Box::new(at_line("misshapen-tensor", message, &self.sought, pretrained).help(help))))
    }

    /// The values in our order of axes.
    fn values(&self, pretrained: &Pretrained, weights: &Weights) -> Result<Tensor, RunError> {
        let official = weights.reals(self.tensor).map_err(|why| unusable(pretrained, &why))?;
        if let Some(at) = official.iter().position(|value| !value.is_finite()) {
            let message = format!("`{}` in {} is {} at element {at}", self.tensor.name, pretrained.file, official[at]);
            let fault = at_line("misshapen-tensor", message, &self.sought, pretrained);
            return Err(RunError::Weights(Box::new(fault.help("Weights are finite; the file is damaged, or of a training that failed."))));
        }
        let laid: Vec<(Axis, usize)> = self.groups.iter().flatten().copied().collect();
        let strides = safe::row_major(&laid.iter().map(|(_, size)| *size).collect::<Vec<_>>());
        let stride = |axis: Axis| laid.iter().position(|(own, _)| *own == axis).map_or(0, |at| strides[at] as usize);
        let axes: Vec<[usize; 2]> = self.wanted.ty.axes.iter().map(|(axis, size)| [*size, stride(*axis)]).collect();
        let shape: Vec<usize> = axes.iter().map(|[size, _]| *size).collect();
        let whole = official.len() == shape.iter().product::<usize>();
        let values = if whole && axes.iter().map(|[_, stride]| *stride as u64).eq(safe::row_major(&shape)) {
            Some(official)
        } else {
            laid_out(&official, &axes)
        };
        let values = values.ok_or_else(|| unusable(pretrained, &format!("has too few elements in `{}`", self.tensor.name)))?;
        Ok(Tensor { shape, values })
    }
}

/// Elements of a view: for each axis its size and the elements from one place to the next; none where one lies outside.
fn laid_out(elements: &[f32], axes: &[[usize; 2]]) -> Option<Vec<f32>> {
    let count = axes.iter().map(|[size, _]| size).product();
    let mut made = Vec::with_capacity(count);
    let mut index = vec![0; axes.len()];
    let mut place = 0;
    for _ in 0..count {
        made.push(*elements.get(place)?);
        for (at, [size, stride]) in axes.iter().enumerate().rev() {
            index[at] += 1;
            place += stride;
            if index[at] < *size {
                break;
            }
            place -= size * stride;
            index[at] = 0;
        }
    }
    Some(made)
}

/// `(head, feature)` or `out`.
fn named<'a>(group: &[(Axis, usize)], name: impl Fn(&Axis) -> &'a str) -> String {
    let names: Vec<&str> = group.iter().map(|(axis, _)| name(axis)).collect();
    if names.len() == 1 { names[0].to_string() } else { format!("({})", names.join(", ")) }
}

fn without_ones(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|size| *size != 1).collect()
}

fn opened(pretrained: &Pretrained) -> Result<Weights, RunError> {
    Weights::open(Path::new(&pretrained.file)).map_err(|why| unusable(pretrained, &why))
}

fn unusable(pretrained: &Pretrained, why: &str) -> RunError {
    let message = format!("{} {why}", pretrained.file);
    let fault = Fault::error("unusable-weights", message, pretrained.span, format!("`{}` begins with it", pretrained.model));
    RunError::Weights(Box::new(
        fault.help("Name a file of safetensors or a checkpoint of PyTorch; with `none` the model begins as its net says."),
    ))
}

/// All tensors that a file lacks, in one fault.
fn missing_tensors(pretrained: &Pretrained, weights: &Weights, prefix: &str, missing: &[(&Wanted, &[Sought])]) -> Option<Fault> {
    let (wanted, names) = missing.first()?;
    let sought = names.first()?;
    let first = sought.name.as_str();
    let looked: Vec<&str> = names.iter().map(|one| one.name.as_str()).collect();
    let file = &pretrained.file;
    let mut message = format!("{file} has no tensor {}, with which `{}` is to begin", nearest::list(&looked), wanted.path);
    let others: Vec<&str> = missing[1..].iter().filter_map(|(_, names)| Some(names.first()?.name.as_str())).collect();
    if !others.is_empty() {
        let more = if others.len() > SHOWN { ", .." } else { "" };
        message += &format!(
            "; {} more {} missing: {}{more}",
            others.len(),
            if others.len() == 1 { "is" } else { "are" },
            nearest::list(&others[..others.len().min(SHOWN)])
        );
    }
    let own = weights.tensors.iter().map(|one| one.name.strip_prefix(prefix).unwrap_or(&one.name));
    let inside = weights.others.iter().find(|other| !other.name.is_empty() && format!("{prefix}{first}").starts_with(&other.name));
    let help = match (nearest::nearest(first, own), inside) {
        (_, Some(other)) => format!("`{}` in it is an object of `{}`, which is not read.", other.name, other.what),
        (Some(near), None) => format!("Did you mean `{near}`? `segc weights show {file}` lists all."),
        (None, None) => {
            format!("`segc weights show {file}` lists what it holds; a weight that it lacks on purpose has the line `\"\" : path`.")
        }
    };
    Some(at_line("missing-tensor", message, sought, pretrained).help(help))
}

/// A fault at a line of a map; where the map stands in another file, with the model.
fn at_line(code: &'static str, message: String, sought: &Sought, pretrained: &Pretrained) -> Fault {
    let fault = Fault::error(code, message, sought.line.span, "this line");
    if sought.line.span.source == pretrained.span.source { fault } else { fault.also(pretrained.span, "for this model") }
}
