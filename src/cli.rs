//! What can be typed: the commands with their options and help texts.

mod texts;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use segc_runtime::execute::cuda::print::Precision;
use texts::{ABOUT, AFTER, BENCH_EXAMPLES, RUN_EXAMPLES, SEGMENT_EXAMPLES, SELFTEST_EXAMPLES, SWEEP_EXAMPLES};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "segc", version, about = ABOUT, after_help = AFTER, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a spec: find masks, measure them, write a report
    #[command(after_help = RUN_EXAMPLES, override_usage = "segc run [OPTIONS] SPEC [+VARIANT]...")]
    Run(Run),
    /// Find the masks of photographs with a run that is done
    #[command(after_help = SEGMENT_EXAMPLES)]
    Segment(Segment),
    /// Run a spec in many variants and with several seeds; print mean and spread of each
    #[command(after_help = SWEEP_EXAMPLES, override_usage = "segc sweep [OPTIONS] SPEC [+VARIANT]...")]
    Sweep(Sweep),
    /// Put runs side by side: the params that differ, the figures, the best of each
    Compare(Compare),
    /// Measure whole training steps and single kernels, beside PyTorch where there is one
    Bench(Bench),
    /// Test whether this machine computes right: ops, golden cases, steps of a training
    #[command(after_help = SELFTEST_EXAMPLES)]
    Selftest(Selftest),
    /// Check specs and report every fault, without running anything
    #[command(override_usage = "segc check [OPTIONS] FILES... [+VARIANT]...")]
    Check(Check),
    /// Print what a stage of the compiler makes of a spec
    #[command(override_usage = "segc show [OPTIONS] STAGE SPEC [+VARIANT]...")]
    Show(Show),
    /// Format specs in place
    Fmt(Fmt),
    /// Explain a fault: what it means, a wrong and a right example
    Explain(Explain),
    /// Look into files of weights that others trained, and convert them
    Weights(Weights),
    /// List the ops that the language is built on
    Ops,
    /// Say what this machine has to compute with, and how to get what is missing
    Doctor(Doctor),
    /// Write a commented spec to start from
    New(New),
}

/// `segc run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The spec and its variants
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Seed of all random draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// What computes, and on how many threads
    #[command(flatten)]
    pub machine: Machine,
    /// Folder of the run [default: runs/NAME+VARIANTS-HASH]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the run that is in the folder
    #[arg(long)]
    pub overwrite: bool,
    /// Begin where the same run on another device stands: its newest checkpoint, by its folder
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Print faults and errors only
    #[arg(long, short)]
    pub quiet: bool,
    /// Compute every op by itself, for finding faults of the compiler
    #[arg(long)]
    pub no_fuse: bool,
    /// On a card, launch every kernel by itself rather than replay a step as one graph, for finding faults of the capture
    #[arg(long)]
    pub no_graphs: bool,
    /// Stop at the first NaN and say which op made it of what; every N-th step of solves and every N-th image is looked at [default: every]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub check_nan: Option<NonZeroUsize>,
    /// Compute anew what frozen models make of images, rather than read it from .segc-cache beside the run
    #[arg(long)]
    pub no_cache: bool,
    /// Measure every kernel: a table of the dearest at the end, and profile.json, which Perfetto opens
    #[arg(long, conflicts_with = "check_nan")]
    pub profile: bool,
    /// Stop after so many steps, saved, so that the same command without it continues; behind training each image is a step
    #[arg(long, value_name = "STEPS")]
    pub stop_after: Option<u64>,
    /// Save the state of training after every so many steps [default: what the spec says, else 500]
    #[arg(long, value_name = "STEPS")]
    pub checkpoint_every: Option<std::num::NonZeroU64>,
    /// Keep so many of the newest checkpoints
    #[arg(long, value_name = "K", default_value = "3")]
    pub keep_checkpoints: NonZeroUsize,
}

/// `segc segment`.
#[derive(Debug, Args)]
pub struct Segment {
    /// The folder of a run, as `segc run` wrote it
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Photographs of any size, or folders of them
    #[arg(value_name = "FILES", required = true)]
    pub files: Vec<PathBuf>,
    /// Folder for what is written; files of the same names are replaced
    #[arg(long, value_name = "DIR", default_value = "segmented")]
    pub out: PathBuf,
    /// What is written of each photograph, with a comma between
    #[arg(long, value_name = "KINDS", value_delimiter = ',', default_value = "mask,cutout,overlay")]
    pub only: Vec<Picture>,
    /// Another state of the run: a number of steps, or a file [default: the newest that is whole]
    #[arg(long, value_name = "STEPS|FILE")]
    pub checkpoint: Option<PathBuf>,
    /// On how many threads
    #[command(flatten)]
    pub threads: Threads,
    /// Print errors and what is left out only
    #[arg(long, short)]
    pub quiet: bool,
}

