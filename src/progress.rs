//! How far a run is: a bar on a terminal, plain lines now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use segc_runtime::train;

use crate::console;

/// Time between two plain lines.
const PAUSE: Duration = Duration::from_secs(5);

/// The progress of a run, or of its training.
#[derive(Debug)]
pub struct Progress {
    shown: Shown,
    start: Instant,
    /// Images that an earlier run did: they say nothing of this run's speed.
    kept: usize,
    /// Images that are done, the kept ones among them.
    done: usize,
    /// Steps of training that this run did, and their samples.
    steps: (u64, u64),
    /// The phase that trains: its name, when this run began with it, steps and samples since then. Another one has another speed.
    phase: (String, Instant, u64, u64),
    /// When the last step ended.
    ended: Instant,
}

#[derive(Debug)]
enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines(Instant),
}

impl Progress {
    /// Begins to measure time; `quiet` shows nothing.
    pub fn new(quiet: bool) -> Progress {
        let start = Instant::now();
        let shown = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bar(bar()),
            (false, false) => Shown::Lines(start),
        };
        Progress { shown, start, kept: 0, done: 0, steps: (0, 0), phase: (String::new(), start, 0, 0), ended: start }
    }

    /// One more image came from an earlier run.
    pub fn keep(&mut self) {
        self.kept += 1;
    }

    /// `done` of `total` images are done.
    pub fn set(&mut self, done: usize, total: usize) {
        self.done = done;
        let pace = pace(done.saturating_sub(self.kept), total.saturating_sub(done), self.start.elapsed());
        self.show(done as u64, total as u64, || format!("images{pace}"), || format!("{done} of {} {pace}", console::count(total, "image")));
    }

    /// A step of training is done.
    pub fn step(&mut self, step: &train::Progress) {
        self.steps = (self.steps.0 + 1, self.steps.1 + step.batch);
        if self.phase.0 != step.phase {
            self.phase = (step.phase.to_string(), self.ended, 0, 0);
        }
        let (_, begun, steps, samples) = &mut self.phase;
        (*steps, *samples) = (*steps + 1, *samples + step.batch);
        let elapsed = begun.elapsed().as_secs_f64();
        let speed = *samples as f64 / elapsed.max(1e-9);
        let left = Duration::from_secs_f64((elapsed / *steps as f64 * step.length.saturating_sub(step.step) as f64).min(1e7));
        self.ended = Instant::now();
        let losses: String = step.losses.iter().map(|(name, loss)| format!("  {name} {loss:.4}")).collect();
        let told = || format!("steps of {}, {} images per second, {} left{losses}", step.phase, rate(speed), time(left));
        self.show(step.step, step.length, told, || format!("{} of {} {}", step.step, step.length, told()));
    }

    fn show(&mut self, done: u64, total: u64, message: impl Fn() -> String, line: impl Fn() -> String) {
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(message());
            }
            Shown::Lines(last) => {
                if last.elapsed() >= PAUSE {
                    *last = Instant::now();
                    console::err(&line());
                }
            }
        }
    }

    /// Takes the bar away and says how fast it went.
    pub fn finish(&self) -> String {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        let (elapsed, done) = (self.start.elapsed(), self.done.saturating_sub(self.kept));
        let per_second = |count: f64| rate(count / elapsed.as_secs_f64().max(1e-9));
        if self.steps.0 > 0 {
            let speed = per_second(self.steps.1 as f64);
            return format!("{} in {} ({speed} images per second)", console::count(self.steps.0 as usize, "step"), time(elapsed));
        }
        let mut line = format!("{} in {}", console::count(done, "image"), time(elapsed));
        if done > 0 {
            line.push_str(&format!(" ({} per second)", per_second(done as f64)));
        }
        if self.kept > 0 {
            line.push_str(&format!(", {} kept from before", self.kept));
        }
        line
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("━╸ "));
    bar
}

/// `12.3 per second, 40 s left`.
fn pace(computed: usize, left: usize, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if computed == 0 || seconds <= 0.0 {
        return String::new();
    }
    let speed = computed as f64 / seconds;
    let remaining = Duration::from_secs_f64((left as f64 / speed).min(1e7));
    format!(" {} per second, {} left", rate(speed), time(remaining))
}

fn rate(speed: f64) -> String {
    if speed < 10.0 { format!("{speed:.2}") } else { format!("{speed:.0}") }
}

fn time(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_images_do_not_make_it_look_fast() {
        assert_eq!(pace(10, 90, Duration::from_secs(20)), " 0.50 per second, 180 s left".replace("180 s", "3 min"));
        assert_eq!(pace(0, 90, Duration::from_secs(20)), "");
    }

    #[test]
    fn times_are_short() {
        let shown: Vec<String> = [0.25, 42.0, 300.0, 9000.0].map(|s| time(Duration::from_secs_f64(s))).to_vec();
        assert_eq!(shown, ["0.2 s", "42 s", "5 min", "2 h 30 min"]);
    }
}
