//! The command line `segc`: arguments in, report out. What a spec means is the business of the crates below.

mod bench;
mod cli;
mod commands;
mod compiled;
mod console;
mod interrupt;
mod loader;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use commands::{check, compare, doctor, explain, fmt, new, ops, run, segment, show, sweep, weights};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    let exit = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Segment(args) => segment::segment(&args),
        Command::Sweep(args) => sweep::sweep(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Check(args) => check::check(&args),
        Command::Show(args) => show::show(&args),
        Command::Fmt(args) => fmt::fmt(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Weights(args) => weights::weights(&args.verb),
        Command::Ops => ops::ops(),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::New(args) => new::new(&args),
    };
    ExitCode::from(exit.code())
}

/// A panic is never the user's doing; the runtime then ends with 101.
fn report_panic(panic: &std::panic::PanicHookInfo) {
    let payload = panic.payload();
    let what = payload.downcast_ref::<&str>().map(ToString::to_string).or_else(|| payload.downcast_ref::<String>().cloned());
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    console::error(&format!(
        "internal error: {}{place}\nThis is a fault of segc {} and not of your spec. Please report it with these lines and the command.",
        what.unwrap_or_else(|| "no message".into()),
        env!("CARGO_PKG_VERSION"),
    ));
}