/// Pictures of `segc segment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Picture {
    /// The mask, 8-bit grey.
    Mask,
    /// The photograph with the mask as its alpha.
    Cutout,
    /// The photograph with the object marked.
    Overlay,
}

/// `segc sweep`.
#[derive(Debug, Args)]
pub struct Sweep {
    /// The spec, and variants that all runs have
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The variants to run, one at a time, with a comma between: names of the spec, `all`, or `none` for the spec as it is
    #[arg(long, value_name = "NAMES", default_value = "all", value_delimiter = ',')]
    pub variants: Vec<String>,
    /// Variants to leave out
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub without: Vec<String>,
    /// Seeds of each variant: 0, 1, ..
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
    /// Figures to print, such as test.iou [default: those that the paper reports, else the first]
    #[arg(long = "metric", value_name = "NAME")]
    pub metrics: Vec<String>,
    /// What computes, and on how many threads
    #[command(flatten)]
    pub machine: Machine,
    /// Folder of the runs; a sweep that is there already is continued [default: sweeps/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print faults, errors and the table only
    #[arg(long, short)]
    pub quiet: bool,
    /// Save the state of training after every so many steps [default: what the spec says, else 500]
    #[arg(long, value_name = "STEPS")]
    pub checkpoint_every: Option<std::num::NonZeroU64>,
}

/// `segc compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Folders of runs, or folders with runs in them
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Only these figures, such as test.iou
    #[arg(long = "metric", value_name = "NAME")]
    pub metrics: Vec<String>,
    /// Write a page with the table and the pictures of the runs, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// A spec with what is asked of it.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// The spec, and variants of it, each with a plus: specs/iem.seg +paper
    #[arg(value_name = "SPEC", required = true)]
    pub words: Vec<String>,
    /// Give a param another value; wins over variants
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub sets: Vec<(String, String)>,
}

/// What computes.
#[derive(Clone, Copy, Debug, Args)]
pub struct Machine {
    /// On how many threads
    #[command(flatten)]
    pub threads: Threads,
    /// What computes
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub on: DeviceName,
    /// Compute with the instructions that every processor has, for finding faults of faster kernels
    #[arg(long, conflicts_with = "on")]
    pub portable: bool,
    /// How products of matrices and convolutions read their operands on a card; sums are in single precision [default: f32]
    #[arg(long, value_name = "PRECISION", conflicts_with = "portable")]
    pub precision: Option<PrecisionName>,
    /// Leave no product or convolution on a card to cuBLASLt and cuDNN
    #[arg(long, conflicts_with = "portable")]
    pub no_libs: bool,
}

/// How many threads compute.
#[derive(Clone, Copy, Debug, Args)]
pub struct Threads {
    /// Threads that compute; the results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

impl Threads {
    /// As many as were asked for, else as there are cores.
    pub fn count(self) -> usize {
        self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }
}

/// `segc bench`.
#[derive(Debug, Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub struct Bench {
    /// What is measured, such as W2; all without a name
    #[arg(value_name = "WORKLOAD")]
    pub workloads: Vec<String>,
    /// Measure PyTorch in turns, by the Python that the variable SEGC_PEER names
    #[arg(long)]
    pub peer: bool,
    /// Measure `torch.compile` as well
    #[arg(long, requires = "peer")]
    pub compiled: bool,
    /// Mode of `torch.compile` [default: `default`, on a card `reduce-overhead`]
    #[arg(long, value_name = "MODE", requires = "compiled")]
    pub mode: Option<String>,
    /// What computes, for both sides
    #[arg(long, value_name = "DEVICE", default_value = "cpu", conflicts_with = "scaling")]
    pub on: DeviceName,
    /// Precisions of products of matrices and convolutions on a card, with a comma between; each has rows of its own [default: f32]
    #[arg(long, value_name = "PRECISIONS", value_delimiter = ',')]
    pub precision: Vec<PrecisionName>,
    /// What a card reaches at most, as an earlier measurement wrote it here; measured and written where it is not there
    #[arg(long, value_name = "FILE", hide = true)]
    pub ceilings: Option<PathBuf>,
    /// Print a list of all figures as JSON
    #[arg(long)]
    pub json: bool,
    /// Steps that one measurement times [default: 2 to 16, as long as they take]
    #[arg(long, value_name = "N")]
    pub steps: Option<NonZeroUsize>,
    /// Measurements of each side; medians are shown
    #[arg(long, value_name = "N", default_value = "3")]
    pub repeats: NonZeroUsize,
    /// How many threads compute
    #[command(flatten)]
    pub threads: Threads,
    /// Measure instead how the time of a training step grows with the batch and with the side of the images; the plot goes to this page
    #[arg(long, value_name = "HTML", conflicts_with_all = ["workloads", "peer", "json"])]
    pub scaling: Option<PathBuf>,
    /// Params of the workload that is measured alone
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_and_value, hide = true)]
    pub sets: Vec<(String, String)>,
    /// One measurement of one workload in this process, as JSON
    #[arg(long, value_name = "WORKLOAD", hide = true)]
    pub alone: Option<String>,
}

