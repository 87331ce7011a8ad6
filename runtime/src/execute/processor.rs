//! What this machine's processor is, as far as the system says, for `segc doctor`.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// A processor with its memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Processor {
    /// Its name; none where the system does not say.
    pub name: Option<String>,
    /// The instructions that kernels are made of, by the name of [`pulp::Arch`].
    pub instructions: String,
    /// The wide instructions that it has, in the system's words.
    pub features: Vec<&'static str>,
    /// Threads that run at once.
    pub threads: usize,
    /// Memory of the machine, bytes.
    pub memory: Option<u64>,
    /// What of it is free for programs, bytes.
    pub free: Option<u64>,
    /// Caches from the nearest on: name and bytes.
    pub caches: Vec<(String, u64)>,
}

/// Looks at this machine.
pub fn processor() -> Processor {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| number(meminfo.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix("kB")?);
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()));
    let instructions = format!("{:?}", pulp::Arch::new());
    Processor {
        name,
        instructions: instructions.split(['(', ' ', '{']).next().unwrap_or_default().to_lowercase(),
        features: features(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        memory: kib("MemTotal:").map(|kib| kib * 1024),
        free: kib("MemAvailable:").map(|kib| kib * 1024),
        caches: caches(Path::new("/sys/devices/system/cpu/cpu0/cache")),
    }
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let all = [
        ("sse4.2", has!("sse4.2")),
        ("avx", has!("avx")),
        ("avx2", has!("avx2")),
        ("fma", has!("fma")),
        ("f16c", has!("f16c")),
        ("avx512f", has!("avx512f")),
        ("avx512bw", has!("avx512bw")),
        ("avx512vl", has!("avx512vl")),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

/// The caches that the system lists in a folder.
fn caches(folder: &Path) -> Vec<(String, u64)> {
    let one = |number: usize| {
        let text = |file: &str| Some(fs::read_to_string(folder.join(format!("index{number}")).join(file)).ok()?.trim().to_owned());
        let kind = match text("type")?.as_str() {
            "Data" => "d",
            "Instruction" => return Some(None),
            _ => "",
        };
        Some(Some((format!("L{}{kind}", text("level")?), size(&text("size")?)?)))
    };
    (0..).map_while(one).flatten().collect()
}

/// `48K` in bytes.
fn size(text: &str) -> Option<u64> {
    match text.strip_suffix('K') {
        Some(kib) => Some(number(kib)? << 10),
        None => text.strip_suffix('M').map_or_else(|| number(text), |mib| Some(number(mib)? << 20)),
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_read_as_the_system_writes_them() {
        let home = tempfile::tempdir().unwrap();
        for (number, (kind, level, size)) in [("Data", "1", "48K"), ("Instruction", "1", "32K"), ("Unified", "2", "2M")].iter().enumerate()
        {
            let folder = home.path().join(format!("index{number}"));
            fs::create_dir(&folder).unwrap();
            [("type", kind), ("level", level), ("size", size)].iter().for_each(|(file, text)| {
                fs::write(folder.join(file), format!("{text}\n")).unwrap();
            });
        }
        assert_eq!(caches(home.path()), [("L1d".into(), 48 << 10), ("L2".into(), 2 << 20)]);
        assert_eq!(caches(&home.path().join("nothing")), []);
    }

    #[test]
    fn there_is_a_processor() {
        let found = processor();
        assert!(found.threads > 0 && !found.instructions.is_empty(), "{found:?}");
    }
}
