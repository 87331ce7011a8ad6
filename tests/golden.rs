//! Golden vectors: values, derivatives and derivatives of derivatives that PyTorch computed in f64, against ours.
//!
//! Every case becomes a small spec in the language: `tests/golden/<group>.forms` says for each op how its definition reads there, with the
//! case's attributes filled in. So norms, losses, optimisers and nets are those of the library, not twins of them. The spec is
//! compiled as any other and run on the cpu (fused) and on the reference executor; both must keep the tolerance stored with the case.
//!
//! `SEGC_GOLDENS` names another folder of cases than `tests/goldens`. `SEGC_GOLDEN_ONLY` runs the cases whose id contains it and
//! prints the specs that are made.
#![allow(clippy::unwrap_used)]

#[path = "golden/case.rs"]
mod case;
#[path = "golden/form.rs"]
mod form;
#[path = "golden/judge.rs"]
mod judge;
mod lab;
#[path = "golden/text.rs"]
mod text;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::Case;
use form::Forms;

const GROUPS: [&str; 10] = ["elementwise", "shape", "reduce", "linalg", "conv", "spatial", "norm", "losses", "optim", "nets"];

fn folder() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    std::env::var_os("SEGC_GOLDENS").map_or(here, PathBuf::from)
}

/// Runs all cases of a group and panics with what went wrong.
fn group(name: &str) {
    let forms = Forms::read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.forms")));
    let only = std::env::var("SEGC_GOLDEN_ONLY").ok();
    let cases: Vec<Case> = case::read(&folder(), name)
        .unwrap_or_else(|why| panic!("{why}"))
        .into_iter()
        .filter(|case| only.as_ref().is_none_or(|part| case.id.contains(part.as_str())))
        .collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = judge::judge(case, &forms, only.is_some()) {
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
            assert_eq!(GROUPS, [$(stringify!($name)),*]);
            let count: usize = GROUPS.iter().map(|name| case::read(&folder(), name).map_or(0, |cases| cases.len())).sum();
            println!("{count} golden cases in {} groups", GROUPS.len());
            if std::env::var_os("SEGC_GOLDENS").is_none() {
                assert_eq!(count, 715);
            }
        }
    };
}

groups! { elementwise shape reduce linalg conv spatial norm losses optim nets }