/// `segc selftest`.
#[derive(Debug, Args)]
pub struct Selftest {
    /// What is tested, and on how many threads of this machine
    #[command(flatten)]
    pub machine: Machine,
    /// Only these parts, with a comma between [default: all]
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub only: Vec<PartName>,
    /// Only these ops, with a comma between, as `segc ops` names them [default: all]
    #[arg(long, value_name = "OPS", value_delimiter = ',')]
    pub ops: Vec<String>,
    /// Folder of the golden cases [default: tests/goldens, where it is]
    #[arg(long, value_name = "DIR")]
    pub goldens: Option<PathBuf>,
    /// Write what was found as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Parts of `segc selftest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PartName {
    /// Every op against its definition, with derivatives to second order.
    Ops,
    /// Cases that PyTorch computed.
    Golden,
    /// Steps of a training, in ways that must not matter.
    Training,
    /// Some ops under compute-sanitizer, on a card.
    Sanitizer,
}

/// `segc check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Specs, or folders of them, and variants, each with a plus
    #[arg(value_name = "FILES", required = true)]
    pub words: Vec<String>,
    /// Give a param another value; wins over variants
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub sets: Vec<(String, String)>,
    /// Reports for people or for programs
    #[arg(long, value_name = "FORM", default_value = "human")]
    pub format: Format,
    /// Count what a run takes: weights, arithmetic and traffic of a step of each phase, memory. Compiles all programs of the training
    #[arg(long)]
    pub cost: bool,
}

/// `segc show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The stage
    #[arg(value_name = "STAGE")]
    pub stage: Stage,
    /// The spec and its variants
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Print it as JSON
    #[arg(long, conflicts_with = "dot")]
    pub json: bool,
    /// Print graphs in the language of Graphviz
    #[arg(long)]
    pub dot: bool,
}

/// `segc fmt`.
#[derive(Debug, Args)]
pub struct Fmt {
    /// Specs, or folders of them
    #[arg(value_name = "FILES", required = true)]
    pub files: Vec<PathBuf>,
    /// Change nothing; name the files that are not formatted and exit with 1
    #[arg(long)]
    pub check: bool,
}

/// `segc explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Name of a fault, such as axis-mismatch; without one, all are listed
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

/// `segc weights`.
#[derive(Debug, Args)]
pub struct Weights {
    /// What to do with a file.
    #[command(subcommand)]
    pub verb: WeightsVerb,
}

/// What `segc weights` does.
#[derive(Debug, Subcommand)]
pub enum WeightsVerb {
    /// List the tensors of a PyTorch checkpoint or a file of safetensors
    Show(WeightsShow),
    /// Write the tensors of a file as safetensors
    Convert(WeightsConvert),
}

/// `segc weights show`.
#[derive(Debug, Args)]
pub struct WeightsShow {
    /// The file; nothing in it is executed
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segc weights convert`.
#[derive(Debug, Args)]
pub struct WeightsConvert {
    /// The file; nothing in it is executed
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT.safetensors")]
    pub output: PathBuf,
    /// Only what lies below this key, without it: `teacher.backbone`
    #[arg(long, value_name = "KEY")]
    pub below: Option<String>,
    /// Replace the file that is there
    #[arg(long)]
    pub overwrite: bool,
}

/// `segc doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segc new`.
#[derive(Debug, Args)]
pub struct New {
    /// Name of the spec; NAME.seg is written
    #[arg(value_name = "NAME")]
    pub name: PathBuf,
}

/// Forms of `segc check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Reports with the lines that they are about.
    Human,
    /// One JSON object.
    Json,
}

