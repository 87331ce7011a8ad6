//! Golden vectors: values, derivatives and derivatives of derivatives that PyTorch computed in f64, against ours.
//!
//! Every case becomes a small spec in the language (`runtime/src/selftest/golden`), compiled as any other and run on the cpu (fused) and
//! on the reference executor; both must keep the tolerance stored with the case.
//!
//! `SEGC_GOLDENS` names another folder of cases than `tests/goldens`. `SEGC_GOLDEN_ONLY` runs the cases whose id contains it and
//! prints the specs that are made.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use segc_runtime::execute::{Cpu, Device, Reference};
use segc_runtime::selftest::golden::case::{self, Case};
use segc_runtime::selftest::golden::form::Forms;
use segc_runtime::selftest::golden::{Asked, GROUPS};

fn folder() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    std::env::var_os("SEGC_GOLDENS").map_or(here, PathBuf::from)
}

/// Says what differs, if something does.
fn judge(case: &Case, forms: &Forms, tell: bool) -> Result<(), String> {
    let asked = Asked::new(case, forms)?;
    if tell {
        println!("{}", asked.text);
    }
    let mut wrong = Vec::new();
    for device in [&Reference as &dyn Device, &Cpu::default()] {
        let all = asked.on(device).map_err(|why| why.to_string())?;
        assert!(!all.is_empty(), "{} checks nothing", case.id);
        wrong.extend(all.iter().filter(|(_, far)| far.is_wrong()).map(|(path, far)| format!("{path} on {}: {far}", device.name())));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// Runs all cases of a group and panics with what went wrong.
fn group(name: &str) {
    let forms = GROUPS.iter().find(|(own, _)| *own == name).map(|(_, text)| Forms::parse(text)).unwrap();
    let only = std::env::var("SEGC_GOLDEN_ONLY").ok();
    let cases: Vec<Case> = case::read(&folder(), name)
        .unwrap_or_else(|why| panic!("{why}"))
        .into_iter()
        .filter(|case| only.as_ref().is_none_or(|part| case.id.contains(part.as_str())))
        .collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = judge(case, &forms, only.is_some()) {
                wrong.lock().unwrap().push(format!("{}: {why}", case.id));
            }
        }
    };
    std::thread::scope(|threads| (0..2).for_each(|_| _ = threads.spawn(work)));
    let wrong = wrong.into_inner().unwrap();
    println!("{name}: {} of {} golden cases pass on cpu and reference", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{} of {} cases of {name} fail:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(only.is_some() || !cases.is_empty(), "no cases of {name} in {}", folder().display());
}

macro_rules! groups {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            group(stringify!($name));
        })*

        #[test]
        fn every_group_has_a_test() {
            assert_eq!(GROUPS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
            let count: usize = GROUPS.iter().map(|(name, _)| case::read(&folder(), name).map_or(0, |cases| cases.len())).sum();
            println!("{count} golden cases in {} groups", GROUPS.len());
            if std::env::var_os("SEGC_GOLDENS").is_none() {
                assert_eq!(count, 715);
            }
        }
    };
}

groups! { elementwise shape reduce linalg conv spatial norm losses optim nets }
