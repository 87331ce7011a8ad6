//! `segc doctor`: what this machine has to compute with, what is missing, and how to get it.

use segc_runtime::execute::cuda::driver::{Inventory, Library, inventory};
use segc_runtime::execute::{Processor, processor};
use serde_json::json;

use crate::cli::Doctor;
use crate::console::{self, Exit};

/// Prints it.
pub fn doctor(args: &Doctor) -> Exit {
    let (processor, cards) = (processor(), inventory());
    console::out(&if args.json { machine(&processor, &cards) } else { text(&processor, &cards) });
    Exit::Done
}

fn machine(processor: &Processor, cards: &Inventory) -> String {
    let list = |(card, why): &(_, Option<String>)| json!({ "card": card, "unusable": why });
    let value = json!({
        "segc": segc_runtime::VERSION,
        "processor": processor,
        "nvidia": {
            "usable": cards.usable(),
            "driver": cards.driver,
            "nvrtc": cards.nvrtc,
            "cublaslt": cards.cublaslt,
            "cudnn": cards.cudnn,
            "cards": cards.cards.iter().map(list).collect::<Vec<_>>(),
            "cache": cards.cache,
        },
    });
    format!("{value:#}\n")
}

fn text(processor: &Processor, cards: &Inventory) -> String {
    let mut lines = host(processor);
    lines.push((String::new(), String::new()));
    lines.push(("NVIDIA driver".into(), library(&cards.driver, "CUDA ")));
    for (number, (card, why)) in cards.cards.iter().enumerate() {
        let free = card.free.map_or(String::new(), |free| format!(", {} free", size(free as u64)));
        let ((major, minor), memory) = (card.capability, size(card.memory as u64));
        let what = format!("{}, {memory}{free}, compute capability {major}.{minor}", card.name);
        lines.push((format!("card {number}"), why.as_ref().map_or(what.clone(), |why| format!("{what}; cannot be used: {why}"))));
    }
    lines.push(("NVRTC".into(), library(&cards.nvrtc, "")));
    lines.push(("cuBLASLt".into(), library(&cards.cublaslt, "")));
    lines.push(("cuDNN".into(), library(&cards.cudnn, "")));
    lines.extend(cards.cache.as_ref().map(|folder| ("kernels kept in".into(), folder.display().to_string())));
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, what): &(String, String)| format!("{name:<width$}  {what}").trim_end().to_owned() + "\n";
    format!("{}\n{}\n", lines.iter().map(line).collect::<String>(), advice(cards))
}

/// The lines about the machine itself.
fn host(processor: &Processor) -> Vec<(String, String)> {
    let features = if processor.features.is_empty() { String::new() } else { format!(" ({})", processor.features.join(", ")) };
    let memory = processor.memory.map_or("unknown".into(), size);
    let free = processor.free.map_or(String::new(), |free| format!(", {} free", size(free)));
    let caches: Vec<String> = processor.caches.iter().map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect();
    let mut lines = vec![
        ("processor".into(), processor.name.clone().unwrap_or_else(|| "unknown".into())),
        ("threads".into(), processor.threads.to_string()),
        ("instructions".into(), format!("{}{features}", processor.instructions)),
        ("memory".into(), format!("{memory}{free}")),
    ];
    if !caches.is_empty() {
        lines.push(("caches".into(), caches.join(", ")));
    }
    lines
}

fn library(library: &Library, before: &str) -> String {
    match (&library.version, &library.path, &library.missing) {
        (Some(version), Some(path), _) => format!("{before}{version}, {}", path.display()),
        (Some(version), None, _) => format!("{before}{version}"),
        (None, _, why) => format!("missing: {}", why.as_deref().unwrap_or("unknown")),
    }
}

/// What to do next.
fn advice(cards: &Inventory) -> String {
    let mut steps = Vec::new();
    if cards.driver.version.is_none() {
        steps.push(
            "The driver comes with the system (a package such as nvidia-driver, or from nvidia.com); `nvidia-smi` says whether it works.",
        );
    } else if cards.cards.iter().all(|(_, why)| why.is_some()) {
        steps.push("No card can be used; `nvidia-smi` lists the cards, and CUDA_VISIBLE_DEVICES may hide some.");
    }
    if cards.nvrtc.version.is_none() {
        steps.push("NVRTC is in the CUDA toolkit and in the Python package nvidia-cuda-nvrtc; name its folder in LD_LIBRARY_PATH.");
    }
    let end = if cards.usable() {
        "Programs run on a card with `--on cuda`, or `--on auto`."
    } else {
        "Programs run on the processor; nothing else is needed for that."
    };
    steps.push(end);
    steps.join("\n")
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}