/// Devices of `--on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    /// Fused loops on all cores.
    Cpu,
    /// The slow definitions in double precision.
    Reference,
    /// The crate dfdx with its own derivatives: a slow second opinion.
    #[cfg(feature = "dfdx")]
    Dfdx,
    /// An NVIDIA card; `segc doctor` says whether there is one.
    Cuda,
    /// An NVIDIA card if there is one, else the processor.
    Auto,
}

/// Precisions of `--precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionName {
    /// As they are.
    F32,
    /// Rounded to 10 bits of mantissa.
    Tf32,
    /// Rounded to 7 bits of mantissa.
    Bf16,
}

impl PrecisionName {
    /// What the runtime calls it.
    pub fn precision(self) -> Precision {
        match self {
            PrecisionName::F32 => Precision::F32,
            PrecisionName::Tf32 => Precision::Tf32,
            PrecisionName::Bf16 => Precision::Bf16,
        }
    }

    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            PrecisionName::F32 => "f32",
            PrecisionName::Tf32 => "tf32",
            PrecisionName::Bf16 => "bf16",
        }
    }
}

/// Stages of `segc show`, in the order in which a spec goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The syntax tree of the file.
    Syntax,
    /// Everything known at compile time evaluated, the rest typed terms.
    Spec,
    /// The models, layer by layer, with their sizes.
    Summary,
    /// The graph of the computation.
    Graph,
    /// The graph with its derivatives.
    Derivative,
    /// The graph after simplification.
    Simple,
    /// The fused kernels.
    Kernels,
    /// Kernels in order, with buffers and costs.
    Program,
    /// The program as CUDA C, with its launches; no card is needed.
    Cuda,
}

impl SpecArgs {
    /// The spec and the names of the variants; an error in words if there is not exactly one spec.
    pub fn split(&self) -> Result<(PathBuf, Vec<String>), String> {
        let (files, variants) = split(&self.words)?;
        match files.as_slice() {
            [spec] => Ok((spec.clone(), variants)),
            [] => Err("no spec is named; variants follow it: segc run SPEC +VARIANT".into()),
            [_, second, ..] => Err(format!("one spec is run at a time; a variant is written with a plus: +{}", second.display())),
        }
    }
}

/// Files and variants that were typed in any order.
pub fn split(words: &[String]) -> Result<(Vec<PathBuf>, Vec<String>), String> {
    let (variants, files): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| word.starts_with('+'));
    let mut names: Vec<String> = Vec::new();
    for variant in variants.into_iter().flat_map(|word| word[1..].split('+')) {
        if variant.is_empty() {
            return Err("a plus stands without the name of a variant".into());
        }
        if !names.iter().any(|name| name == variant) {
            names.push(variant.into());
        }
    }
    Ok((files.into_iter().map(PathBuf::from).collect(), names))
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().into(), value.trim().into())),
        _ => Err("write a param's name, =, and its value, such as --set size=64 or --set 'starts=[1/2, 3/4]'".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn variants_may_stand_anywhere() {
        let parsed = Cli::try_parse_from(["segc", "run", "+b", "a.seg", "+paper", "--seed", "3", "+c+d", "+b"]).unwrap();
        let Command::Run(run) = parsed.command else { panic!("not run") };
        assert_eq!(run.spec.split(), Ok((PathBuf::from("a.seg"), ["b", "paper", "c", "d"].map(String::from).to_vec())));
        assert_eq!(run.seed, 3);
    }

    #[test]
    fn a_second_spec_and_a_lone_plus_are_refused() {
        let args = |words: &[&str]| SpecArgs { words: words.iter().map(ToString::to_string).collect(), sets: Vec::new() };
        assert!(args(&["a.seg", "paper"]).split().unwrap_err().contains("+paper"));
        assert!(args(&["+paper"]).split().unwrap_err().contains("no spec"));
        assert!(args(&["a.seg", "+"]).split().unwrap_err().contains("plus"));
    }

    #[test]
    fn a_set_needs_name_and_value() {
        assert_eq!(name_and_value("starts=[78/128]"), Ok(("starts".into(), "[78/128]".into())));
        assert_eq!(name_and_value("photos=a=b"), Ok(("photos".into(), "a=b".into())));
        assert!(name_and_value("size").is_err() && name_and_value("=3").is_err());
    }
}
