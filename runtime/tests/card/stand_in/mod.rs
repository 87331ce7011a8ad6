//! The stand-in for a card: builds it, and starts programs that find it where they look for NVIDIA's libraries.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A folder with `libcuda.so.1`, `libnvrtc.so`, `libcublasLt.so` and `libcudnn.so`; none, with a line that says so, where there is no C
/// compiler.
pub fn libraries() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<tempfile::TempDir>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        if Command::new("cc").arg("--version").output().is_err() {
            eprintln!("skipped: there is no `cc` to build the stand-in for a card with");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        build("driver.c", &folder.path().join("libcuda.so.1"), &[]);
        // The name that is looked for first, so that a driver of this machine is not found.
        std::os::unix::fs::symlink("libcuda.so.1", folder.path().join("libcuda.so")).unwrap();
        build("nvrtc.c", &folder.path().join("libnvrtc.so"), &[]);
        build("cublaslt.c", &folder.path().join("libcublasLt.so"), &[]);
        build("cudnn.c", &folder.path().join("libcudnn.so"), &[]);
        Some(folder)
    });
    built.as_ref().map(tempfile::TempDir::path)
}

/// Builds one of the libraries, without some of its functions.
pub fn build(source: &str, to: &Path, without: &[&str]) {
    let sources = sources();
    let mut command = Command::new("cc");
    command.args(["-O1", "-shared", "-fPIC", "-o"]).arg(to).arg(sources.join(source));
    command.arg(format!("-DFOLDER=\"{}\"", sources.join("..").display()));
    command.args(without.iter().map(|name| format!("-D{name}=absent_{name}"))).args(["-ldl", "-lpthread"]);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A program that finds the libraries of a folder and no others of NVIDIA that are not the system's, with a cache of its own.
pub fn beside(program: impl AsRef<std::ffi::OsStr>, libraries: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", libraries).env("XDG_CACHE_HOME", home.join("cache")).env("SEGC_MOCK_LOG", home.join("log"));
    command
}

/// The lines that the stand-in wrote so far.
#[allow(dead_code, reason = "not every test file counts")]
pub fn log(home: &Path) -> Vec<String> {
    std::fs::read_to_string(home.join("log")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn sources() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    [own.join("tests/card/stand_in"), own.join("runtime/tests/card/stand_in")]
        .into_iter()
        .find(|path| path.join("driver.c").is_file())
        .unwrap()
}
